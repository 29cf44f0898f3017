import { ROW, twinOf, type AxisPair } from '../../ir/common/axes.js';
import { gateAxes, type NodeId } from '../../ir/scan/scan.js';
import type { KernelBuilder, KernelHead } from '../../ir/tile/build.js';
import type { TileId } from '../../ir/tile/tile.js';
import { stageBuffers } from './buffers.js';
import { nextState, writtenTiles, type ChunkWalk } from './carry.js';
import { markStored, stageName, type Context } from './context.js';
import { decaysIn } from './decay.js';
import { walkOperands, walkSite, type Parts } from './parts.js';
import { storeValues } from './prepare.js';
import { inParts, plus, sure } from './tiles.js';
import { hoist, valuesIn } from './values.js';

/**
 * Are the sequences of a stage cut into segments that run at once (docs/algorithms.md: segments)? One rule cuts all stages of a scan, and
 * it is another one for those that erase.
 */
export function isSegmented(cx: Context, parts: Parts): boolean {
  if (!cx.draft.segments) return false;
  return parts.erasing.length === 0 || cx.program.stages.every((stage) => stage.kind !== 'matrix' || isMapped(stage));
}

/** Has a run of chunks one map of the row axis onto itself, whatever the value channel, and is it worth a walk of its own? */
function isMapped({ rowAxis, valueAxes, gate, sources }: Parts['stage']): boolean {
  return valueAxes.length === 1 && sources.some((source) => source.erase !== undefined) && !gateAxes(gate).some((axis) => axis !== rowAxis);
}

/** Rows and columns of what a segment makes of a state. */
const mapAxes = ({ row }: Parts): AxisPair => [row, twinOf(row)];

/** The same recurrence as a map: nothing is written but what it erases, and the value axis is that of the states it maps. */
function mapOf(parts: Parts): Parts {
  const [, columns] = mapAxes(parts);
  const sources = parts.sources.map((source) => ({ ...source, value: undefined }));
  return { ...parts, stage: { ...parts.stage, valueAxes: [columns] }, value: columns, sources, reads: [], pure: [] };
}

/** A state after a segment that adds nothing to it; `against` time: a cotangent before it. */
export function acrossSegment(k: KernelBuilder, cx: Context, parts: Parts, index: number, state: TileId, against: boolean): TileId {
  const buffers = stageBuffers(cx, parts, index);
  if (parts.erasing.length === 0) return parts.gate.kind === 'none' ? state : k.mul(k.load(buffers.span()), state);
  const [rows, columns] = mapAxes(parts);
  const [map, ...rest] = buffers.map(columns).map((buffer) => k.load(buffer));
  const times = (some: TileId, part: TileId) => (
    against ? k.contract(some, part, rows) : k.contract(some, k.swap(part, [rows, columns]), columns)
  );
  const [first, ...others] = inParts(k, state, rest.length > 0);
  const total = sure(plus(k, times(map, first), ...others.map((part) => times(map, part)), ...rest.map((part) => times(part, first))));
  return against ? k.swap(total, [rows, columns]) : total;
}

/** What segments hand on: not asked for where runs have one segment and its walk tells all; or the one way to the end of a run. */
type Cut = true | undefined;

/** Values that a walk makes of what is in memory, and stores for those who come later. */
export type Made = readonly NodeId[];

/**
 * Where every segment starts: what it adds, of which the last one's is not asked for, what it makes of the state before it, then the states
 * along the segments. What is `made` on the way is stored: the tokens of all segments are come to again.
 */
export function segmentKernels(cx: Context, parts: Parts, index: number, made: Made): void {
  spanKernel(cx, parts, index, true);
  endsKernel(cx, parts, index, true, made);
  markStored(cx, made);
  mapsKernel(cx, parts, index, true);
  cx.draft.kernel(cx.name, {
    name: `${stageName(cx, index)}_join`, doc: `The state of ${stageName(cx, index)} at every segment's start.`,
    outer: 'run', inner: 'head', split: parts.value, cut: true,
  }, (k) => {
    const { entry } = stageBuffers(cx, parts, index);
    alongSegments(cx, k, parts, index, (state) => k.store(entry(false), state));
  });
}

/** What segments make of a state, where that is all that others want of them. */
export function acrossKernels(cx: Context, parts: Parts, index: number): void {
  spanKernel(cx, parts, index, undefined);
  mapsKernel(cx, parts, index, undefined);
}

/** The last state alone: every token is read once, where walks that read the state along the way come to most segments twice. */
export function lastKernels(cx: Context, parts: Parts, index: number): void {
  acrossKernels(cx, parts, index);
  endsKernel(cx, parts, index, undefined, []);
  const name = stageName(cx, index);
  cx.draft.kernel(cx.name, {
    name: `${name}_last`, doc: `The state of ${name} after the last token.`, outer: 'run', inner: 'head', split: parts.value,
  }, (k) => k.store(cx.draft.user.finals[parts.stage.state], alongSegments(cx, k, parts, index, () => undefined)));
}

/** The state after all segments. */
function alongSegments(cx: Context, k: KernelBuilder, parts: Parts, index: number, before: (state: TileId) => void): TileId {
  const [last] = k.loop('segments', false, [k.load(cx.draft.user.initials[parts.stage.state])], ([state]) => {
    before(state);
    return [k.add(acrossSegment(k, cx, parts, index, state, false), k.load(stageBuffers(cx, parts, index).local(false)))];
  });
  return last;
}

function endsKernel(cx: Context, parts: Parts, index: number, cut: Cut, made: Made): void {
  const head = { name: `${stageName(cx, index)}_ends`, doc: `What every segment adds to ${stageName(cx, index)} by its end.` };
  const zeros = (k: KernelBuilder) => k.zeros([parts.row, ...parts.stage.valueAxes]);
  const idle = cut && made.length === 0 ? { idle: 'last' } as const : {};
  overSegment(cx, parts, index, { ...head, cut, ...idle }, zeros, (k, last) => {
    k.store(stageBuffers(cx, parts, index).local(false), last);
  }, made);
}

function mapsKernel(cx: Context, parts: Parts, index: number, cut: Cut): void {
  if (parts.erasing.length === 0) return;
  const name = stageName(cx, index);
  const axes = mapAxes(parts);
  // Backward needs the last one's, too.
  const maps = { name: `${name}_maps`, doc: `What every segment makes of the ${name} before it.`, cut };
  overSegment(cx, mapOf(parts), index, maps, (k) => k.identity(axes), (k, last) => {
    const to = stageBuffers(cx, parts, index).map(axes[1]);
    inParts(k, last, to.length > 1).forEach((part, i) => k.store(to[i], part));
  });
}

/** The recurrence along every segment. */
function overSegment(
  cx: Context, parts: Parts, index: number, head: Pick<KernelHead, 'name' | 'doc' | 'idle' | 'cut'>,
  start: (k: KernelBuilder) => TileId, finish: (k: KernelBuilder, last: TileId) => void, made: Made = [],
): void {
  const site = walkSite(parts);
  cx.draft.kernel(cx.name, { ...head, outer: 'segment', inner: 'head', split: parts.value }, (k) => {
    const outside = valuesIn(cx, k, site);
    hoist(cx, outside, site, walkOperands(parts));
    const [last] = k.loop('chunks', false, [start(k)], ([state]) => {
      const values = valuesIn(cx, k, site, outside);
      const w: ChunkWalk = { k, cx, parts, index, values, decays: decaysIn(k, parts, values) };
      storeValues(cx, k, values, made);
      return [nextState(w, state, writtenTiles(w, state))];
    });
    finish(k, last);
  });
}

/** The decay of every segment, where that is all it makes of a state: not split, since it has no value axis. */
function spanKernel(cx: Context, parts: Parts, index: number, cut: Cut): void {
  const { gate } = parts;
  if (gate.kind === 'none' || parts.erasing.length > 0) return;
  const buffers = stageBuffers(cx, parts, index);
  const site = walkSite(parts);
  const name = stageName(cx, index);
  cx.draft.kernel(cx.name, {
    name: `${name}_spans`, doc: `The decay of every segment of ${name}.`, outer: 'segment', inner: 'head', cut,
  }, (k) => {
    const outside = valuesIn(cx, k, site);
    if (!parts.channels) hoist(cx, outside, site, [gate.log]);
    const start = parts.channels ? k.add(k.zeros(gateAxes(gate)), k.literal(1)) : k.zeros(gateAxes(gate));
    const [total] = k.loop('chunks', false, [start], ([sum]) => {
      if (parts.channels) return [k.mul(sum, k.load(buffers.whole()))];
      return [k.add(sum, k.reduce('sum', ROW, decaysIn(k, parts, valuesIn(cx, k, site, outside)).log()))];
    });
    k.store(buffers.span(), parts.channels ? total : k.exp(total));
  });
}
