import { buildKernel } from '../../../ir/tile/build.js';
import { isRows } from '../../../ir/tile/domain.js';
import { operandsOf } from '../../../ir/tile/facts.js';
import {
  withKernels, type TileBuffer, type TileId, type TileKernel, type TileModule, type TileOp, type TileStmt,
} from '../../../ir/tile/tile.js';
import { freeName } from '../../../support/free-name.js';
import { sum } from '../../../support/sum.js';
import { axisSize } from '../../describe.js';
import { bufferNamed } from '../address.js';
import { eachStatement } from '../uses.js';
import { definitions } from './kernel.js';

type Gather = Extract<TileOp, { op: 'gather' }>;

/** Kernels of the same programs that gather the same rows, in their order. */
interface Gathering {
  readonly op: Gather;
  readonly kernels: TileKernel[];
}

/**
 * Columns that gathered rows are multiplied with, all products together, from which on they are copied first. A copy takes as long as some
 * 350 columns do; what threads no longer bring is a tenth of the products, more or less.
 */
const LEAST_COPIED = 8192;

/**
 * A module in which rows that wide products gather lie one behind the other before, in the order of the products' rows: a kernel copies
 * them, once for all products of a program.
 */
export function rowsCopied(module: TileModule, least = LEAST_COPIED): TileModule {
  const found = gatherings(module).filter(({ op, kernels }) => sum(kernels.map((kernel) => columnsOf(module, kernel, op))) >= least);
  return found.reduce(copied, module);
}

function gatherings({ kernels, programs }: TileModule): readonly Gathering[] {
  const found = new Map<string, Gathering>();
  // What is launched for some calls alone is by itself.
  for (const kernel of kernels.filter(({ few }) => few === undefined)) {
    const within = Object.entries(programs).filter(([, { launches }]) => launches.includes(kernel.name)).map(([name]) => name);
    const own = new Map<string, Gather>();
    eachStatement(kernel.body, (stmt) => {
      if (stmt.kind !== 'let' || stmt.op.op !== 'gather' || stmt.op.rows !== 'row') return;
      own.set([stmt.op.buffer, stmt.op.index].join(), stmt.op);
    });
    for (const [name, op] of own) {
      const key = [name, ...within].join();
      const one = found.get(key) ?? { op, kernels: [] };
      one.kernels.push(kernel);
      found.set(key, one);
    }
  }
  return [...found.values()];
}

const isSame = (op: TileOp, { buffer, index }: Gather): boolean => (
  op.op === 'gather' && op.buffer === buffer && op.index === index && op.rows === 'row'
);

/** Of the products of a kernel that multiply the rows and what they meet as they are; 0 where rows are read for something else, too. */
function columnsOf(module: TileModule, kernel: TileKernel, op: Gather): number {
  const defs = definitions(kernel);
  const rows = new Set([...defs].flatMap(([tile, made]) => (isSame(made, op) ? [tile] : [])));
  for (const [tile, made] of defs) if (made.op === 'keep' && rows.has(made.arg)) rows.add(tile);
  const readers = [...defs.values()].filter((made) => made.op !== 'keep' && operandsOf(made).some((tile) => rows.has(tile)));
  if (!isPlain(bufferNamed(module, op.buffer)) || bufferNamed(module, op.index).axes.length > 0) return 0;
  return readers.every((made) => made.op === 'contract') ? sum(readers.map((made) => (made.op === 'contract' ? columns(made) : 0))) : 0;

  function isRead(tile: TileId): boolean {
    const made = defs.get(tile);
    return made?.op === 'keep' ? isRead(made.arg) : made?.op === 'load' || made?.op === 'gather';
  }
  function columns({ a, b, axis }: Extract<TileOp, { op: 'contract' }>): number {
    const axes = (tile: TileId) => kernel.tiles[tile].axes.filter((one) => one !== axis);
    const [other] = [a, b].filter((tile) => !rows.has(tile));
    return other === undefined || !isRead(other) ? 0 : axes(other).reduce((size, one) => size * axisSize(module, one), 1);
  }
}

const isPlain = (buffer: TileBuffer): boolean => (
  isRows(buffer) && buffer.inner === 'once' && buffer.axes.length === 1 && buffer.dtype === 'io'
);

function copied(module: TileModule, { op, kernels: [first, ...others] }: Gathering): TileModule {
  const [source, index] = [op.buffer, op.index].map((name) => bufferNamed(module, name));
  const taken = new Set([...module.buffers, ...module.kernels].map(({ name }) => name));
  const name = freeName(`${first.name}_rows`, (one) => taken.has(one));
  const rows: TileBuffer = {
    name, outer: 'row', domain: first.domain, inner: 'once', axes: source.axes, dtype: 'io', role: 'workspace',
  };
  const copy = buildKernel(
    { name, doc: `Rows of ${op.buffer}, one behind the other.`, outer: 'chunk', domain: first.domain, inner: 'once' },
    (k) => k.store(rows, k.gather(source, index)),
  );
  const loads = (body: readonly TileStmt[]): readonly TileStmt[] => body.map((stmt): TileStmt => (
    stmt.kind === 'loop' ? { ...stmt, body: loads(stmt.body) }
      : stmt.kind === 'let' && isSame(stmt.op, op) ? { ...stmt, op: { op: 'load', buffer: rows.name, rows: 'row' } } : stmt
  ));
  const withLoads = (kernel: TileKernel): TileKernel => {
    const here = module.kernels.find((one) => one.name === kernel.name) ?? kernel;
    return { ...here, body: loads(here.body) };
  };
  const made = new Map<string, readonly TileKernel[]>(others.map((kernel) => [kernel.name, [withLoads(kernel)]]));
  return withKernels(module, made.set(first.name, [copy, withLoads(first)]), [rows]);
}
