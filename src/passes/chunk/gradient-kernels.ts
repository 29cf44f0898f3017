import { ROW, type Axis } from '../../ir/common/axes.js';
import { buildKernel, type KernelBuilder } from '../../ir/tile/build.js';
import { storedBuffers } from '../../ir/tile/buffers.js';
import type { TileId } from '../../ir/tile/tile.js';
import { adjointSlots, gateAxes, type AdjointSlot, type MatrixAdjoint, type Root } from '../../ir/scan/scan.js';
import { stageBuffers } from './buffers.js';
import { GRADIENTS_SITE, isWanted, resultBuffer, stageName, type Context } from './context.js';
import { factorGradient } from './factor-gradient.js';
import { gateGradient, readTerms, stateTerm } from './gate-gradient.js';
import { gradientsIn, type Gradients } from './gradients.js';
import type { ScanKernelHead } from './draft.js';
import type { Parts } from './parts.js';
import { TOKENS } from './programs.js';
import { storeRoot } from './roots.js';
import { valuesIn, type Values } from './values.js';

/**
 * What gradients are of: the row vectors of readers, written values, the column vectors of sources, a factor gate. That of a log gate goes
 * with `columns`, or with `values`.
 */
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

const sidesOf = (parts: Parts): readonly Side[] => adjointSlots(parts.stage).map((slot) => sideOf(parts, slot));

function sideOf(parts: Parts, slot: AdjointSlot): Side {
  switch (slot.kind) {
    case 'row': case 'erase': return 'rows';
    case 'col': return 'columns';
    case 'value': return 'values';
    // A gate along a value axis: its gradient comes from what is read and written, not from the vectors.
    case 'gate': return slot.gate.factor !== undefined ? 'factor' : parts.reach === 'values' ? 'values' : 'columns';
  }
}

/** A log gate whose gradient comes from the vectors. */
const sumsVectors = ({ gate, reach }: Parts) => gate.kind !== 'none' && gate.factor === undefined && reach !== 'values';

/** How to make the results of the adjoint, in slot order. `reads`: what reads add to the gradient of the gate, if another kernel knows. */
function resultsOf({ parts }: Place, values: Values, gradients: Gradients, reads: (() => TileId) | undefined): readonly (() => TileId)[] {
  const { k } = gradients;
  return adjointSlots(parts.stage).map((slot) => () => {
    const made = ((): TileId | undefined => {
      switch (slot.kind) {
        case 'row': return gradients.row({ kind: 'read', index: slot.read });
        case 'erase': return gradients.row({ kind: 'erase', index: slot.source });
        case 'col': return gradients.col(slot.source);
        case 'value':
          return parts.erasing.includes(slot.source)
            ? gradients.readCotangent({ kind: 'erase', index: slot.source })
            : gradients.pure(slot.source);
        case 'gate': return slot.gate.factor === undefined ? gateGradient(gradients, reads?.()) : factorGradient(
          gradients, values, slot.gate.factor,
        );
      }
    })();
    return made ?? k.zeros([ROW, ...slot.axes]);
  });
}

/** Makes early what lets tensors go: cotangents of scores, then the products with the states. */
function begin(gradients: Gradients, sides: readonly Side[]): void {
  const { parts, readers, writers } = gradients;
  // Values have none of them.
  if (!sides.includes('rows') && !sides.includes('columns')) return;
  for (const reader of readers) for (const j of writers) gradients.scoreCotangent({ reader, j });
  if (sides.includes('rows')) readers.forEach(gradients.rowInter);
  else if (sumsVectors(parts)) {
    stateTerm(gradients);
    writers.forEach(gradients.colInter);
  }
}

interface GradientKernel {
  readonly head: ScanKernelHead;
  readonly write: (k: KernelBuilder) => void;
  /** An axis with tiles of f32 along it, several of them at once. */
  readonly blocks?: Axis | undefined;
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
    return sides.map((_, slot) => slot).filter((slot) => known.has(at, slot));
  };
  /** The kernel that knows all that a root needs. */
  const home = (root: Root) => {
    const slots = slotsOf(root);
    return slots.length === 0 ? plan.length - 1 : Math.max(...slots.map((slot) => kernelOf(sides[slot])));
  };
  // What other kernels wait for comes first, as gradients of inputs do, whose place it has: it lets registers go.
  const ordered = [...roots].sort((a, b) => Number(b.kind === 'kept') - Number(a.kind === 'kept'));
  const passed = new Set(roots.flatMap((root) => slotsOf(root).filter((slot) => kernelOf(sides[slot]) < home(root))));
  const many = plan.filter((some) => !some.includes('factor')).length > 1;
  const apart = sumsVectors(parts) && kernelOf('rows') !== kernelOf('columns');
  return plan.map((mine, n) => ({
    ...(mine.includes('factor') && { blocks: gateAxes(parts.gate)[0] }),
    head: mine.includes('factor') ? {
      name: `${name}_gradient_factor`, doc: `Gradient of the decay of ${name}, given as a factor.`, outer: 'chunk', inner: 'head',
    } : {
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
      for (const root of ordered) if (home(root) === n) storeRoot(cx, k, values, root, false);
    },
  }));
}

/**
 * The gradients of a matrix stage, and the roots that need nothing later: in one kernel if its tiles find room in shared memory, else in
 * several.
 */
export function gradientKernels(place: Place, roots: readonly Root[]): void {
  const { cx } = place;
  const { draft } = cx;
  // That of a factor walks along the tokens, which is nothing for matrix units: a kernel of its own keeps the others on them.
  const first: readonly Side[][] = sidesOf(place.parts).includes('factor') ? [['factor']] : [];
  const fits = (
    kernels : readonly GradientKernel[]
  ) => kernels.slice(first.length).every(({ head, write }) => draft.fits(buildKernel({ ...head, domain: TOKENS }, write), draft));
  const plans = PLANS.map((plan) => kernelsOf(place, [...first, ...plan], roots));
  for (const kernel of plans.find(fits) ?? plans[plans.length - 1]) draft.kernel(cx.name, inBlocks(cx, kernel), kernel.write);
}

/** Blocks of the axis are programs of their own where nothing folds it. */
function inBlocks({ draft }: Context, { head, write, blocks }: GradientKernel): ScanKernelHead {
  if (blocks === undefined) return head;
  const { body } = buildKernel({ ...head, domain: TOKENS }, write);
  const folded = body.some((stmt) => stmt.kind === 'loop' || (stmt.kind === 'let' && 'axis' in stmt.op && stmt.op.axis === blocks));
  const everywhere = storedBuffers(body).every((buffer) => draft.bufferOf(buffer).axes.includes(blocks));
  return everywhere && !folded ? { ...head, split: blocks } : head;
}
