import { COL, ROW, includesAll, isCut, sameAxes, sizeIn, withoutAxes, type Axis } from '../common/axes.js';
import { buffersRead, loadedBuffers, storedBuffers } from './buffers.js';
import { isRows, isRuns, nameOf, sameDomain, type Level } from './domain.js';
import { factsOf, operandsOf, type Scope } from './facts.js';
import { loopName } from './print.js';
import type { TileBuffer, TileKernel, TileModule, TileOp, TileStmt, TileStore } from './tile.js';

/** Everything that is wrong with a module, each a sentence that names kernel and tile; empty when it is well formed. */
export function verifyTiles(module: TileModule): readonly string[] {
  const faults: string[] = [];
  if (
    module.chunk < 1 || (module.chunk & (module.chunk - 1)) !== 0
  ) faults.push(`${module.name}: chunk ${module.chunk} is not a power of two`);
  const names = new Set(module.kernels.map((kernel) => kernel.name));
  if (names.size !== module.kernels.length) faults.push(`${module.name}: two kernels share a name`);
  if (
    new Set(module.buffers.map((buffer) => buffer.name)).size !== module.buffers.length
  ) faults.push(`${module.name}: two buffers share a name`);
  for (const name of Object.values(module.programs).flatMap(({ launches }) => launches)) {
    if (!names.has(name)) faults.push(`${module.name}: a program launches ${name}, which is no kernel`);
  }
  const declared = module.domains.flatMap(({ row, chunk, segment, run }) => [row, chunk, segment, run]);
  if (new Set(declared).size !== declared.length) faults.push(`${module.name}: two domains share a name`);
  for (const { name, outer, domain } of [...module.buffers, ...module.kernels]) {
    if (outer !== 'once' && domain === undefined) faults.push(`${module.name}: ${name} is per ${outer} of no domain`);
    const known = domain === undefined || module.domains.some((one) => sameDomain(one, domain));
    if (!known) faults.push(`${module.name}: ${name} is of ${domain.row}s, which the module does not have`);
  }
  for (const { row, made } of module.domains) {
    if (made === undefined) continue;
    const offsets = module.buffers.find(({ name }) => name === made.offsets);
    const count = offsets?.axes.reduce((n, axis) => n * (sizeIn(module.sizes, module.chunk, axis) ?? NaN), 1);
    if (offsets?.outer !== 'once' || offsets.dtype !== 'i32' || count !== made.runs + 1) {
      faults.push(`${module.name}: ${made.offsets} does not say where the ${made.runs} runs of ${row}s begin`);
    }
    if (!module.domains.some((one) => one.row === made.of && one.made === undefined)) {
      faults.push(`${module.name}: ${row}s are of ${made.of}s, of which a call brings none`);
    }
  }
  for (const buffer of module.buffers) {
    for (const axis of buffer.axes) {
      if (!known(module, axis)) faults.push(`${module.name}: buffer ${buffer.name} has axis ${axis} without size`);
    }
  }
  for (const kernel of module.kernels) faults.push(...verifyKernel(module, kernel));
  faults.push(...verifyFlow(module));
  return faults;
}

/** Memory that no kernel has written yet is read by none, and every result is written. */
function verifyFlow(module: TileModule): readonly string[] {
  const faults: string[] = [];
  const kernels = new Map(module.kernels.map((kernel) => [
    kernel.name, { loads: [...unwrittenLoads(kernel.body), ...offsetsOf(kernel)], stores: storedBuffers(kernel.body) },
  ]));
  const buffers = new Set(module.buffers.map(({ name }) => name));
  for (const [program, { takes, gives, launches }] of Object.entries(module.programs)) {
    if (launches.length === 0) continue;
    const strangers = [...takes, ...gives].filter((name) => !buffers.has(name));
    faults.push(...strangers.map((name) => `${module.name}: ${program} names ${name}, which is no buffer`));
    const written = new Set(takes);
    for (const name of launches) {
      const kernel = kernels.get(name);
      for (const buffer of kernel?.loads ?? []) {
        if (written.has(buffer)) continue;
        faults.push(`${module.name}: ${program} launches ${name}, which reads ${buffer} before any kernel has written it`);
      }
      kernel?.stores.forEach((buffer) => written.add(buffer));
    }
    for (const name of gives) if (!written.has(name)) faults.push(`${module.name}: ${program} does not write ${name}`);
  }
  return faults;
}

/** What must be there for its chunks and runs to be known. */
const offsetsOf = ({ domain: { made } }: TileKernel): readonly string[] => (made === undefined ? [] : [made.offsets]);

/** Buffers that a body loads and has not stored to before. */
function unwrittenLoads(body: readonly TileStmt[], before: ReadonlySet<string> = new Set()): readonly string[] {
  const written = new Set(before);
  const found = new Set<string>();
  for (const stmt of body) {
    if (stmt.kind === 'store') {
      if (stmt.by !== undefined && !written.has(stmt.by)) found.add(stmt.by);
      written.add(stmt.buffer);
    } else if (stmt.kind === 'loop') {
      unwrittenLoads(stmt.body, written).forEach((buffer) => found.add(buffer));
      storedBuffers(stmt.body).forEach((buffer) => written.add(buffer));
    } else for (const buffer of loadedBuffers([stmt])) if (!written.has(buffer)) found.add(buffer);
  }
  return [...found];
}

/** What the user gives. */
const GIVEN: ReadonlySet<TileBuffer['role']> = new Set<TileBuffer['role']>(['input', 'param', 'initial', 'cotangent']);

/** Is the cell of a level known? */
function holds(level: Level, scope: Scope): boolean {
  switch (level) {
    case 'once': return true;
    case 'row': return scope.row || scope.chunk;
    case 'chunk': case 'segment': case 'run': return scope[level];
  }
}

const known = (module: TileModule, axis: Axis) => sizeIn(module.sizes, module.chunk, axis) !== undefined;

function verifyKernel(module: TileModule, kernel: TileKernel): readonly string[] {
  const faults: string[] = [];
  const buffers = new Map(module.buffers.map((buffer) => [buffer.name, buffer]));
  const assigned = new Set<number>();
  const stored = new Set(storedBuffers(kernel.body));
  const fault = (message: string) => faults.push(`${module.name}.${kernel.name}: ${message}`);
  const axesOf = (tile: number): readonly Axis[] => kernel.tiles[tile]?.axes ?? [];

  const anywhere = (name: string, scope: Scope): TileBuffer | undefined => {
    const buffer = buffers.get(name);
    if (buffer === undefined) fault(`no buffer ${name}`);
    else if (buffer.inner === 'head' && !scope.head) fault(`${name} is per head, but no head is known here`);
    else if (buffer.inner === 'group' && kernel.inner === 'once') fault(`${name} is per group, but no group is known here`);
    return buffer;
  };
  const bufferOf = (name: string, scope: Scope): TileBuffer | undefined => {
    const buffer = anywhere(name, scope);
    if (buffer === undefined) return undefined;
    const { outer, domain } = buffer;
    const lacks = (what: string, known = what) => fault(`${name} is per ${what}, but no ${known} is known here`);
    if (outer !== 'once' && !sameDomain(domain, kernel.domain)) lacks(nameOf(buffer));
    else if (!holds(outer, scope)) lacks(
      nameOf(buffer), isRows(buffer) ? `${kernel.domain.chunk} or ${kernel.domain.row}` : nameOf(buffer),
    );
    return buffer;
  };

  /** What takes the place of a segment's cell looks like it. */
  const checkWhole = (buffer: TileBuffer, whole: TileBuffer | undefined) => {
    if (whole === undefined) return;
    const alike = buffer.dtype === whole.dtype && buffer.inner === whole.inner && buffer.axes.join() === whole.axes.join();
    if (
      kernel.outer !== 'segment' || buffer.outer !== 'segment' || !isRuns(whole) || !alike
    ) fault(`${whole.name} cannot stand in for ${buffer.name}`);
  };

  const checkScatter = ({ buffer: name, value }: TileStore, by: string, scope: Scope) => {
    const [buffer, index] = [anywhere(name, scope), bufferOf(by, scope)];
    if (buffer === undefined || index === undefined) return;
    if (!scope.chunk || scope.row) fault(`store to rows of ${name}: no chunk is known here`);
    if (!isRows(buffer)) fault(`store to rows of ${name}: it has no rows`);
    if (GIVEN.has(buffer.role)) fault(`stores to ${name}, which the user gives`);
    if (index.dtype !== 'i32' || !isRows(index)) fault(`store to rows of ${name}: ${by} has no numbers of rows`);
    if (stored.has(by)) fault(`stores to rows of ${name} by ${by}, and to ${by} too`);
    const cell = [ROW, ...index.axes, ...buffer.axes];
    if (!includesAll(cell, axesOf(value))) fault(`%${value} [${axesOf(value)}] does not fit ${name} by ${by} [${cell}]`);
    if (kernel.split !== undefined && !cell.includes(kernel.split)) fault(`stores to rows of ${name} from every block of ${kernel.split}`);
  };

  /** Axes the operation gives; faults say what its operands lack. */
  const resultAxes = (op: TileOp, scope: Scope): readonly Axis[] | undefined => {
    const facts = factsOf(op);
    facts.check?.(op, {
      scope, split: kernel.split, axesOf, fault,
      buffer: (name) => bufferOf(name, scope), anywhere: (name) => anywhere(name, scope),
      needs(tile, axes, what) {
        if (!includesAll(axesOf(tile), axes)) fault(`${op.op}: ${what} %${tile} lacks ${withoutAxes(axes, axesOf(tile)).join(', ')}`);
      },
      exactly(tile, axes, what) {
        if (!sameAxes(axesOf(tile), axes)) fault(`${op.op}: ${what} %${tile} is [${axesOf(tile)}], not [${axes}]`);
      },
    });
    if (op.op === 'gather') {
      const [buffer, index] = [buffers.get(op.buffer), buffers.get(op.index)];
      if (buffersRead(op).some((name) => stored.has(name))) fault(`gathers rows of ${op.buffer} by ${op.index}, and stores to one of them`);
      return buffer && index && [op.rows === 'row' ? ROW : COL, ...index.axes, ...buffer.axes];
    }
    if (op.op === 'nth') return buffers.get(op.buffer)?.axes;
    if (op.op !== 'load') return facts.axes(op, axesOf);
    const buffer = buffers.get(op.buffer);
    if (buffer !== undefined && op.whole !== undefined) checkWhole(buffer, bufferOf(op.whole, scope));
    return buffer && [...(op.rows === 'row' ? [ROW] : op.rows === 'col' ? [COL] : []), ...buffer.axes];
  };

  if (kernel.idle !== undefined && kernel.outer !== 'segment') fault('no segments, of which one could be idle');
  if (
    kernel.cut !== undefined && storedBuffers(kernel.body).some((name) => buffers.get(name)?.role !== 'workspace')
  ) fault('makes a result, and may be left out');

  const define = (tile: number, defined: Set<number>) => {
    if (kernel.tiles[tile] === undefined) fault(`%${tile} has no type`);
    if (assigned.has(tile)) fault(`%${tile} is assigned twice`);
    assigned.add(tile);
    defined.add(tile);
    for (const axis of axesOf(tile)) if (!known(module, axis)) fault(`%${tile} has axis ${axis} without size`);
  };

  const walk = (body: readonly TileStmt[], outer: ReadonlySet<number>, scope: Scope): ReadonlySet<number> => {
    const defined = new Set(outer);
    const read = (tile: number, by: string) => {
      if (!defined.has(tile)) fault(`${by} reads %${tile}, which is not defined there`);
    };
    for (const stmt of body) {
      switch (stmt.kind) {
        case 'let': {
          for (const arg of operandsOf(stmt.op)) read(arg, stmt.op.op);
          const axes = resultAxes(stmt.op, scope);
          if (
            axes !== undefined && !sameAxes(axes, axesOf(stmt.tile))
          ) fault(`%${stmt.tile} is declared [${axesOf(stmt.tile)}], but ${stmt.op.op} gives [${axes}]`);
          if (
            stmt.op.op === 'identity' && new Set(axesOf(stmt.tile).map((axis) => sizeIn(module.sizes, module.chunk, axis))).size !== 1
          ) fault(`identity %${stmt.tile} is not square`);
          define(stmt.tile, defined);
          break;
        }
        case 'store': {
          read(stmt.value, 'store');
          if (stmt.by !== undefined) {
            checkScatter(stmt, stmt.by, scope);
            break;
          }
          const buffer = bufferOf(stmt.buffer, scope);
          if (buffer === undefined) break;
          if (stmt.only !== undefined && kernel.outer !== 'segment') fault(`stores to ${buffer.name} from one segment of none`);
          if (
            kernel.outer === 'segment' && isRuns(buffer) && stmt.only === undefined
          ) fault(`stores to ${buffer.name} from every segment`);
          if (GIVEN.has(buffer.role)) fault(`stores to ${buffer.name}, which the user gives`);
          const cell = isRows(buffer) && !scope.row ? [ROW, ...buffer.axes] : buffer.axes;
          const value = axesOf(stmt.value);
          const named = value.includes(COL) && !value.includes(ROW) && !cell.includes(COL)
            ? value.map((axis) => (axis === COL ? ROW : axis))
            : value;
          if (!includesAll(cell, named)) fault(`%${stmt.value} [${value}] does not fit ${buffer.name} [${cell}]`);
          if (
            kernel.split !== undefined && !buffer.axes.some((axis) => isCut(axis, kernel.split))
          ) fault(`stores to ${buffer.name} from every block of ${kernel.split}`);
          break;
        }
        case 'loop': {
          for (const carry of stmt.carry) {
            read(carry.init, 'loop');
            if (
              !sameAxes(axesOf(carry.tile), axesOf(carry.init)) || !sameAxes(axesOf(carry.tile), axesOf(carry.next))
            ) fault(`%${carry.tile} is carried with changing axes`);
            define(carry.tile, defined);
          }
          const loop = `a loop over ${loopName(kernel, stmt)}`;
          const { chunk, segment, run } = kernel.domain;
          if (stmt.over === 'chunks' && (scope.chunk || scope.row)) fault(`${loop} inside a ${chunk}`);
          if (stmt.over === 'chunks' && kernel.outer === 'run' && scope.segment) fault(`${loop} inside a loop over ${segment}s`);
          if (stmt.only !== undefined && (stmt.over !== 'chunks' || kernel.outer !== 'run')) fault(`one ${chunk} of what is no ${run}`);
          if (
            stmt.over === 'segments' && (scope.run !== (kernel.outer === 'run') || scope.segment || scope.chunk || scope.row)
          ) fault(`${loop} outside a ${run}`);
          if (stmt.over === 'runs' && (kernel.outer !== 'once' || scope.run)) fault(`${loop} inside a ${run}`);
          if (stmt.over === 'chunks' && kernel.outer === 'once' && scope.run) fault(`${loop} inside a loop over ${run}s`);
          if (stmt.over === 'rows' && (kernel.outer !== 'run' || scope.chunk || scope.row)) fault(`${loop} outside a ${run}`);
          if (stmt.over === 'members' && (kernel.inner !== 'group' || scope.head)) fault(`${loop} outside a group`);
          const number = stmt.carry.some(({ tile }) => tile === stmt.while?.tile && axesOf(tile).length === 0);
          if (stmt.over === 'rounds' ? !number : stmt.while !== undefined) fault(`${loop} as long as nothing that it carries`);
          if (stmt.over === 'rounds' && (kernel.outer !== 'once' || scope.run)) fault(`${loop} inside a ${run}`);
          const inside = walk(stmt.body, defined, {
            row: scope.row || stmt.over === 'rows',
            chunk: scope.chunk || stmt.over === 'chunks',
            segment: scope.segment || stmt.over === 'segments',
            run: scope.run || stmt.over === 'chunks' || stmt.over === 'runs',
            head: scope.head || stmt.over === 'members',
          });
          for (const carry of stmt.carry) if (!inside.has(carry.next)) fault(`loop carries %${carry.next}, which its body does not define`);
          break;
        }
        default:
          stmt satisfies never;
      }
    }
    return defined;
  };
  walk(kernel.body, new Set(), {
    row: false, chunk: kernel.outer === 'chunk', segment: kernel.outer === 'segment', run: kernel.outer !== 'once',
    head: kernel.inner === 'head',
  });
  return faults;
}
