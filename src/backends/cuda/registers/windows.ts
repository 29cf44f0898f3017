import { isRows } from '../../../ir/tile/domain.js';
import type { TileKernel, TileModule } from '../../../ir/tile/tile.js';
import { bufferNamed } from '../address.js';
import { eachStatement } from '../uses.js';

/** How many rows before and after a thread's own it reads. */
export interface Window {
  readonly before: number;
  readonly after: number;
}

/** Buffers of which a kernel reads the rows of a chunk and those some rows before or after them. */
export function windowsOf(module: TileModule, kernel: TileKernel): ReadonlyMap<string, Window> {
  const backs = new Map<string, Set<number>>();
  eachStatement(kernel.body, (stmt) => {
    if (stmt.kind !== 'let' || stmt.op.op !== 'load' || stmt.op.rows !== 'row' || stmt.op.whole !== undefined) return;
    const { buffer, back = 0 } = stmt.op;
    if (isRows(bufferNamed(module, buffer))) backs.set(buffer, (backs.get(buffer) ?? new Set()).add(back));
  });
  return new Map([...backs].filter(([, all]) => all.size > 1).map(([name, all]) => (
    [name, { before: Math.max(0, ...all), after: Math.max(0, ...[...all].map((back) => -back)) }]
  )));
}
