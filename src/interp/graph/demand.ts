import { operandsOf } from '../../ir/graph/operands.js';
import type { Axis } from '../../ir/graph/types.js';
import { restrictionOf } from './choice.js';
import { coneOf, factsOf, type Scope } from './scope.js';
import type { Frame } from './tokens.js';
import { hasAxis, presence, sizeOf, union } from './value.js';

/**
 * Where the outputs of a call are read: 1 over the copies of a frame and `lanes`; undefined: everywhere. In `sum[E](g * expert(x))` with
 * `g` restricted to a choice, that is where the choice holds. What is read elsewhere, in a fold or as an output, is read everywhere.
 */
export function demandOf(scope: Scope, call: number, frame: Frame, lanes: readonly Axis[]): Float64Array | undefined {
  const alternatives = readAt(scope, call, new Set());
  if (alternatives === undefined || alternatives.length === 0) return undefined;
  const all = alternatives.map((choices) => {
    const masks = choices.map((choice) => restrictionOf({ tokens: scope.tokens, tape: undefined }, scope.run.valueOf(scope, choice)));
    const axes = union(lanes, ...masks.map((mask) => mask.of.axes));
    return anyOf(presence(scope.tokens, masks, frame, axes, false), sizeOf(axes) / sizeOf(lanes));
  });
  if (all.some((one) => one === undefined)) return undefined;
  return all.reduce((a, b) => a?.map((x, i) => Math.max(x, b?.[i] ?? 0)));
}

/** Over the innermost `width` elements. */
function anyOf(there: Float64Array | undefined, width: number): Float64Array | undefined {
  if (there === undefined || width === 1) return there;
  const out = new Float64Array(there.length / width);
  there.forEach((x, i) => {
    if (x !== 0) out[Math.floor(i / width)] = 1;
  });
  return out;
}

/** Choices under which all reads of a node stand, one list a read; undefined: it is read without any. */
function readAt(scope: Scope, id: number, trail: ReadonlySet<number>): readonly (readonly number[])[] | undefined {
  const { graph } = scope;
  const open = [...graph.outputs, ...graph.losses, ...graph.updates].some(({ value }) => value === id);
  if (open || trail.has(id)) return undefined;
  const all: (readonly number[])[] = [];
  for (const reader of factsOf(scope.run, graph).readers[id]) {
    const node = graph.nodes[reader];
    const others = operandsOf(node).filter((arg) => arg !== id);
    const choices = node.kind === 'restrict' ? [node.choice] : [];
    if (node.kind === 'map' || node.kind === 'contract') choices.push(...others.flatMap((arg) => graph.nodes[arg].type.restricted));
    const usable = choices.filter((choice) => choice !== id && !dependsOn(scope, choice, id));
    const through = ['map', 'result', 'f32', 'stop', 'restrict'].includes(node.kind);
    if (usable.length > 0) all.push(usable);
    else if (through) {
      const beyond = readAt(scope, reader, new Set([...trail, id]));
      if (beyond === undefined) return undefined;
      all.push(...beyond);
    } else {
      return undefined;
    }
  }
  return all;
}

function dependsOn(scope: Scope, node: number, on: number): boolean {
  return node >= on && coneOf(scope.graph, [node]).includes(on);
}

/** Have all of these axes a place among the lanes? */
export function within(axes: readonly Axis[], lanes: readonly Axis[]): boolean {
  return axes.every((axis) => hasAxis(lanes, axis));
}
