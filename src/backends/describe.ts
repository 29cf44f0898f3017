import { COL, ROW, sizeIn, type Axis } from '../ir/common/axes.js';
import { bytesOf, type IoDtype } from '../ir/common/dtype.js';
import { queuesOf } from '../ir/plan/queues.js';
import type { Extent, Launch, Plan, PlanKernel, PlanTensor, Segmentation } from '../ir/plan/plan.js';
import type { PlanExtent, PlanTable, TableColumn, TableLevel } from '../ir/plan/rows.js';
import { loadedBuffers, storedBuffers } from '../ir/tile/buffers.js';
import { isRows, sizeName, type Cells, type Domain } from '../ir/tile/domain.js';
import { factsOf } from '../ir/tile/facts.js';
import { loopName } from '../ir/tile/print.js';
import {
  mapPrograms, type Inner, type TileBuffer, type TileId, type TileKernel, type TileModule, type TileOp, type TileProgram, type TileStmt,
} from '../ir/tile/tile.js';

/** Size of an axis of a module; the token axes have that of a chunk. */
export function axisSize(module: TileModule, axis: Axis): number {
  const size = sizeIn(module.sizes, module.chunk, axis);
  if (size === undefined) throw new Error(`${module.name}: axis ${axis} has no size`);
  return size;
}

/** Neighbours along the split axis that a block of a kernel has to have: it sums them up. */
export function longestRun({ body }: { readonly body: readonly TileStmt[] }): number {
  return Math.max(1, ...body.map((stmt) => {
    if (stmt.kind === 'loop') return longestRun(stmt);
    return stmt.kind === 'let' && stmt.op.op === 'runs' ? stmt.op.length : 1;
  }));
}

/**
 * A name of letters, digits and `_` for a buffer, another one for each: what the compiler names has dots, what users name has none. Who
 * calls a tensor as a dotted name would be written gets a prefix.
 */
export function plainName(name: string): string {
  if (name.includes('.')) return name.replace(/[^A-Za-z0-9_]/g, '_');
  return /^(?:u|ws|final|initial|d_final|d_initial)_|_(?:staged|scratch)$/.test(name) ? `u_${name}` : name;
}

/** A buffer as a plan describes it. */
export function planTensor(module: TileModule, buffer: TileBuffer, dtype: IoDtype): PlanTensor {
  return {
    name: buffer.name,
    role: buffer.role,
    dtype: buffer.dtype === 'io' ? dtype : buffer.dtype,
    shape: [...outerExtents(buffer), ...innerExtents(buffer.inner), ...buffer.axes.map((axis) => axisSize(module, axis))],
    axes: buffer.axes,
    ...(buffer.ungrouped !== undefined && { ungrouped: buffer.ungrouped }),
  };
}

/** Blocks that run at once on a large device where each has a multiprocessor for itself. */
const BLOCKS = 128;

/** Do segments hand on states by matrices? */
export function hasMaps(module: TileModule): boolean {
  return module.kernels.some(({ cut, body }) => cut === true && body.some((stmt) => stmt.kind === 'let' && stmt.op.op === 'identity'));
}

/**
 * How to cut where segments hand on states by matrices, which costs two walks more: as many as run at once, and only where most of a device
 * would wait otherwise. `undefined`: they hand on decays, or nothing.
 */
export function mappedSegmentation(module: TileModule, kernels: readonly PlanKernel[]): Segmentation | undefined {
  if (!hasMaps(module)) return undefined;
  const uncut = new Set(module.kernels.filter(({ cut, outer }) => cut === undefined && outer === 'segment').map(({ name }) => name));
  const blocks = kernels.filter(
    ({ name }) => uncut.has(name)
  ).map(({ grid }) => grid.flat().reduce<number>((n, x) => (typeof x === 'number' ? n * x : n), 1));
  return { programs: Math.max(1, Math.floor(BLOCKS / Math.max(1, ...blocks))), least: 8, pays: 4 };
}

/** Kernels that calls of few rows launch, in their order, and what counts as few. */
export interface FewLaunches {
  readonly extent: string;
  readonly names: readonly string[];
}

/** Those of a program; undefined: such calls are like others. */
export function fewLaunches(module: TileModule, { launches }: TileProgram): FewLaunches | undefined {
  const calls = new Map(module.kernels.map((kernel) => [kernel.name, kernel]));
  const few = launches.flatMap((name) => calls.get(name) ?? []).find((kernel) => kernel.few === 'only');
  return few === undefined ? undefined : {
    extent: sizeName(few.domain, 'chunk'),
    names: launches.filter((name) => calls.get(name)?.few !== 'never').flatMap((name) => withTables(module, name)),
  };
}

/** A kernel, and those that make tables of what it has counted. */
function withTables({ kernels, domains }: TileModule, name: string): readonly string[] {
  const stored = storedBuffers(kernels.find((kernel) => kernel.name === name)?.body ?? []);
  return [name, ...domains.flatMap((domain) => (
    domain.made !== undefined && stored.includes(domain.made.offsets) ? [rowsKernelName(domain)] : []
  ))];
}

/**
 * The programs of a module as launches of its kernels. `inOne`: by program, kernels that calls of few rows launch in the place of several,
 * behind which nothing comes that one of these must follow.
 */
export function planPrograms(
  module: TileModule, kernels: readonly PlanKernel[],
  inOne: Readonly<Record<string, readonly { readonly members: readonly string[]; readonly kernel: Pick<PlanKernel, 'name'> }[]>> = {},
): Plan['programs'] {
  const named = (name: string) => kernels.find((kernel) => kernel.name === name) ?? missing(name);
  const missing = (name: string): never => {
    throw new Error(`${module.name}: no kernel ${name}`);
  };
  const summed = new Set(module.buffers.filter((buffer) => buffer.ungrouped !== undefined).map((buffer) => buffer.name));
  const sums = (kernel: TileKernel) => kernel.inner === 'group' && loadedBuffers(kernel.body).some((name) => summed.has(name));
  const grouped = new Set(module.kernels.filter(sums).map((kernel) => kernel.name));
  const cut = new Map(module.kernels.flatMap((kernel): readonly [string, Pick<Launch, 'cut' | 'whole'>][] => {
    if (kernel.cut === undefined) return [];
    const both = [sizeName(kernel.domain, 'segment'), sizeName(kernel.domain, 'run')] as const;
    return [[kernel.name, kernel.cut ? { cut: both } : { whole: both }]];
  }));
  const mine = (launch: Launch): Launch => ({
    ...launch, ...(grouped.has(launch.kernel) && { grouped: ['heads', 'groups'] }),
    ...cut.get(launch.kernel),
  });
  const launched = (names: readonly string[]): readonly Launch[] => queuesOf(names.map(named)).map(mine);
  const isOnly = new Set(module.kernels.flatMap(({ name, few }) => (few === 'only' ? [name] : [])));
  /** The last of several says where they are. */
  const joined = (program: string, names: readonly string[]): readonly string[] => names.flatMap((name) => {
    const found = inOne[program]?.find(({ members }) => members.includes(name));
    if (found === undefined) return [name];
    return found.members[found.members.length - 1] === name ? [found.kernel.name] : [];
  });
  return mapPrograms(module.programs, (program, called) => {
    const { takes, gives, launches } = program;
    const few = fewLaunches(module, program);
    return {
      takes, gives, launches: launched(launches.filter((name) => !isOnly.has(name)).flatMap((name) => withTables(module, name))),
      ...(few !== undefined && { few: { extent: few.extent, launches: launched(joined(called, few.names)) } }),
    };
  });
}

/** The kernel that makes the tables of a domain whose runs a kernel of the module counts. */
export const rowsKernelName = (domain: Domain): string => `tables_of_${sizeName(domain, 'run')}`;

/** What a plan says of it, besides its text. It costs next to nothing. */
export function rowsKernel(domain: Domain, own: Pick<PlanKernel, 'file' | 'entry' | 'block' | 'sharedBytes' | 'args'>): PlanKernel {
  return {
    ...own, name: rowsKernelName(domain), doc: `Where the ${domain.run}s lie, and their ${domain.chunk}s.`, grid: [[1], [1], [1]],
    lowering: 'plain', flops: [], bytes: [], singles: [],
  };
}


/** Extents that kernels over a domain take, in the order of their dims. */
function dimsOf(domain: Domain): readonly string[] {
  return [
    sizeName(domain, 'row'), 'heads', 'groups', ...(['run', 'chunk', 'segment'] as const).map((level) => sizeName(domain, level)),
  ];
}

/** Tables of a domain, in the order in which kernels that take all of them do. */
export function tablesOf(domain: Domain): readonly string[] {
  return (['run', 'segment', 'chunk'] as const).map((level) => sizeName(domain, level));
}

/** Columns of the tables, as kernels read them. */
const COLUMNS: Readonly<Record<TableLevel, readonly TableColumn[]>> = {
  run: ['first', 'end', 'firstChunk', 'chunks', 'firstSegment', 'segments'],
  segment: ['run', 'firstChunk', 'chunks', 'index'],
  chunk: ['run', 'first', 'length', 'index'],
};

const LEVELS = ['row', 'run', 'chunk', 'segment'] as const;

/** The numbers of a call and the tables of a module's domains. `kernel`: who makes them where the host does not. */
export function planRows(
  { domains }: Pick<TileModule, 'domains'>, kernel?: (domain: Domain) => string,
): Pick<Plan, 'extents' | 'dims' | 'tables' | 'made'> {
  const made = domains.flatMap(({ row, made: own }) => (
    own === undefined ? [] : [[row, { runs: own.runs, of: own.of, perRow: own.perRow }] as const]
  ));
  const extent = (domain: Domain, of: (typeof LEVELS)[number]): [string, PlanExtent] => [sizeName(domain, of), { of, domain: domain.row }];
  return {
    extents: {
      heads: { of: 'head' }, groups: { of: 'group' },
      ...Object.fromEntries(domains.flatMap((domain) => LEVELS.map((of) => extent(domain, of)))),
    },
    dims: Object.fromEntries(domains.map((domain) => [domain.row, dimsOf(domain)])),
    tables: Object.fromEntries(domains.flatMap((domain) => (['run', 'segment', 'chunk'] as const).map((of): [string, PlanTable] => (
      [sizeName(domain, of), {
        of, domain: domain.row, columns: COLUMNS[of],
        ...(kernel !== undefined && domain.made === undefined && { kernel: kernel(domain) }),
      }]
    )))),
    ...(made.length > 0 && { made: Object.fromEntries(made) }),
  };
}

/** How many cells there are along the first axis of a buffer, or programs along that of a grid. */
export function outerExtents({ outer, domain }: Cells): readonly Extent[] {
  return outer === 'once' || domain === undefined ? [] : [sizeName(domain, outer)];
}

export function innerExtents(inner: Inner): readonly Extent[] {
  switch (inner) {
    case 'head': return ['heads'];
    case 'group': return ['groups'];
    case 'once': return [];
  }
}

export interface Costs {
  readonly flops: readonly (readonly Extent[])[];
  readonly bytes: readonly (readonly Extent[])[];
  readonly singles: readonly (readonly Extent[])[];
}

/** Arithmetic and elements, as the records of operations count them, and bytes of the loads and stores, whatever the lowering. */
export function costsOf(module: TileModule, kernel: TileKernel, dtype: IoDtype): Costs {
  const flops = new Map<string, { extents: readonly Extent[]; count: number }>();
  const bytes = new Map<string, { extents: readonly Extent[]; count: number }>();
  const singles = new Map<string, { extents: readonly Extent[]; count: number }>();
  const add = (sums: typeof flops, extents: readonly Extent[], count: number) => {
    const key = extents.join('*');
    sums.set(key, { extents, count: (sums.get(key)?.count ?? 0) + count });
  };
  const axesOf = (tile: TileId) => kernel.tiles[tile].axes;
  const elements = (axes: readonly Axis[]) => axes.reduce((n, axis) => n * axisSize(module, axis), 1);
  const perRow = [sizeName(kernel.domain, 'row')];
  const perRun = [sizeName(kernel.domain, 'run')];
  const scan = (body: readonly TileStmt[], outer: readonly Extent[], inner: readonly Extent[], rows: readonly Extent[] = perRow): void => {
    // Neighbours of rows are those of other rows: memory gives them once.
    const loaded = new Set<string>();
    const named = (name: string): TileBuffer => {
      const buffer = module.buffers.find((candidate) => candidate.name === name);
      if (buffer === undefined) throw new Error(`${module.name}: no buffer ${name}`);
      return buffer;
    };
    const widthOf = (name: string) => {
      const { dtype: own } = named(name);
      return bytesOf(own === 'io' ? dtype : own);
    };
    const access = (name: string, outer: readonly Extent[]) => {
      const buffer = named(name);
      const width = widthOf(name);
      add(bytes, [...(isRows(buffer) ? rows : outer), ...inner], elements(buffer.axes) * width);
    };
    /** An index for each row, and a row of the buffer for each index. */
    const gathered = (op: TileOp & { readonly op: 'gather' }, tile: TileId) => {
      access(op.index, outer);
      const width = widthOf(op.buffer);
      const own = axesOf(tile).filter((axis) => axis !== ROW && axis !== COL);
      add(bytes, [...rows, ...inner], elements(own) * width);
    };
    for (const stmt of body) {
      switch (stmt.kind) {
        case 'let': {
          const { op } = stmt;
          if (op.op === 'load' && !loaded.has(op.buffer)) access(op.buffer, outer);
          if (op.op === 'load') loaded.add(op.buffer);
          if (op.op === 'gather') gathered(op, stmt.tile);
          // For each byte of a key.
          if (op.op === 'nth') for (let byte = op.of === undefined ? 0 : -1; byte < 4; byte++) access(op.buffer, outer);
          const facts = factsOf(op);
          const own = axesOf(stmt.tile);
          const count = facts.flops?.(op, own, axesOf, elements);
          if (count !== undefined) add(flops, [...outer, ...inner], count);
          add(singles, [...outer, ...inner], facts.singles?.(op, own, axesOf, elements) ?? elements(own));
          break;
        }
        case 'store':
          add(singles, [...(stmt.only === undefined ? outer : perRun), ...inner], elements(axesOf(stmt.value)));
          access(stmt.buffer, stmt.only === undefined ? outer : perRun);
          break;
        case 'loop':
          if (stmt.over === 'members') scan(stmt.body, outer, innerExtents('head'));
          // Nobody knows how many there will be: one.
          else if (stmt.over === 'rounds') scan(stmt.body, outer, inner);
          else if (stmt.only !== undefined) scan(stmt.body, outer, inner, [...outer, module.chunk]);
          else scan(stmt.body, [loopName(kernel, stmt)], inner);
          break;
        default:
          stmt satisfies never;
      }
    }
  };
  scan(kernel.body, outerExtents(kernel), innerExtents(kernel.inner));
  const list = (sums: typeof flops) => [...sums.values()].map(({ extents, count }) => [...extents, count]);
  return { flops: list(flops), bytes: list(bytes), singles: list(singles) };
}
