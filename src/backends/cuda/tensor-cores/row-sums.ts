import { isRows } from '../../../ir/tile/domain.js';
import type { TileId, TileKernel, TileLet, TileLoop, TileOp } from '../../../ir/tile/tile.js';
import { operandsOf } from '../../../ir/tile/facts.js';
import { prune } from '../../../ir/tile/prune.js';
import { bufferNamed } from '../address.js';
import type { CudaContext } from '../lowered.js';
import { usesOf } from '../uses.js';
import { definitions } from './kernel.js';

/**
 * A kernel that adds up, in a loop over the chunks of a run, of a segment or over all, what their rows give, without that loop: rows of all
 * chunks follow each other in memory, so products along the rows of a chunk become products along all rows. undefined: it is no such
 * kernel.
 */
export function alongAllRows(cx: CudaContext, kernel: TileKernel): TileKernel | undefined {
  const { outer, split, body } = kernel;
  const [loop, ...others] = body.filter((stmt) => stmt.kind === 'loop');
  if (loop === undefined || others.length > 0 || split === undefined || outer === 'chunk') return undefined;
  const sums = sumsIn(kernel, loop);
  const lets = loop.body.filter((stmt) => stmt.kind === 'let');
  if (sums === undefined || loop.over !== 'chunks' || loop.only !== undefined || lets.length < loop.body.length) return undefined;
  if (!lets.every(({ op }) => op.op !== 'load' || ofAnyRows(cx, kernel, op))) return undefined;
  const defs = definitions(kernel);
  const inside = lets.map((stmt): TileLet => ({ ...stmt, op: sums.get(stmt.tile) === undefined ? keptOf(stmt.op, defs) : stmt.op }));
  const totals = [...sums].map(([tile, op]): TileLet => ({ kind: 'let', tile, op }));
  const at = body.indexOf(loop);
  return prune({ ...kernel, body: [...body.slice(0, at), ...inside, ...totals, ...body.slice(at + 1)] });
}

/** What every carried tile is the sum of, if nothing else is done with it in the loop. */
function sumsIn(kernel: TileKernel, { carry, body }: TileLoop): ReadonlyMap<TileId, TileOp> | undefined {
  const { defs, counts } = usesOf(kernel);
  const sums = new Map<TileId, TileOp>();
  for (const { tile, init, next } of carry) {
    const [start, add] = [defs.get(init)?.op, defs.get(next)?.op];
    const readers = body.filter((stmt) => stmt.kind === 'let' && operandsOf(stmt.op).includes(tile));
    if (start?.op !== 'zeros' || add?.op !== 'map' || add.fn !== 'add' || readers.length !== 1 || counts.get(next) !== 1) return undefined;
    const [term, ...rest] = add.args.filter((arg) => arg !== tile);
    const op = term === undefined || rest.length > 0 ? undefined : defs.get(term)?.op;
    if (op === undefined || counts.get(term) !== 1) return undefined;
    sums.set(tile, op);
  }
  return sums;
}

/** Rows beyond those that are there are 0 where they are read. */
function keptOf(op: TileOp, defs: ReadonlyMap<TileId, TileOp>): TileOp {
  const of = op.op === 'keep' ? defs.get(op.arg) : undefined;
  return (of?.op === 'load' || of?.op === 'gather') && of.rows === 'row' ? of : op;
}

/** Is it loaded alike whatever the chunk? */
function ofAnyRows(cx: CudaContext, { outer }: TileKernel, { buffer: name, rows, back }: Extract<TileOp, { op: 'load' }>): boolean {
  const buffer = bufferNamed(cx.module, name);
  if (isRows(buffer)) return rows === 'row' && back === undefined;
  return buffer.outer === 'once' || (buffer.outer === 'run' && outer !== 'once');
}
