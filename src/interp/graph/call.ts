import type { Graph, GraphNode, Instance } from '../../ir/graph/graph.js';
import { factsOf as textFacts } from '../../ir/graph/facts.js';
import { below, instancePath, lossPath } from '../../ir/graph/paths.js';
import type { Axis } from '../../ir/graph/types.js';
import { assemble, gatherArgument, type Unit } from './call-values.js';
import { demandOf, within } from './demand.js';
import { GraphFault } from './fault.js';
import { callScan } from './scan-call.js';
import { coneOf, factsOf, openScope, valuesOf, type CallOutputs, type Lane, type Scope } from './scope.js';
import { joinFrames, seenAfter, subset, type Frame, type Tokens } from './tokens.js';
import { presence, sizeOf, without, type Value } from './value.js';

type CallNode = Extract<GraphNode, { kind: 'call' }>;

/** The name that an axis of a part's signature has where it is called. */
export function renamedBy(node: CallNode): (axis: Axis) => Axis {
  return (axis) => ({ ...axis, name: node.renamed.get(axis.name) ?? axis.name });
}

/** Outputs of a call; what it keeps, loses and counts goes to the run. */
export function callOutputs(scope: Scope, id: number, node: CallNode): CallOutputs {
  const instance = scope.graph.instances[node.instance];
  const args = node.args.map((arg) => scope.run.valueOf(scope, arg));
  const lanes = [...instance.family, ...without(node.mapped, instance.family)];
  const path = below(scope.path, instancePath(instance));
  const { part } = instance;
  if (part.kind === 'scan') return callScan(scope, { id, node, path, lanes: lanes.length > 0 ? lanes : part.heads, part, args });
  const called: Called = { scope, id, node, instance, part, path, lanes, args };
  const units = unitsOf(called);
  count(called, units);
  if (scope.run.program !== 'step') for (const { scope: inner } of units) gatherLosses(inner);
  return (output) => assemble(scope, { lanes, units, output: part.outputs[output], renamed: renamedBy(node), args });
}

interface Called {
  readonly scope: Scope;
  readonly id: number;
  readonly node: CallNode;
  readonly instance: Instance;
  readonly part: Graph;
  readonly path: string;
  /** Axes of the family, and then others over which the call is mapped. */
  readonly lanes: readonly Axis[];
  readonly args: readonly Value[];
}

/** Losses of a scope, by path, and of the parts that it calls. */
export function gatherLosses(scope: Scope): void {
  const { graph, run, path } = scope;
  valuesOf(scope, factsOf(run, graph).counted.filter((call) => !needsMissing(scope, call)));
  const open = graph.losses.filter(({ value }) => !needsMissing(scope, value));
  valuesOf(scope, open.map(({ value }) => value)).forEach((value, i) => {
    const name = below(path, lossPath(open[i]));
    const list = run.losses.get(name) ?? [];
    list.push(value);
    run.losses.set(name, list);
  });
}

function needsMissing({ graph, inputs }: Scope, value: number): boolean {
  if (!inputs.includes(undefined)) return false;
  return coneOf(graph, [value]).some((id) => {
    const node = graph.nodes[id];
    return node.kind === 'input' && inputs[node.input] === undefined;
  });
}

/**
 * A part that looks at one token at a time is evaluated once for each index of its family, over the tokens (and other mapped indices) that
 * are present and read. Any other is evaluated for each index by itself, over the tokens present.
 */
function unitsOf(called: Called): Unit[] {
  const { scope, part, lanes, instance, args, id } = called;
  const { tokens } = scope;
  const base = args.map((arg) => arg.frame).reduce((a, b) => joinFrames(tokens, a, b), tokens.byToken);
  // Then it may be evaluated on those tokens only that are read.
  const { tokenwise } = textFacts(part);
  if (base.level === 'pair' && !tokenwise) {
    throw new GraphFault('unread', `${part.name} looks at other tokens, and cannot be called at each token of a past`, called.node.origin);
  }
  const width = sizeOf(lanes);
  const masks = args.flatMap((arg) => arg.masks.filter(({ of, picked }) => !picked && within(of.axes, lanes)));
  const given = presence(tokens, masks, base, lanes, false);
  const read = tokenwise ? demandOf(scope, id, base, lanes) : undefined;
  const there = given === undefined ? read : read === undefined ? given : given.map((x, i) => x * read[i]);
  const family = sizeOf(instance.family);
  const group = tokenwise ? width / family : 1;
  return Array.from({ length: width / group }, (_, n) => {
    const first = n * group;
    const index = Math.floor(first / (width / family));
    const lane = { index: scope.lane.index * family + index, count: scope.lane.count * family };
    return openUnit(called, base, first, group, lane, there === undefined ? undefined : chosen(there, base.copies, width, first, group));
  });
}

interface Chosen {
  readonly copies: Int32Array;
  readonly lanes: Int32Array;
}

/** Copies and lanes, from `first` on, that are there. */
function chosen(there: Float64Array, copies: number, width: number, first: number, group: number): Chosen {
  const [at, lanes]: [number[], number[]] = [[], []];
  for (let copy = 0; copy < copies; copy++) {
    for (let lane = first; lane < first + group; lane++) {
      if (there[copy * width + lane] === 0) continue;
      at.push(copy);
      lanes.push(lane);
    }
  }
  return { copies: Int32Array.from(at), lanes: Int32Array.from(lanes) };
}

function openUnit(called: Called, base: Frame, first: number, group: number, lane: Lane, present: Chosen | undefined): Unit {
  const { scope, id, lanes, part, node, args, path } = called;
  const width = sizeOf(lanes);
  const place = `${scope.place}/${id}:${first}`;
  const whole = present === undefined && width === 1 && base === scope.tokens.byToken;
  const rows = present ?? everything(base.copies, first, group);
  const tokens = whole ? scope.tokens : laneTokens(scope, place, base, rows, present !== undefined, width);
  const unit = { tokens, base, whole, first, group, width, rows };
  const renamed = renamedBy(node);
  const inputs = part.inputs.map((input, i) => gatherArgument(scope, unit, lanes, args[i], input.type.axes, renamed));
  const inner = openScope(scope.run, part, { path, place, lane, tokens, inputs });
  if (part.updates.length > 0) {
    const key = `${path}:${lane.index}`;
    scope.run.updated.set(key, [...(scope.run.updated.get(key) ?? []), inner]);
  }
  return { ...unit, scope: inner };
}

function everything(copies: number, first: number, group: number): Chosen {
  return {
    copies: Int32Array.from({ length: copies * group }, (_, i) => Math.floor(i / group)),
    lanes: Int32Array.from({ length: copies * group }, (_, i) => first + (i % group)),
  };
}

/** Tokens of a call on some of them: their time is counted along them, from what a state has seen of them. */
function laneTokens({ tokens, run }: Scope, place: string, base: Frame, rows: Chosen, restricted: boolean, width: number): Tokens {
  const known = run.before?.seen.get(place);
  const seen = known ?? tokens.seen;
  const at = base.level === 'pair' ? rows.copies.map((copy) => base.row[copy]) : rows.copies;
  const inner = subset(tokens, at, rows.lanes, width, seen);
  if (restricted || known !== undefined) run.after.seen.set(place, seenAfter(inner));
  return inner;
}

/** Tokens of each index of a family. */
function count({ scope, instance, path }: Called, units: readonly Unit[]): void {
  if (instance.family.length === 0) return;
  const size = scope.lane.count * sizeOf(instance.family);
  const counts = scope.run.counts.get(path) ?? new Float64Array(size);
  for (const { rows, scope: { lane } } of units) counts[lane.index] += new Set(rows.copies).size;
  scope.run.counts.set(path, counts);
}
