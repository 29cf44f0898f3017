import type { ElementStage, NodeId, Root, ScanProgram, Stage } from '../../ir/scan/scan.js';
import { stageOperands, stageResults } from '../../ir/scan/scan.js';
import { storesScores } from './carry.js';
import {
  AFTER_SITE, CHUNK_SITE, contextOf, isWanted, markStored, needed, REST_SITE, stageName, want, type Context, type Site,
} from './context.js';
import { firstTokens, lastTokens } from './delays.js';
import type { Draft } from './draft.js';
import { elementAdjointKernel, elementKernel, elementSite, leaveSum, runSums } from './element.js';
import { gradientKernels } from './gradient-kernels.js';
import { partsOf, roundedFor, storedFor, walkSite, type Parts } from './parts.js';
import { prepareKernel, storeStatic, storeValues } from './prepare.js';
import { reverseKernels } from './reverse.js';
import { heavyRoots } from './once.js';
import { isFused, storeRoot, sumKernels } from './roots.js';
import { valuesIn } from './values.js';
import { isSegmented, lastKernels } from './segments.js';
import { walkKernels } from './walk.js';
import { madeInWalks, storeUnlessCut } from './walk-made.js';

function siteOf(cx: Context, stage: Stage): Site {
  switch (stage.kind) {
    case 'matrix': return walkSite(partsOf(cx.graph, stage, cx.range));
    case 'element': return elementSite(cx, stage);
    case 'matrix-adjoint': return CHUNK_SITE;
    case 'element-adjoint': return elementSite(cx, stage.of);
  }
}

/** Stages whose results a stage's last kernel computes itself. */
function ownResults(cx: Context, at: number): readonly number[] {
  const stage = cx.program.stages[at];
  if (stage.kind !== 'element-adjoint') return [at];
  return [at, cx.program.stages.indexOf(stage.of)];
}

/**
 * Which roots the last kernel of each stage stores; the others need a kernel of their own. Marks the results that have to be stored for
 * that.
 */
function assignRoots(cx: Context, homeOf: (root: Root) => number): ReadonlyMap<number, readonly Root[]> {
  const assigned = new Map<number, Root[]>();
  const heavy = heavyRoots(cx);
  for (const root of cx.program.roots) {
    if (hasKernel(root)) {
      if (root.value !== undefined) want(cx, [root.value], []);
      continue;
    }
    if (cx.cuts.isAfter(root)) {
      assigned.set(-1, [...(assigned.get(-1) ?? []), root]);
      continue;
    }
    const home = homeOf(root);
    const apart = home >= 0 && cx.program.stages[home].kind === 'matrix-adjoint' && heavy.has(root);
    const fused = home >= 0 && !apart && isFused(cx, siteOf(cx, cx.program.stages[home]), root, ownResults(cx, home));
    const key = fused ? home : -1;
    assigned.set(key, [...(assigned.get(key) ?? []), root]);
    if (root.value === undefined) continue;
    const sums = fused || home < 0 || cx.program.stages[home].kind !== 'element-adjoint' ? [] : leaveSums(cx, home, root.value);
    want(cx, [root.value], fused || sums.length > 0 ? ownResults(cx, home) : []);
  }
  cx.program.stages.forEach((stage, at) => {
    if (stage.kind !== 'element-adjoint') return want(cx, stageOperands(stage), []);
    want(cx, stageOperands(stage), ownResults(cx, at));
    // What a chunk kernel has to make of the cotangents beforehand may read the scan's own results.
    return want(cx, needed(cx, siteOf(cx, stage), stageOperands(stage), [at]), []);
  });
  return assigned;
}

/** Has the scan `at` leave sums over its blocks, so that a value that folds their axis needs nothing else of it. */
function leaveSums(cx: Context, at: number, value: NodeId): readonly NodeId[] {
  const site = siteOf(cx, cx.program.stages[at]);
  if (site.kind !== 'walk' || site.split === undefined || cx.draft.runs === undefined) return [];
  // States of one axis are no larger than the tensors.
  if (site.allowed.length < 2) return [];
  const sums = runSums(cx, site, value, ownResults(cx, at)) ?? [];
  let length = cx.draft.runs;
  while (cx.draft.sizeOf(site.split) % length !== 0) length /= 2;
  if (length === 1) return [];
  for (const id of sums) leaveSum(cx, id, at, site.split, length);
  return sums;
}

/** Roots at a sequence's ends have kernels of their own. */
const hasKernel = (root: Root) => root.kind === 'final' || root.kind === 'initial-gradient';

const valuesOf = (roots: readonly Root[]) => roots.flatMap((root) => (root.value === undefined ? [] : [root.value]));

/** Kernels for the roots that no walk stores. */
function restKernel(cx: Context, site: Site, roots: readonly Root[], name: string, doc: string): void {
  cx.draft.kernel(cx.name, { name, doc, outer: 'chunk', inner: 'head' }, (k) => {
    const values = valuesIn(cx, k, site);
    for (const root of roots) storeRoot(cx, k, values, root, false);
  });
}

/** Forward: for every stage what does not depend on its state, then its walk, with outputs made where their last ingredient is. */
export function lowerForward(draft: Draft, program: ScanProgram, name: 'forward' | 'ends' = 'forward'): void {
  const cx = contextOf(draft, name, program);
  const roots = assignRoots(cx, (root) => (root.value === undefined ? -1 : cx.graph.home(root.value)));
  program.stages.forEach((stage, index) => {
    const mine = roots.get(index) ?? [];
    switch (stage.kind) {
      case 'matrix': {
        const parts = partsOf(cx.graph, stage, cx.range);
        const ids = storedFor(cx, parts, index, valuesOf(mine));
        const made = leaveToWalks(cx, parts, ids);
        prepareKernel(cx, parts, index, ids.filter((id) => !made.includes(id)), storesScores(cx, parts));
        if (mine.length === 0 && !resultsWanted(cx, index)) {
          // A state that is walked again ends the first time.
          if (stage.walk > 0) return;
          if (isSegmented(cx, parts)) return lastKernels(cx, parts, index);
        }
        storeUnlessCut(cx, index, made);
        walkKernels(cx, parts, index, {
          keep: false, made, final: stage.walk === 0, epilogueValues: valuesOf(mine),
          epilogue: (k, values) => mine.forEach((root) => storeRoot(cx, k, values, root, false)),
        });
        return;
      }
      case 'element':
        elementKernel(cx, stage, index, mine, { final: true, entries: false });
        return;
      case 'matrix-adjoint': case 'element-adjoint': throw new Error('an adjoint in a forward program');
    }
  });
  restKernel(cx, CHUNK_SITE, roots.get(-1) ?? [], 'epilogue', 'Outputs from the results of all scans.');
  lastTokens(cx);
}

/** Says which of the values that walks of a stage read they make themselves. */
function leaveToWalks(cx: Context, parts: Parts, ids: readonly NodeId[]): readonly NodeId[] {
  const made = madeInWalks(cx, parts, ids);
  made.forEach((id) => cx.made.add(id));
  return made;
}

/** Does another kernel than its walk read a result of the stage? */
function resultsWanted(cx: Context, index: number): boolean {
  return stageResults(cx.program.stages[index]).some((_, slot) => isWanted(cx, index, slot));
}

/** Does the adjoint of an elementwise stage need its states? */
function statesNeeded(cx: Context, stage: ElementStage, index: number, roots: ReadonlyMap<number, readonly Root[]>): boolean {
  const at = cx.program.stages.findIndex((other) => other.kind === 'element-adjoint' && other.of === stage);
  const adjoint = cx.program.stages[at];
  const given = adjoint.kind === 'element-adjoint' ? adjoint.given.filter((id) => id !== undefined) : [];
  const reached = cx.graph.results([...given, ...valuesOf(roots.get(at) ?? []), ...sumsOf(cx, at)]);
  return [0, 1].some((slot) => reached.has(index, slot));
}

/** What the scan `at` leaves of sums over the axis along which it is split. */
function sumsOf(cx: Context, at: number): readonly NodeId[] {
  return [...cx.sums].flatMap(([id, { by }]) => (by === at ? [id] : []));
}

/** Backward: the states again, then stage by stage against time, each followed by the gradients that are complete with it. */
export function lowerBackward(draft: Draft, program: ScanProgram, name: 'backward' | 'reverse_ends' = 'backward'): void {
  const cx = contextOf(draft, name, program);
  const adjoints = program.stages.filter((stage) => stage.kind === 'matrix-adjoint');
  const lastChunk = adjoints.length === 0 ? -1 : program.stages.indexOf(adjoints[adjoints.length - 1]);
  const firstAdjoint = program.stages.findIndex((stage) => stage.kind === 'matrix-adjoint' || stage.kind === 'element-adjoint');
  const roots = assignRoots(cx, (root) => {
    // What other chunks leave is there when all are done.
    if (root.value !== undefined && cx.graph.readsAhead(root.value)) return -1;
    const home = root.value === undefined ? -1 : cx.graph.home(root.value);
    if (home >= firstAdjoint && firstAdjoint >= 0) return home;
    // The adjoint of an elementwise scan makes the states again.
    const again = program.stages.findIndex((stage) => stage.kind === 'element-adjoint' && stage.of === program.stages[home]);
    return lastChunk >= 0 ? lastChunk : again;
  });
  /** Do gradients ask for more of an adjoint than what flows out of it before the first token? */
  const keeps = (at: number) => (roots.get(at) ?? []).length > 0 || resultsWanted(cx, at);
  program.stages.forEach((stage, index) => {
    const mine = roots.get(index) ?? [];
    switch (stage.kind) {
      case 'matrix': {
        const parts = partsOf(cx.graph, stage, cx.range);
        const rounded = roundedFor(cx.graph, parts);
        const scores = storesScores(cx, parts) && (parts.channels || parts.erasing.length > 0 || resultsWanted(cx, index));
        const ids = storedFor(cx, parts, index, [], stageOperands(stage));
        const keep = program.stages.some((other, at) => other.kind === 'matrix-adjoint' && other.of === stage && keeps(at));
        const walked = keep || resultsWanted(cx, index);
        const made = walked ? leaveToWalks(cx, parts, ids.filter((id) => !rounded.includes(id))) : [];
        prepareKernel(cx, parts, index, [...new Set([...ids.filter((id) => !made.includes(id)), ...rounded])], scores);
        rounded.forEach((id) => cx.rounded.add(id));
        if (!walked) return;
        storeUnlessCut(cx, index, made);
        walkKernels(cx, parts, index, { keep, made, final: false, epilogueValues: [], epilogue: () => undefined });
        return;
      }
      case 'element':
        elementKernel(cx, stage, index, [], { final: false, entries: statesNeeded(cx, stage, index, roots) });
        return;
      case 'matrix-adjoint': {
        const forward = program.stages.indexOf(stage.of);
        const parts = partsOf(cx.graph, stage.of, cx.range);
        const given = stage.given.filter((id) => id !== undefined);
        const rounded = roundedFor(cx.graph, parts, stage);
        const wanted = [...new Set([...needed(cx, walkSite(parts), given, [index]), ...rounded])].filter((id) => !cx.stored.has(id));
        const name = stageName(cx, index);
        const store = storeStatic(cx, name, wanted);
        draft.kernel(cx.name, {
          name: `${name}_given`, doc: `Cotangents of what was read of ${name}.`, outer: 'chunk', inner: 'head',
        }, (k) => {
          storeValues(cx, k, valuesIn(cx, k, CHUNK_SITE), store);
        });
        markStored(cx, store);
        rounded.forEach((id) => cx.rounded.add(id));
        reverseKernels(cx, parts, forward, stage, keeps(index));
        gradientKernels({ cx, parts, index: forward, at: index, adjoint: stage }, mine);
        return;
      }
      case 'element-adjoint':
        elementAdjointKernel(cx, stage, index, program.stages.indexOf(stage.of), mine, sumsOf(cx, index));
        return;
    }
  });
  const rest = roots.get(-1) ?? [];
  const heavy = heavyRoots(cx);
  const why = (some: readonly Root[]) => (
    some.some((root) => heavy.has(root)) ? ', apart from the kernels of the scans: more work for each channel than those have registers for'
    : ''
  );
  const kept = rest.filter((root) => root.kind === 'kept');
  const others = rest.filter((root) => root.kind !== 'kept');
  restKernel(cx, REST_SITE, kept, 'kept', `Cotangents that other tokens read${why(kept)}.`);
  restKernel(cx, cx.cuts.left.size > 0 ? AFTER_SITE : REST_SITE, others, 'gradients', `Gradients that no scan yields${why(others)}.`);
  firstTokens(cx);
  sumKernels(cx);
}
