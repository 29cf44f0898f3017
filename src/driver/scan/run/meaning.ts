import { isAny } from '../../../ir/common/range.js';
import { signatureOf } from '../../../ir/spec/signature.js';
import type { Spec } from '../../../ir/spec/spec.js';
import { briefList } from '../../../support/brief.js';
import { problem, type Problem } from '../../problem.js';
import type { Comparison } from '../../run/compare.js';
import type { StateDraw } from './draw.js';
import type { Values } from './oracle.js';
import { position, shapeOf, type CallShape } from '../../run/validate.js';

/** Of f32. */
const LARGEST = 3.4028234663852886e38;

/**
 * E508 where a comparison found that the formula itself gives no finite number: for which tensors, where first, and which drawn state may
 * be to blame.
 * `states`: how initial states were drawn; undefined where the tensors come from a file.
 */
export function meaningProblem(
  spec: Spec, call: CallShape, comparisons: readonly Comparison[], expected: Values, states: StateDraw | undefined,
): Problem | undefined {
  const { results, gradients } = signatureOf(spec);
  // A gradient may have the name of an output; steps give the outputs again.
  const places = comparisons.flatMap(({ name, role, meaningless: at }) => {
    const tensor = (role === 'gradient' ? gradients : results).find((known) => known.name === name);
    const value = at === undefined ? undefined : expected.get(name)?.[at];
    if (at === undefined || tensor === undefined || value === undefined || role === 'step') return [];
    const what = Number.isNaN(value) ? 'NaN' : Number.isFinite(value) ? value.toExponential(1) : value > 0 ? 'inf' : '-inf';
    return [`\`${name}\` is ${what} at [${position(at, shapeOf(tensor, call)).join(', ')}]`];
  });
  if (places.length === 0) return undefined;
  const free = signatureOf(spec).initial.filter(({ range, hidden }) => !hidden && isAny(range)).map(({ name }) => name);
  const drawn = states !== 'random' || free.length === 0 ? [] : [
    `initial states were drawn from a normal distribution: ${free.map((name) => `\`${name}\``).join(', ')}; `
    + `say where they lie, as in \`state ${free[0]}: [...] in 0..inf\`, or leave --states random out`,
  ];
  const grown = comparisons.some(({ name, meaningless: at }) => at !== undefined && Math.abs(expected.get(name)?.[at] ?? NaN) > LARGEST);
  const grows = grown ? ['f32 ends at 3.4e38: a state that grows with every token needs a decay below 1, or shorter sequences'] : [];
  const elsewhere = states === undefined
    ? 'look for a logarithm, root or quotient that these inputs and states leave undefined'
    : 'say in ranges where inputs, params and states lie, or give tensors of your own with --inputs';
  const title = `the formula itself gives no finite number that f32 holds on these tensors: ${briefList(places)}`;
  return problem('E508', title, ...grows, ...drawn, elsewhere);
}
