import { includesAll, type Axis } from '../../ir/common/axes.js';
import {
  nodeArguments, stageOperands, type ElementStage, type MatrixStage, type NodeId, type Reader, type ScanProgram, type Stage,
} from '../../ir/scan/scan.js';
import type { KernelBuilder } from '../../ir/tile/build.js';
import type { TileId } from '../../ir/tile/tile.js';
import { contextOf, largestAxis, stageName, stateOf, TOKEN_SITE, walkOf, type Context } from './context.js';
import type { Draft } from './draft.js';
import { storeRoot } from './roots.js';
import { littleOf, steadyDecay, steadyNext } from './steady.js';
import { plus, widened } from './tiles.js';
import { hoist, valuesIn, type Values } from './values.js';

/** Reads the tokens one at a time: for decoding. */
export function lowerStep(draft: Draft, program: ScanProgram): void {
  const cx = contextOf(draft, 'step', program);
  draft.kernel('step', {
    name: 'step', doc: 'Reads the tokens one at a time.', outer: 'run', inner: 'head', split: splitAxis(cx),
  }, (k) => {
    const outside = valuesIn(cx, k, TOKEN_SITE);
    const roots = program.roots.flatMap((root) => (root.value === undefined ? [] : [root.value]));
    hoist(cx, outside, TOKEN_SITE, [...program.stages.flatMap(stageOperands), ...roots]);
    // A state is carried once, whoever walks over it.
    const carried = program.stages.flatMap((stage, index) => (walkOf(stage) === 0 ? [index] : []));
    const place = (stage: Stage) => carried.findIndex((index) => stateOf(program.stages[index]) === stateOf(stage));
    const delays = program.roots.filter((root) => root.kind === 'final');
    const inits = [
      ...carried.map((index) => stateOf(program.stages[index])), ...delays.map(({ state }) => state)
    ].map((state) => k.load(draft.user.initials[state]));
    const lasts = k.loop('rows', false, inits, (states) => {
      const olds = program.stages.map((stage) => states[place(stage)]);
      const values = valuesIn(cx, k, TOKEN_SITE, outside);
      delays.forEach(({ state }, i) => values.bindPast(state, states[carried.length + i]));
      const nexts = program.stages.map((stage, index) => {
        switch (stage.kind) {
          case 'matrix': return matrixStep(k, values, stage, index, olds[index]);
          case 'element': {
            const next = widened(k, elementStep(cx, k, values, stage, olds[index]), stage.axes);
            values.bind(index, 0, () => next);
            values.bind(index, 1, () => olds[index]);
            return next;
          }
          case 'matrix-adjoint': case 'element-adjoint': throw new Error(`${stageName(cx, index)}: no adjoint runs token by token`);
        }
      });
      for (const root of program.roots) storeRoot(cx, k, values, root, false);
      return [...carried.map((index) => nexts[index]), ...delays.map(({ value }) => values.tile(value))];
    });
    carried.forEach((index, i) => k.store(draft.user.finals[stateOf(program.stages[index])], lasts[i]));
    delays.forEach(({ state }, i) => k.store(draft.user.finals[state], lasts[carried.length + i]));
  });
}

/** h = a h + b. */
function elementStep(cx: Context, k: KernelBuilder, values: Values, { decay, write }: ElementStage, old: TileId): TileId | undefined {
  const added = write === undefined ? undefined : values.tile(write);
  if (decay === undefined) return added;
  const little = littleOf(cx.graph.builder, decay);
  return steadyNext(k, steadyDecay(k, values.tile(decay), values.tile(little)), old, added);
}

/** S = Lambda S + sum of outer products, the sources in the order in which they see each other. */
function matrixStep(k: KernelBuilder, values: Values, stage: MatrixStage, index: number, old: TileId): TileId {
  const { rowAxis, valueAxes, gate, sources } = stage;
  const log = gate.kind === 'none' ? undefined : values.tile(gate.log);
  const factor = gate.kind === 'none' || gate.factor === undefined ? undefined : values.tile(gate.factor);
  const decay = log === undefined ? undefined : steadyDecay(k, factor ?? k.exp(log), k.map('expm1', log));
  const decayed = decay === undefined ? old : steadyNext(k, decay, old, undefined);
  const row = (id: NodeId) => widened(k, values.tile(id), [rowAxis]);
  const known = new Map<number, TileId>();
  const written = (j: number): TileId => {
    const found = known.get(j);
    if (found !== undefined) return found;
    const { value, erase } = sources[j];
    const made = widened(
      k, plus(k, value === undefined ? undefined : values.tile(value), erase === undefined ? undefined : read(erase)), valueAxes,
    );
    known.set(j, made);
    return made;
  };
  const read = (reader: Reader): TileId => {
    const state = k.contract(row(reader.row), reader.before ? old : decayed, rowAxis);
    const seen = sources.flatMap((source, j) => (
      reader.sees[j] ? [k.mul(k.contract(row(reader.row), row(source.col), rowAxis), written(j))] : []
    ));
    return plus(k, state, ...seen) ?? state;
  };
  const added = plus(k, ...sources.map((source, j) => k.mul(row(source.col), written(j))));
  const next = decay === undefined ? plus(k, old, added) ?? old : steadyNext(k, decay, old, added);
  stage.reads.forEach((reader, slot) => {
    // What sees every write reads the new state.
    const all = sources.length > 0 && reader.sees.every((sees) => sees) && !(reader.before && gate.kind !== 'none');
    values.bind(index, slot, () => (all ? k.contract(row(reader.row), next, rowAxis) : read(reader)));
  });
  return next;
}

/** An axis along which the whole step is independent: in every state and output, and folded nowhere. */
function splitAxis(cx: Context): Axis | undefined {
  const { spec } = cx.draft;
  const folded = new Set<Axis>();
  const seen = new Set<NodeId>();
  const visit = (id: NodeId): void => {
    if (seen.has(id)) return;
    seen.add(id);
    const node = cx.graph.node(id);
    if (node.kind === 'reduce') folded.add(node.axis);
    nodeArguments(node).forEach(visit);
  };
  for (const stage of cx.program.stages) {
    stageOperands(stage).forEach(visit);
    if (stage.kind === 'matrix') folded.add(stage.rowAxis);
  }
  for (const root of cx.program.roots) if (root.value !== undefined) visit(root.value);
  const everywhere = (axis: Axis) => [...spec.states, ...spec.outputs].every((x) => includesAll(x.axes, [axis]));
  return largestAxis(cx.draft, spec.axes.map((axis) => axis.name).filter((axis) => everywhere(axis) && !folded.has(axis)));
}
