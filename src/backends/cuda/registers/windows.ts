import { isRows } from '../../../ir/tile/domain.js';
import type { TileId, TileKernel, TileModule, TileOp } from '../../../ir/tile/tile.js';
import { bufferNamed } from '../address.js';
import { eachStatement, usesOf } from '../uses.js';

/** How many rows before and after a thread's own it reads. */
export interface Window {
  readonly before: number;
  readonly after: number;
  /** What the rows before its run are, the row before the first at 1: empty where they are zeros. */
  readonly edge: ReadonlyMap<number, TileId>;
  /** Tiles that put the edge into loads: a window has it already. */
  readonly put: ReadonlySet<TileId>;
}

type Put = Extract<TileOp, { op: 'put' }>;
type Chain = readonly { readonly tile: TileId; readonly op: Put }[];

interface NearLoad {
  readonly tile: TileId;
  readonly back: number;
}

/** Buffers of which a kernel reads the rows of a chunk and those some rows before or after them. */
export function windowsOf(module: TileModule, kernel: TileKernel): ReadonlyMap<string, Window> {
  const loads = new Map<string, NearLoad[]>();
  const puts = new Map<TileId, { readonly tile: TileId; readonly op: Put }>();
  eachStatement(kernel.body, (stmt) => {
    if (stmt.kind === 'let' && stmt.op.op === 'put' && stmt.op.from === 'first') puts.set(stmt.op.arg, { tile: stmt.tile, op: stmt.op });
    if (stmt.kind !== 'let' || stmt.op.op !== 'load' || stmt.op.rows !== 'row' || stmt.op.whole !== undefined) return;
    const { buffer, back = 0 } = stmt.op;
    if (isRows(bufferNamed(module, buffer))) loads.set(buffer, [...(loads.get(buffer) ?? []), { tile: stmt.tile, back }]);
  });
  const { counts, defs } = usesOf(kernel);
  const isLoad = (tile: TileId) => defs.get(tile)?.op?.op === 'load';
  const chainOf = (tile: TileId): Chain => {
    const next = counts.get(tile) === 1 ? puts.get(tile) : undefined;
    return next === undefined ? [] : [next, ...chainOf(next.tile)];
  };
  const found = [...loads].filter(([, near]) => new Set(near.map(({ back }) => back)).size > 1);
  return new Map(found.map(([name, near]) => {
    const backs = near.map(({ back }) => back);
    return [name, {
      before: Math.max(0, ...backs), after: Math.max(0, ...backs.map((back) => -back)),
      ...(edgeOf(near, isLoad, chainOf) ?? { edge: new Map(), put: new Set() }),
    }];
  }));
}

/** What all loads of a buffer find before its run, if they agree on it. */
function edgeOf(
  loads: readonly NearLoad[], isLoad: (tile: TileId) => boolean, chainOf: (tile: TileId) => Chain,
): Pick<Window, 'edge' | 'put'> | undefined {
  const edge = new Map<number, TileId>();
  const put = new Set<TileId>();
  for (const { tile, back } of loads) {
    if (back <= 0) continue;
    const chain = chainOf(tile);
    if (new Set(chain.map(({ op }) => op.at)).size !== back || chain.length !== back) return undefined;
    for (const { tile: made, op } of chain) {
      const at = back - op.at;
      if (at < 1 || !isLoad(op.of) || (edge.has(at) && edge.get(at) !== op.of)) return undefined;
      edge.set(at, op.of);
      put.add(made);
    }
  }
  return { edge, put };
}
