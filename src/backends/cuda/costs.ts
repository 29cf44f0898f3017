import { COL, ROW, type Axis } from '../../ir/common/axes.js';
import { bytesOf, type IoDtype } from '../../ir/common/dtype.js';
import type { Extent } from '../../ir/plan/plan.js';
import type { TileKernel, TileModule, TileStmt } from '../../ir/tile/tile.js';
import { axisSize, bufferNamed, cellElements } from './address.js';

export interface Costs {
  readonly flops: readonly (readonly Extent[])[];
  readonly bytes: readonly (readonly Extent[])[];
}

/** Multiply-adds of the contractions (times two) and bytes of the loads and stores, whatever the lowering. */
export function costsOf(module: TileModule, kernel: TileKernel, dtype: IoDtype): Costs {
  const flops = new Map<string, { extents: readonly Extent[]; count: number }>();
  const bytes = new Map<string, { extents: readonly Extent[]; count: number }>();
  const add = (sums: typeof flops, extents: readonly Extent[], count: number) => {
    const key = extents.join('*');
    sums.set(key, { extents, count: (sums.get(key)?.count ?? 0) + count });
  };
  const elements = (axes: readonly Axis[]) => axes.reduce((n, axis) => n * axisSize(module, axis), 1);
  const scan = (body: readonly TileStmt[], outer: readonly Extent[], inner: Extent): void => {
    const access = (name: string) => {
      const buffer = bufferNamed(module, name);
      const width = bytesOf(buffer.dtype === 'io' ? dtype : buffer.dtype);
      const cells: readonly Extent[] = buffer.outer === 'token' ? ['tokens'] : outer;
      add(bytes, [...cells, inner], cellElements(module, buffer) * width);
    };
    for (const stmt of body) {
      switch (stmt.kind) {
        case 'let': {
          const { op } = stmt;
          if (op.op === 'load') access(op.buffer);
          if (op.op === 'contract') add(flops, [...outer, inner], 2 * elements([...kernel.tiles[stmt.tile].axes, op.axis]));
          if (op.op === 'compose') add(flops, [...outer, inner], 2 * elements([ROW, ROW, COL]));
          if (op.op === 'dscore' || op.op === 'dscoreRow' || op.op === 'dscoreCol') add(flops, [...outer, inner], 2 * elements([ROW, COL, op.axis]));
          break;
        }
        case 'store':
          access(stmt.buffer);
          break;
        case 'loop':
          if (stmt.over === 'members') scan(stmt.body, outer, 'heads');
          else scan(stmt.body, [stmt.over], inner);
          break;
        default:
          stmt satisfies never;
      }
    }
  };
  const outer: readonly Extent[] = kernel.outer === 'once' ? [] : [`${kernel.outer}s`];
  scan(kernel.body, outer, kernel.inner === 'head' ? 'heads' : 'groups');
  const list = (sums: typeof flops) => [...sums.values()].map(({ extents, count }) => [...extents, count]);
  return { flops: list(flops), bytes: list(bytes) };
}
