import type { Axis } from '../../ir/common/axes.js';
import { includesAll, unionAxes } from '../../ir/common/axes.js';
import {
  ancestorsOf, decayOperands, nodeArguments, stageResults, type NodeId, type Root, type ScanProgram, type Stage,
} from '../../ir/scan/scan.js';
import type { TileBuffer } from '../../ir/tile/tile.js';
import type { Range } from '../../ir/common/range.js';
import { rangeOf } from '../normalize/ranges.js';
import { cutsOf, NO_CUTS, type Cuts } from './cuts.js';
import type { Draft } from './draft.js';
import { graphOf, type Graph } from './graph.js';
import type { ProgramName } from './programs.js';
import { pairs, type Pairs } from '../../support/pairs.js';

/** One program of a module (forward or backward) while its kernels are being written. */
export interface Context {
  readonly draft: Draft;
  readonly name: ProgramName;
  readonly program: ScanProgram;
  readonly graph: Graph;
  /** Results that some kernel other than their stage's own walk reads: those are stored. */
  readonly wanted: Pairs<true>;
  /** Values that a chunk kernel has stored for walks. */
  readonly stored: Map<NodeId, TileBuffer>;
  /** Values that walks make themselves, until one has stored them. */
  readonly made: Set<NodeId>;
  /** Those among the stored that gradients load, too. */
  readonly rounded: Set<NodeId>;
  /** Sums over the axis along which a scan is split: what it will leave of them. */
  readonly sums: Map<NodeId, RunSums>;
  /** Those of them that are there, for whoever comes later. */
  readonly left: Set<NodeId>;
  /** Where cotangents that other tokens read are cut: `program` has what is left in the place of what is read. */
  readonly cuts: Cuts;
  /** What decays are made of: stored in f32. */
  readonly exact: ReadonlySet<NodeId>;
  /** Where a value lies, as far as declared ranges tell. */
  range(id: NodeId): Range;
}

/** A sum, by runs of neighbours along the axis that it folds. */
export interface RunSums {
  readonly buffer: TileBuffer;
  readonly axis: Axis;
  readonly length: number;
  /** The stage that leaves it: others may have a part in what is summed. */
  readonly by: number;
}

export function contextOf(draft: Draft, name: ProgramName, program: ScanProgram): Context {
  const exact = ancestorsOf(program.nodes, program.stages.flatMap(decayOperands));
  const graph = graphOf(program.nodes, draft.sizeOf);
  const ranges = new Map<NodeId, Range>();
  const range = (id: NodeId) => rangeOf(graph.builder, draft.spec, id, ranges);
  const cuts = draft.slides ? cutsOf(graph, program) : NO_CUTS;
  return {
    draft, name, program: withCuts(program, cuts), graph, wanted: pairs(), stored: new Map(), made: new Set(), rounded: new Set(),
    sums: new Map(), left: new Set(), cuts, exact, range,
  };
}

/** Kernels of scans keep what is left of a cotangent in its place, once for all that are made of it. */
function withCuts(program: ScanProgram, { left }: Cuts): ScanProgram {
  if (left.size === 0) return program;
  const kept = new Set<NodeId>();
  const roots = program.roots.flatMap((root): Root[] => {
    if (root.kind !== 'kept') return [root];
    const value = left.get(root.value) ?? root.value;
    if (kept.has(value)) return [];
    kept.add(value);
    return [{ ...root, value }];
  });
  return { ...program, roots };
}

/**
 * Where values are computed. A walk computes along `allowed` axes only and folds nothing along `split`; chunk kernels, also those of
 * gradients, and token loops anything.
 */
export type Site =
  | { readonly kind: 'chunk' | 'gradients' | 'rest' | 'after' }
  | { readonly kind: 'token' }
  | { readonly kind: 'walk'; readonly allowed: readonly Axis[]; readonly split: Axis | undefined };

export const CHUNK_SITE: Site = { kind: 'chunk' };
export const GRADIENTS_SITE: Site = { kind: 'gradients' };
export const REST_SITE: Site = { kind: 'rest' };
/** When all that is left for other tokens is there. */
export const AFTER_SITE: Site = { kind: 'after' };
export const TOKEN_SITE: Site = { kind: 'token' };

/** In names of kernels, which may be taken, and in what is said of them. */
export function stageName(cx: Context, stage: number): string {
  return named(cx, stage, '_');
}

/** Before the dot of workspaces, which nothing else has: names that users write have no dots. */
export function stageKey(cx: Context, stage: number): string {
  return named(cx, stage, '.');
}

function named(cx: Context, stage: number, dot: string): string {
  const { name } = cx.draft.spec.states[stateOf(cx.program.stages[stage])];
  const walk = walkOf(cx.program.stages[stage]);
  if (walk === 0) return name;
  // Another state may be called so.
  const names = cx.draft.spec.states.map((state) => state.name);
  let suffix = `walk${walk + 1}`;
  while (names.includes(`${name}_${suffix}`)) suffix += '_';
  return `${name}${dot}${suffix}`;
}

/** How many walks over the same state come before. */
export function walkOf(stage: Stage): number {
  switch (stage.kind) {
    case 'matrix': return stage.walk;
    case 'matrix-adjoint': return stage.of.walk;
    case 'element': case 'element-adjoint': return 0;
  }
}

export function stateOf(stage: Stage): number {
  switch (stage.kind) {
    case 'matrix': case 'element': return stage.state;
    case 'matrix-adjoint': case 'element-adjoint': return stage.of.state;
  }
}

/** Where a result waits for other kernels: in f32, since a softmax or a norm that comes next takes small differences of it. */
export function resultBuffer(cx: Context, stage: number, slot: number): TileBuffer {
  const s = cx.program.stages[stage];
  const side = s.kind === 'matrix' || s.kind === 'element' ? 'result' : 'adjoint';
  return cx.draft.workspace(`${stageKey(cx, stage)}.${side}${slot}`, 'row', stageResults(s)[slot], 'f32');
}

export function isWanted(cx: Context, stage: number, slot: number): boolean {
  return cx.wanted.has(stage, slot);
}

/** Marks what a kernel reads of other stages; `own` are the stages whose results it computes itself. */
export function want(cx: Context, ids: readonly NodeId[], own: readonly number[]): void {
  for (const [stage, slot] of cx.graph.results(ids).keys()) if (!own.includes(stage)) cx.wanted.set(stage, slot, true);
}

/**
 * Which of several values is the largest or least: asked where both the values and their extremum are made, since another kernel's
 * roundings would tell the extremum from all of them.
 */
function isChoice(cx: Context, id: NodeId): boolean {
  const node = cx.graph.node(id);
  if (node.kind !== 'map' || node.fn !== 'less') return false;
  return node.args.map(cx.graph.node).some((arg) => arg.kind === 'reduce' && arg.op !== 'sum');
}

/** Can a walk compute the value from what it may load? Tensors in memory are loaded whatever their axes. */
export function isInline(cx: Context, site: Site, id: NodeId, known = new Map<NodeId, boolean>()): boolean {
  if (site.kind !== 'walk' || cx.stored.has(id) || cx.graph.literal(id) !== undefined) return true;
  const found = known.get(id);
  if (found !== undefined) return found;
  const node = cx.graph.node(id);
  const inline = ((): boolean => {
    switch (node.kind) {
      case 'literal': case 'size': case 'head': case 'heads': case 'param': case 'input': case 'cotangent': case 'result': return true;
      // Walks load the tokens of their chunk only.
      case 'past': case 'ahead': case 'last': return false;
      case 'map':
        return !isChoice(cx, id) && includesAll(site.allowed, node.axes) && node.args.every((arg) => isInline(cx, site, arg, known));
      case 'reduce': return node.axis !== site.split && includesAll(
        site.allowed, [node.axis, ...node.axes],
      ) && isInline(cx, site, node.arg, known);
    }
  })();
  known.set(id, inline);
  return inline;
}

/**
 * Values that have to be stored beforehand so that the site can have `id`; undefined if that does not help, since they depend on results
 * of stages that only this site has (`own`).
 */
export function frontier(
  cx: Context, site: Site, id: NodeId, own: readonly number[], known = new Map<NodeId, readonly NodeId[] | undefined>(),
): readonly NodeId[] | undefined {
  if (site.kind !== 'walk' || isInline(cx, site, id)) return [];
  if (known.has(id)) return known.get(id);
  const found = frontierOf(cx, site, id, own, known);
  known.set(id, found);
  return found;
}

function frontierOf(
  cx: Context, site: Site & { readonly kind: 'walk' }, id: NodeId, own: readonly number[],
  known: Map<NodeId, readonly NodeId[] | undefined>,
): readonly NodeId[] | undefined {
  const node = cx.graph.node(id);
  const storable = cx.graph.home(id) < Math.max(...own) && cx.graph.results([id]).keys().every(([stage]) => !own.includes(stage));
  const descend = (): readonly NodeId[] | undefined => {
    if (node.kind !== 'map' || !includesAll(site.allowed, node.axes)) return undefined;
    const parts = nodeArguments(node).map((arg) => frontier(cx, site, arg, own, known));
    return parts.every((part) => part !== undefined) ? [...new Set(parts.flat())] : undefined;
  };
  // A vector over the split axis is cheaper made again than read back; a number per token is not.
  if (node.axes.length > 0 && !isChoice(cx, id) && !(storable && joinsPast(cx, id))) {
    const parts = descend();
    if (parts !== undefined) return parts;
  }
  return storable ? [id] : descend();
}

/** Is several tensors, tokens before among them, brought together to one? That is then what is stored, with functions of it alone. */
function joinsPast(cx: Context, id: NodeId): boolean {
  const node = cx.graph.node(id);
  if (node.kind === 'past') return true;
  if (node.kind !== 'map' || !cx.graph.readsBack(id)) return false;
  if (node.args.length === 1) return joinsPast(cx, node.args[0]);
  return node.args.filter((arg) => !cx.graph.isStatic(arg) && cx.graph.axesOf(arg).length > 0).length > 1;
}

/** The frontier of values that are known to be available. */
export function needed(cx: Context, site: Site, ids: readonly NodeId[], own: readonly number[]): readonly NodeId[] {
  return [...new Set(ids.flatMap((id) => {
    const parts = frontier(cx, site, id, own);
    if (parts === undefined) throw new Error(`${cx.draft.spec.name}: value ${id} is not available to stage ${own.join()}`);
    return parts;
  }))];
}

/** What a program makes of values by the way has names of its own: others count what they make from the same number. */
export function valueName(cx: Context, kind: 'value' | 'sum', id: NodeId): string {
  const own = id >= cx.program.nodes.length;
  return `${own ? `${cx.name}.` : ''}${kind}${id}`;
}

/**
 * Where a stored value lies: in io, but numbers per token and what decays are made of in f32; what is the same at every token once per
 * head, in f32.
 */
export function valueBuffer(cx: Context, id: NodeId): TileBuffer {
  const axes = cx.graph.axesOf(id);
  if (cx.graph.isStatic(id)) return cx.draft.workspace(valueName(cx, 'value', id), 'once', axes, 'f32');
  const wide = cx.exact.has(id) || axes.length === 0 || (cx.draft.narrowRange && !cx.graph.isGiven(id));
  return cx.draft.workspace(valueName(cx, 'value', id), 'row', axes, wide ? 'f32' : 'io');
}

/** Where a cotangent waits for those who read it from other tokens: in f32 where it becomes the gradient of something that is. */
export function keptBuffer(cx: Context, id: NodeId): TileBuffer {
  const { inputs } = cx.draft.user;
  const wide = (at: NodeId): boolean => {
    const node = cx.graph.node(at);
    return (node.kind === 'input' && inputs[node.input].dtype === 'f32') || nodeArguments(node).some(wide);
  };
  const roots = cx.program.roots.filter((root) => root.kind === 'kept' && root.value === id);
  const exact = roots.some((root) => root.kind === 'kept' && wide(root.from));
  return cx.draft.workspace(`kept${id}`, 'row', cx.graph.axesOf(id), exact || cx.graph.axesOf(id).length === 0 ? 'f32' : 'io');
}

/** Says that a kernel has stored the values. */
export function markStored(cx: Context, ids: readonly NodeId[]): void {
  for (const id of ids) cx.stored.set(id, valueBuffer(cx, id));
}

/** Where a site finds a value that was stored for it. */
export function storedAt(cx: Context, site: Site, id: NodeId): TileBuffer | undefined {
  switch (site.kind) {
    case 'chunk': case 'token': return undefined;
    case 'walk': return cx.stored.get(id);
    // Numbers are stored as they are; vectors may be rounded. What joins tokens takes most loads to make again.
    case 'rest': return cx.graph.axesOf(id).length === 0 ? cx.stored.get(id) : undefined;
    case 'after': return cx.cuts.isLeft(id) ? keptBuffer(cx, id) : storedAt(cx, REST_SITE, id);
    case 'gradients':
      return cx.rounded.has(id) || cx.graph.axesOf(id).length === 0 || cx.graph.readsBack(id) ? cx.stored.get(id) : undefined;
  }
}

/** The largest axis; undefined for none. */
export function largestAxis(draft: Draft, axes: readonly Axis[]): Axis | undefined {
  return unionAxes(axes).reduce<Axis | undefined>(
    (best, axis) => (best === undefined || draft.sizeOf(axis) > draft.sizeOf(best) ? axis : best), undefined,
  );
}
