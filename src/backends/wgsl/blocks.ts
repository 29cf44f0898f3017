import { isCut, type Axis } from '../../ir/common/axes.js';
import { hasRole } from '../../ir/tile/facts.js';
import type { TileKernel, TileModule } from '../../ir/tile/tile.js';
import { axisSize, longestRun } from '../describe.js';
import { panelWidths } from './panels.js';

/** Widths of the blocks of a kernel's divided axes. */
export type Widths = ReadonlyMap<Axis, number>;

/** Elements of an axis that are worth a workgroup where nothing is shared among them. */
const ENOUGH = 128;

/** Widths at which products go through panels, the best first. */
export function productWidths(module: TileModule, kernel: TileKernel): readonly Widths[] {
  return panelWidths(module, kernel, longestRun(kernel));
}

/** Widths of the axis that a kernel is split along, the widest first; of one that may be divided as well, if it is split along none. */
export function plainWidths(module: TileModule, kernel: TileKernel, searches: boolean): readonly Widths[] {
  const { split } = kernel;
  if (split === undefined) {
    const axis = freeAxis(module, kernel);
    const width = axis === undefined ? undefined : [ENOUGH, ENOUGH / 2, ENOUGH / 4].find((n) => axisSize(module, axis) % n === 0);
    return [axis === undefined || width === undefined ? new Map() : new Map([[axis, width]])];
  }
  const [whole, runs] = [axisSize(module, split), longestRun(kernel)];
  const fit = [...new Set([runs, 32, 16, 8, 4, 2, 1])].sort((a, b) => b - a).filter((n) => whole % n === 0 && n % runs === 0);
  // Columns are searched one by one: the more workgroups, the better. So are sums of what there is once of what many have given.
  const widths = searches ? [1] : fit.some((n) => n >= 4) ? fit.filter((n) => n >= 4) : fit;
  if (kernel.outer === 'once' && kernel.inner === 'once') widths.reverse();
  return widths.map((width) => new Map([[split, width]]));
}

/** Where every row is made by itself: a long axis of all that is stored along which nothing is folded. */
function freeAxis(module: TileModule, { outer, inner, body, tiles }: TileKernel): Axis | undefined {
  const stored = body.flatMap((stmt) => (stmt.kind === 'store' ? [module.buffers.find(({ name }) => name === stmt.buffer)] : []));
  const axis = stored[0]?.axes.at(-1);
  if (axis === undefined || outer !== 'chunk' || inner !== 'once' || axisSize(module, axis) < 2 * ENOUGH) return undefined;
  const apart = body.every((stmt) => {
    switch (stmt.kind) {
      case 'loop': return false;
      case 'store': return stmt.by === undefined;
      case 'let':
        if (tiles[stmt.tile].axes.some((one) => one !== axis && isCut(one, axis))) return false;
        if (stmt.op.op === 'reduce' || stmt.op.op === 'contract') return stmt.op.axis !== axis;
        return hasRole(stmt.op, 'free', 'load') || stmt.op.op === 'map' || stmt.op.op === 'keep' || stmt.op.op === 'round';
    }
  });
  return apart && stored.every((buffer) => buffer?.axes.includes(axis)) ? axis : undefined;
}
