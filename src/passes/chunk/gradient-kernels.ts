import { ROW, type Axis } from '../../ir/common/axes.js';
import { buildKernel, type KernelBuilder, type KernelHead } from '../../ir/tile/build.js';
import { storedBuffers } from '../../ir/tile/buffers.js';
import type { TileId } from '../../ir/tile/tile.js';
import type { MatrixAdjoint, Root } from '../../ir/scan/scan.js';
import { stageBuffers } from './buffers.js';
import { GRADIENTS_SITE, isWanted, resultBuffer, stageName, type Context } from './context.js';
import { factorGradient } from './factor-gradient.js';
import { gateGradient, readTerms, stateTerm } from './gate-gradient.js';
import { resultKey } from './graph.js';
import { gradientsIn, type Gradients } from './gradients.js';
import { liveBytes } from './live.js';
import type { Parts } from './parts.js';
import { givenTile } from './reverse.js';
import { storeRoot } from './roots.js';
import { plus } from './tiles.js';
import { valuesIn, type Values } from './values.js';

/** What gradients are of: the row vectors of readers, written values, the column vectors of sources, a factor gate. That of a log gate goes with `columns`, or with `values`. */
type Side = 'rows' | 'values' | 'columns' | 'factor';

/** Ways to share the work between kernels, the best first: each makes again what it needs of the scores' cotangents. */
const PLANS: readonly (readonly (readonly Side[])[])[] = [
  [['rows', 'values', 'columns']],
  [['rows', 'values'], ['columns']],
  [['rows'], ['values'], ['columns']],
];

/** One matrix stage and its adjoint, stage `at` of the program. */
interface Place {
  readonly cx: Context;
  readonly parts: Parts;
  /** The stage itself. */
  readonly index: number;
  readonly at: number;
  readonly adjoint: MatrixAdjoint;
}

/** Sides of the results of the adjoint, in slot order. */
function sidesOf(parts: Parts): readonly Side[] {
  const sources = parts.sources.flatMap((source): readonly Side[] => [
    'columns', ...(source.value === undefined ? [] : ['values'] as const), ...(source.erase === undefined ? [] : ['rows'] as const),
  ]);
  const gate: readonly Side[] = parts.gate.kind === 'none' ? [] : [parts.gate.factor !== undefined ? 'factor' : alongValue(parts) ? 'values' : 'columns'];
  return [...parts.reads.map(() => 'rows' as const), ...sources, ...gate];
}

/** A gate along the value axis: its gradient comes from what is read and written, not from the vectors. */
const alongValue = (parts: Parts) => parts.gate.kind === 'channel' && !parts.channels;
const isLog = ({ gate }: Parts) => gate.kind !== 'none' && gate.factor === undefined;

/** How to make the results of the adjoint, in slot order. `reads`: what reads add to the gradient of the gate, if another kernel knows. */
function resultsOf({ parts, adjoint }: Place, values: Values, gradients: Gradients, reads: (() => TileId) | undefined): readonly (() => TileId)[] {
  const { k } = gradients;
  const { sources, erasing, stage } = parts;
  const zero = (axes: readonly string[]) => k.zeros([ROW, ...axes]);
  const valueGradient = (j: number): TileId | undefined => {
    if (erasing.includes(j)) return gradients.readCotangent({ kind: 'erase', index: j });
    const exported = stage.exported.flatMap((source, i) => (source === j ? [givenTile(k, parts, values, adjoint.given[parts.reads.length + i])] : []));
    return plus(k, gradients.pure(j), ...exported);
  };
  const results: (() => TileId)[] = parts.reads.map((_, r) => () => gradients.row({ kind: 'read', index: r }) ?? zero([parts.row]));
  sources.forEach((source, j) => {
    results.push(() => gradients.col(j) ?? zero([parts.row]));
    if (source.value !== undefined) results.push(() => valueGradient(j) ?? zero(stage.valueAxes));
    if (source.erase !== undefined) results.push(() => gradients.row({ kind: 'erase', index: j }) ?? zero([parts.row]));
  });
  const { gate } = parts;
  if (gate.kind !== 'none') results.push(() => (gate.factor === undefined ? gateGradient(gradients, reads?.()) : factorGradient(gradients, values, gate.factor)));
  return results;
}

/** Makes early what lets tensors go: cotangents of scores, then the products with the states. */
function begin(gradients: Gradients, sides: readonly Side[]): void {
  const { parts, readers, writers } = gradients;
  for (const reader of readers) for (const j of writers) gradients.scoreCotangent({ reader, j });
  if (sides.includes('rows')) readers.forEach(gradients.rowInter);
  else if (isLog(parts) && !alongValue(parts)) {
    stateTerm(gradients);
    writers.forEach(gradients.colInter);
  }
}

interface GradientKernel {
  readonly head: KernelHead;
  readonly write: (k: KernelBuilder) => void;
  /** An axis with tiles of f32 along it, several of them at once. */
  readonly blocks?: Axis;
}

/** The kernels of one plan. */
function kernelsOf(place: Place, plan: readonly (readonly Side[])[], roots: readonly Root[]): readonly GradientKernel[] {
  const { cx, parts, index, at, adjoint } = place;
  const name = stageName(cx, index);
  const buffers = stageBuffers(cx, parts, index);
  const sides = sidesOf(parts);
  const kernelOf = (side: Side) => plan.findIndex((some) => some.includes(side));
  const slotsOf = (root: Root): readonly number[] => {
    const known = cx.graph.results(root.value === undefined ? [] : [root.value]);
    return sides.map((_, slot) => slot).filter((slot) => known.has(resultKey(at, slot)));
  };
  /** The kernel that knows all that a root needs. */
  const home = (root: Root) => {
    const slots = slotsOf(root);
    return slots.length === 0 ? plan.length - 1 : Math.max(...slots.map((slot) => kernelOf(sides[slot])));
  };
  const passed = new Set(roots.flatMap((root) => slotsOf(root).filter((slot) => kernelOf(sides[slot]) < home(root))));
  const many = plan.filter((some) => !some.includes('factor')).length > 1;
  const apart = isLog(parts) && !alongValue(parts) && kernelOf('rows') !== kernelOf('columns');
  return plan.map((mine, n) => ({
    ...(mine.includes('factor') && parts.gate.kind === 'channel' && { blocks: parts.gate.axis }),
    head: mine.includes('factor') ? { name: `${name}_gradient_factor`, doc: `Gradient of the decay of ${name}, given as a factor.`, outer: 'chunk', inner: 'head' } : {
      name: `${name}_gradients${many ? `_${mine.join('_')}` : ''}`,
      doc: `Gradients of ${many ? `the ${mine.join(' and ')} that` : 'what'} the scan of ${name} reads.`, outer: 'chunk', inner: 'head',
    },
    write: (k) => {
      const values = valuesIn(cx, k, GRADIENTS_SITE);
      const gradients = gradientsIn(cx, k, values, parts, index, adjoint);
      if (many && !mine.includes('factor')) begin(gradients, mine);
      const results = resultsOf(place, values, gradients, apart ? () => k.load(buffers.gateReads()) : undefined);
      results.forEach((make, slot) => mine.includes(sides[slot]) && values.bind(at, slot, make));
      if (apart && mine.includes('rows')) k.store(buffers.gateReads(), readTerms(gradients) ?? k.zeros([]));
      cx.graph.builder.nodes.forEach((node, id) => {
        if (node.kind !== 'result' || node.stage !== at || !mine.includes(sides[node.slot])) return;
        if (passed.has(node.slot) || isWanted(cx, at, node.slot)) k.store(resultBuffer(cx, at, node.slot), values.tile(id));
      });
      for (const root of roots) if (home(root) === n) storeRoot(cx, k, values, root, false);
    },
  }));
}

/** The gradients of a matrix stage, and the roots that need nothing later: in one kernel if its tiles find room in shared memory, else in several. */
export function gradientKernels(place: Place, roots: readonly Root[]): void {
  const { cx } = place;
  const { draft } = cx;
  // That of a factor walks along the tokens, which is nothing for matrix units: a kernel of its own keeps the others on them.
  const first: readonly Side[][] = sidesOf(place.parts).includes('factor') ? [['factor']] : [];
  const live = ({ head, write }: GradientKernel) => liveBytes(buildKernel(head, write), draft.sizeOf, draft.bufferOf);
  const fits = (kernels: readonly GradientKernel[]) => draft.sharedBytes === Infinity || kernels.slice(first.length).every((kernel) => live(kernel) <= draft.sharedBytes);
  const plans = PLANS.map((plan) => kernelsOf(place, [...first, ...plan], roots));
  for (const kernel of plans.find(fits) ?? plans[plans.length - 1]) draft.kernel(cx.name, inBlocks(cx, kernel), kernel.write);
}

/** Blocks of the axis are programs of their own where nothing folds it. */
function inBlocks({ draft }: Context, { head, write, blocks }: GradientKernel): KernelHead {
  if (blocks === undefined) return head;
  const { body } = buildKernel(head, write);
  const folded = body.some((stmt) => stmt.kind === 'loop' || (stmt.kind === 'let' && 'axis' in stmt.op && stmt.op.axis === blocks));
  const everywhere = storedBuffers(body).every((buffer) => draft.bufferOf(buffer).axes.includes(blocks));
  return everywhere && !folded ? { ...head, split: blocks } : head;
}
