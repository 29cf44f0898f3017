import type { Axis } from '../../ir/common/axes.js';
import type { ScanBuilder } from '../../ir/scan/build.js';
import type { MatrixStage, ScanNode, Stage } from '../../ir/scan/scan.js';
import { pairs } from '../../support/pairs.js';
import { placed, type Places } from './places.js';

/** A walk over a state, and which of its results it makes. */
interface Walk {
  readonly stage: Stage;
  readonly slots: readonly number[];
}

/**
 * A walk for each axis that a state is read along. `folds`: by stage and read the axis that the read folds. Walks along the second axis
 * come last; results are found by stage and slot as before, and moved.
 */
export function alongAxes(
  b: ScanBuilder, stages: readonly Stage[], folds: (stage: number, slot: number) => Axis,
): { readonly nodes: readonly ScanNode[]; readonly stages: readonly Stage[] } {
  const walks = stages.map((stage, index): readonly Walk[] => (
    stage.kind === 'matrix' ? walksAlong(b, stage, index, (slot) => folds(index, slot)) : [{ stage, slots: [0, 1] }]
  ));
  if (walks.every((list) => list.length === 1)) return { nodes: b.nodes, stages };
  const places: Places = pairs();
  const numbered = walks.map((list, of) => list.map((walk) => ({ ...walk, of })));
  const ordered = [...numbered.flatMap(([first]) => [first]), ...numbered.flatMap(([, ...more]) => more)];
  ordered.forEach(({ slots, of }, at) => slots.forEach((from, slot) => places.set(of, from, [at, slot])));
  return { nodes: placed(b.nodes, places), stages: ordered.map(({ stage }) => stage) };
}

/**
 * S = Lambda S[t-1] + sum of col (x) w is a sum of w (x) col to who folds the other axis. Where w has what the update reads of the state,
 * the walk that erases says what that is: one more read of it.
 */
function walksAlong(b: ScanBuilder, stage: MatrixStage, index: number, foldOf: (slot: number) => Axis): readonly Walk[] {
  const { rowAxis, valueAxes, sources, reads } = stage;
  const slots = [...reads.keys()];
  const own = slots.filter((slot) => foldOf(slot) === rowAxis);
  const others = slots.filter((slot) => foldOf(slot) !== rowAxis);
  if (others.length === 0) return [{ stage, slots }];
  const erases = sources.flatMap(({ erase }) => (erase === undefined ? [] : [erase]));
  let next = reads.length;
  const turned = sources.map(({ col, value, erase }) => {
    const erased = erase && b.node({ kind: 'result', stage: index, slot: next++, axes: valueAxes, origin: stage.origin });
    const written = value === undefined || erased === undefined ? (value ?? erased) : b.map('add', value, erased);
    return { col: written ?? b.literal(0), value: col, erase: undefined };
  });
  return [
    {
      stage: { ...stage, reads: [...own.map((slot) => reads[slot]), ...erases] },
      slots: [...own, ...erases.map((_, i) => reads.length + i)],
    },
    {
      stage: { ...stage, rowAxis: valueAxes[0], valueAxes: [rowAxis], sources: turned, reads: others.map((slot) => reads[slot]) },
      slots: others,
    },
  ];
}
