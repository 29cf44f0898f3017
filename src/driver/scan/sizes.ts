import type { Axis } from '../../ir/common/axes.js';
import type { ScanProgram } from '../../ir/scan/scan.js';
import type { Spec } from '../../ir/spec/spec.js';
import type { TileModule, TileStmt } from '../../ir/tile/tile.js';
import { paddingChange } from '../../passes/padding.js';
import { isHeld } from '../../passes/resolve/numbers.js';
import { problem, type Problem } from '../problem.js';

/** Sizes of all axes of a scan, or which one is missing or cannot be. */
export function sizesFor(spec: Spec, given: ReadonlyMap<string, number>): ReadonlyMap<Axis, number> | Problem {
  const sizes = new Map<Axis, number>();
  for (const axis of spec.axes) {
    const size = given.get(axis.name) ?? axis.defaultSize;
    if (size === undefined) {
      const remedy = `give one with --size ${axis.name}=64, or write \`with ${axis.name} = 64\` in the declaration`;
      return problem('E403', `axis \`${axis.name}\` of \`${spec.name}\` has no size`, remedy);
    }
    sizes.set(axis.name, size);
  }
  return sizes;
}

/** Sizes that matrix kernels can have: tiles of the tensor cores along every axis of a matrix state. */
const HEAD_SIZES = { least: 16, most: 256, step: 8 };

/** The first axis of a matrix state whose size kernels cannot have. Elementwise states and what runs step by step may have any. */
export function headSizeProblem(spec: Spec, scan: ScanProgram | undefined, sizes: ReadonlyMap<Axis, number>): Problem | undefined {
  const { least, most, step } = HEAD_SIZES;
  const axes = (scan?.stages ?? []).flatMap((stage) => (stage.kind === 'matrix' ? [stage.rowAxis, ...stage.valueAxes] : []));
  for (const axis of axes) {
    const size = sizes.get(axis) ?? 0;
    if (size >= least && size <= most && size % step === 0) continue;
    const padded = Math.max(least, Math.ceil(size / step) * step);
    const remedy = padded <= most ? paddingRemedy(spec, axis, padded) : 'choose a smaller size';
    const title = `axis \`${axis}\` has size ${size}: kernels take multiples of ${step} from ${least} to ${most}`;
    return problem('E404', title, `${remedy}, or use \`lmoec run --backend oracle\`, which takes any size`);
  }
  return undefined;
}

/** What the formula makes of sizes (`exp(K)`) is known only with them: a number that f32 cannot hold, or that is none. */
export function unheldNumber(spec: Spec, module: TileModule): Problem | undefined {
  const literals = (body: readonly TileStmt[]): number[] => body.flatMap((stmt) => {
    if (stmt.kind === 'loop') return literals(stmt.body);
    return stmt.kind === 'let' && stmt.op.op === 'literal' ? [stmt.op.value] : [];
  });
  // Infinities stand for themselves: a decay of 0 has the logarithm -inf.
  const value = module.kernels.flatMap(({ body }) => literals(body)).find((literal) => Math.abs(literal) !== Infinity && !isHeld(literal));
  if (value === undefined) return undefined;
  const sizes = [...module.sizes].map(([axis, size]) => `${axis} = ${size}`).join(', ');
  const what = Number.isNaN(value) ? 'no number' : `${value.toExponential(3)}, which f32 cannot hold`;
  const title = `a constant of \`${spec.name}\` is ${what}`;
  return problem('E405', sizes === '' ? title : `${title}, for ${sizes}`, 'choose other sizes, or check what the formula makes of them');
}

/** Says when padding is exact; sizes and folds that see the padding change what is computed. */
function paddingRemedy(spec: Spec, axis: Axis, padded: number): string {
  const change = paddingChange(spec, axis);
  if (change === undefined) return `fill the tensors up with zeros to ${axis} = ${padded} and cut the results, which stay the same`;
  const why = change.kind === 'size' ? `the formula uses the size of ${axis}` : `the formula folds ${axis} in a way that sees the padding`;
  return `choose another size: zeros up to ${axis} = ${padded} would change the results, since ${why}`;
}
