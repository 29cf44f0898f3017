import { includesAll, ROW, runsOf, type Axis } from '../../ir/common/axes.js';
import { nodeArguments, type ElementAdjoint, type ElementStage, type NodeId, type Root } from '../../ir/scan/scan.js';
import type { KernelBuilder } from '../../ir/tile/build.js';
import type { TileId } from '../../ir/tile/tile.js';
import {
  CHUNK_SITE, frontier, largestAxis, markStored, needed, stageKey, stageName, valueName, type Context, type Site,
} from './context.js';
import { storeStatic, storeValues } from './prepare.js';
import { storeRoot } from './roots.js';
import { littleOf, steadyDecay, steadyNext } from './steady.js';
import { perToken, plus, widened } from './tiles.js';
import { hoist, valuesIn, type Values } from './values.js';
import { storeResults } from './walk.js';

/** Where the values of an elementwise scan are computed: along its own axes, split along the largest. */
export function elementSite(cx: Context, stage: ElementStage): Site {
  return { kind: 'walk', allowed: stage.axes, split: largestAxis(cx.draft, stage.axes) };
}

const present = (ids: readonly (NodeId | undefined)[]): readonly NodeId[] => ids.filter((id) => id !== undefined);
const valuesOf = (roots: readonly Root[]): readonly NodeId[] => present(roots.map((root) => root.value));

/** The values that a scan cannot compute along the way, stored beforehand. */
function prepare(cx: Context, stage: string, suffix: string, ids: readonly NodeId[]): void {
  const perToken = storeStatic(cx, stage, ids);
  cx.draft.kernel(cx.name, {
    name: `${stage}_${suffix}`, doc: 'Pointwise values that fold an axis, before a scan.', outer: 'chunk', inner: 'head',
  }, (k) => {
    storeValues(cx, k, valuesIn(cx, k, CHUNK_SITE), perToken);
  });
  markStored(cx, perToken);
}

const entryBuffer = (cx: Context, stage: ElementStage, index: number) => cx.draft.workspace(
  `${stageKey(cx, index)}.entries`, 'chunk', stage.axes, 'f32',
);

/** The decay of every row; 1 beyond the sequence, so that the state stays. */
function decayRows(cx: Context, k: KernelBuilder, values: Values, stage: ElementStage): TileId {
  const beyond = () => k.sub(k.literal(1), k.keep(k.literal(1)));
  if (stage.decay === undefined) return beyond();
  const node = cx.graph.node(stage.decay);
  if (node.kind === 'map' && node.fn === 'exp' && !cx.stored.has(stage.decay)) {
    return k.exp(perToken(k, values.padded(node.args[0])));
  }
  return k.add(k.keep(values.tile(stage.decay)), beyond());
}

/** The decay - 1, where digits count. */
function lessNode(cx: Context, { decay }: ElementStage): NodeId | undefined {
  return decay === undefined || !cx.draft.exactGates ? undefined : littleOf(cx.graph.builder, decay);
}

/** The same of every row; 0 beyond the sequence. */
function lessRows(cx: Context, k: KernelBuilder, values: Values, stage: ElementStage, decay: TileId): TileId | undefined {
  const less = lessNode(cx, stage);
  return less === undefined ? undefined : widened(k, values.padded(less), k.axesOf(decay));
}

/** h of every row from the state before the chunk, bound as the stage's results; made when asked for. */
function bindRows(cx: Context, k: KernelBuilder, values: Values, stage: ElementStage, index: number, entryOf: () => TileId): () => TileId {
  let made: { readonly entry: TileId; readonly rows: TileId } | undefined;
  const all = () => {
    if (made === undefined) {
      const write = stage.write === undefined
        ? k.zeros([ROW, ...stage.axes])
        : widened(k, values.padded(stage.write), [ROW, ...stage.axes]);
      const entry = entryOf();
      const decay = decayRows(cx, k, values, stage);
      made = { entry, rows: k.recur(decay, write, entry, false, lessRows(cx, k, values, stage, decay)) };
    }
    return made;
  };
  values.bind(index, 0, () => all().rows);
  values.bind(index, 1, () => k.shift(all().rows, 1, all().entry));
  return () => all().rows;
}

export interface ElementOptions {
  /** Stores the last state for the user. */
  readonly final: boolean;
  /** Stores the states at chunk starts. */
  readonly entries: boolean;
}

/** h_t = decay_t h_{t-1} + write_t, with everything pointwise around it in the same kernel (docs/algorithms.md: elementwise scans). */
export function elementKernel(cx: Context, stage: ElementStage, index: number, roots: readonly Root[], options: ElementOptions): void {
  const name = stageName(cx, index);
  const site = elementSite(cx, stage);
  const ids = [...present([stage.decay, lessNode(cx, stage), stage.write]), ...valuesOf(roots)];
  prepare(cx, name, 'prepare', needed(cx, site, ids, [index]));
  const split = site.kind === 'walk' ? site.split : undefined;
  cx.draft.kernel(cx.name, {
    name: `${name}_scan`, doc: `The elementwise recurrence of ${name}.`, outer: 'run', inner: 'head', split,
  }, (k) => {
    const outside = valuesIn(cx, k, site);
    hoist(cx, outside, site, ids);
    const [last] = k.loop('chunks', false, [k.load(cx.draft.user.initials[stage.state])], ([entry]) => {
      const values = valuesIn(cx, k, site, outside);
      const rows = bindRows(cx, k, values, stage, index, () => entry);
      if (options.entries) k.store(entryBuffer(cx, stage, index), entry);
      storeResults(cx, k, index, values);
      for (const root of roots) storeRoot(cx, k, values, root, true);
      return [k.pick(rows(), 'last')];
    });
    if (options.final) k.store(cx.draft.user.finals[stage.state], last);
  });
}

/** What a sum adds up. */
function summedBy(cx: Context, id: NodeId): NodeId {
  const node = cx.graph.node(id);
  if (node.kind !== 'reduce') throw new Error('no sum');
  return node.arg;
}

function storeRuns(cx: Context, k: KernelBuilder, values: Values, id: NodeId): void {
  const sum = cx.sums.get(id);
  if (sum === undefined) throw new Error('a sum that nobody reads');
  const all = widened(k, values.tile(summedBy(cx, id)), [ROW, sum.axis, ...cx.graph.axesOf(id)]);
  k.store(sum.buffer, k.runs(sum.axis, sum.length, all));
}

/**
 * Sums over the axis along which a scan is split, in terms of which a value needs none of its results by itself; undefined if there is no
 * such way. `own`: the stages whose results the scan makes.
 */
export function runSums(cx: Context, site: Site, value: NodeId, own: readonly number[]): readonly NodeId[] | undefined {
  if (site.kind !== 'walk' || site.split === undefined || cx.draft.runs === undefined) return undefined;
  const { split } = site;
  const found = new Set<NodeId>();
  const known = new Map<NodeId, boolean>();
  const visit = (id: NodeId): boolean => {
    const seen = known.get(id);
    if (seen !== undefined) return seen;
    const node = cx.graph.node(id);
    const made = ((): boolean => {
      if (!cx.graph.results([id]).keys().some(([stage]) => own.includes(stage))) return true;
      const sums = node.kind === 'reduce' && node.op === 'sum' && node.axis === split;
      if (sums && includesAll(site.allowed, cx.graph.axesOf(node.arg)) && frontier(cx, site, node.arg, own) !== undefined) {
        found.add(id);
        return true;
      }
      return node.kind !== 'result' && nodeArguments(node).every(visit);
    })();
    known.set(id, made);
    return made;
  };
  return visit(value) ? [...found] : undefined;
}

/** Says that the scan `by` will leave the sum, if none before it does; runs are as long as the size of the axis allows. */
export function leaveSum(cx: Context, id: NodeId, by: number, axis: Axis, length: number): void {
  if (cx.sums.has(id)) return;
  const buffer = cx.draft.workspace(valueName(cx, 'sum', id), 'row', [runsOf(axis, length), ...cx.graph.axesOf(id)], 'f32');
  cx.sums.set(id, { buffer, axis, length, by });
}

/**
 * Against time: D_t = given_t + decay_{t+1} D_{t+1} + (given to h_{t-1})_{t+1}. What flows from a chunk into the one before it is carried;
 * the states of the chunk are made again from its first one.
 */
export function elementAdjointKernel(
  cx: Context, adjoint: ElementAdjoint, index: number, forward: number, roots: readonly Root[], sums: readonly NodeId[],
): void {
  const stage = adjoint.of;
  const name = stageName(cx, index);
  const site = elementSite(cx, stage);
  const [given, givenBefore] = adjoint.given;
  const own = present([stage.decay, lessNode(cx, stage), stage.write, given, givenBefore]);
  const wanted = [...valuesOf(roots), ...sums.map((id) => summedBy(cx, id))];
  const store = [...needed(cx, site, own, [index]), ...needed(cx, site, wanted, [index, forward])];
  prepare(cx, name, 'given', [...new Set(store)].filter((id) => !cx.stored.has(id)));
  const split = site.kind === 'walk' ? site.split : undefined;
  cx.draft.kernel(cx.name, {
    name: `${name}_reverse`, doc: `The adjoint of the elementwise recurrence of ${name}.`, outer: 'run', inner: 'head', split,
  }, (k) => {
    const outside = valuesIn(cx, k, site);
    hoist(cx, outside, site, [...own, ...wanted]);
    const [first] = k.loop('chunks', true, [k.load(cx.draft.user.finalCotangents[stage.state])], ([later]) => {
      const values = valuesIn(cx, k, site, outside);
      bindRows(cx, k, values, stage, forward, () => k.load(entryBuffer(cx, stage, forward)));
      const decay = decayRows(cx, k, values, stage);
      const less = lessRows(cx, k, values, stage, decay);
      const here = given === undefined ? k.zeros([ROW, ...stage.axes]) : widened(k, values.padded(given), [ROW, ...stage.axes]);
      const before = givenBefore === undefined ? undefined : widened(k, values.padded(givenBefore), [ROW, ...stage.axes]);
      const added = before === undefined ? here : k.add(here, k.shift(before, -1));
      const total = k.recur(k.shift(decay, -1, k.literal(1)), added, later, true, less === undefined ? undefined : k.shift(less, -1));
      values.bind(index, 0, () => total);
      storeResults(cx, k, index, values);
      for (const root of roots) storeRoot(cx, k, values, root, true);
      for (const id of sums) storeRuns(cx, k, values, id);
      const first = (tile: TileId) => k.pick(tile, 'first');
      if (less === undefined) return [first(plus(k, k.mul(decay, total), before) ?? total)];
      return [steadyNext(k, steadyDecay(k, first(decay), first(less)), first(total), before === undefined ? undefined : first(before))];
    });
    k.store(cx.draft.user.initialGradients[stage.state], first);
  });
  for (const id of sums) cx.left.add(id);
}
