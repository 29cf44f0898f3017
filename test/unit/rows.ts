import { planRows } from '../../src/backends/describe.js';
import { TOKENS } from '../../src/passes/chunk/programs.js';
import { tableOf, type CallSizes, type Rows } from '../../src/runtime/extents.js';

/** What plans of scans say of extents and tables. */
export const TOKEN_ROWS = planRows({ domains: [TOKENS] });

/** Tables of sequences, segments and chunks, in the order in which CUDA kernels take them. */
export function tablesOf(plan: Rows, call: CallSizes): readonly (readonly [name: string, table: Int32Array])[] {
  return Object.keys(plan.tables).map((name) => [name, tableOf(plan, name, call)]);
}
