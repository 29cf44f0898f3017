import type { Axis } from '../../ir/common/axes.js';
import type { ScanProgram } from '../../ir/scan/scan.js';
import type { Spec } from '../../ir/spec/spec.js';
import type { TileModule, TileStmt } from '../../ir/tile/tile.js';
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

/** Channels that a matrix state of a kernel may have along an axis. */
const MOST = 512;

/** The first axis of a matrix state whose size kernels cannot have. Elementwise states and what runs step by step may have any. */
export function headSizeProblem(scan: ScanProgram | undefined, sizes: ReadonlyMap<Axis, number>): Problem | undefined {
  const axes = (scan?.stages ?? []).flatMap((stage) => (stage.kind === 'matrix' ? [stage.rowAxis, ...stage.valueAxes] : []));
  const axis = axes.find((each) => (sizes.get(each) ?? 0) > MOST);
  return axis === undefined ? undefined : problem(
    'E404', `axis \`${axis}\` has size ${sizes.get(axis)}: kernels take up to ${MOST}`,
    'choose a smaller size, or use `lmoec run --backend oracle`, which takes any size',
  );
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
