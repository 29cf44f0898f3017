import { COL, ROW, includesAll, sameAxes, sizeIn, withoutAxes, type Axis } from '../common/axes.js';
import { loadedBuffers, storedBuffers } from './buffers.js';
import { factsOf, operandsOf, type Scope } from './facts.js';
import type { TileBuffer, TileKernel, TileModule, TileOp, TileStmt } from './tile.js';

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
  for (const name of [...module.programs.forward, ...module.programs.backward, ...module.programs.step]) {
    if (!names.has(name)) faults.push(`${module.name}: a program launches ${name}, which is no kernel`);
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

/** What each program must leave behind. */
const RESULTS: Readonly<Record<keyof TileModule['programs'], readonly TileBuffer['role'][]>> = {
  forward: ['output', 'final'], backward: ['gradient'], step: ['output', 'final'],
};

/** Memory that no kernel has written yet is read by none, and every result is written. */
function verifyFlow(module: TileModule): readonly string[] {
  const faults: string[] = [];
  const kernels = new Map(module.kernels.map((kernel) => [
    kernel.name, { loads: unwrittenLoads(kernel.body), stores: storedBuffers(kernel.body) },
  ]));
  const given = module.buffers.filter(({ role }) => GIVEN.has(role)).map(({ name }) => name);
  for (const program of ['forward', 'backward', 'step'] as const) {
    const written = new Set(given);
    for (const name of module.programs[program]) {
      const kernel = kernels.get(name);
      for (const buffer of kernel?.loads ?? []) {
        if (written.has(buffer)) continue;
        faults.push(`${module.name}: ${program} launches ${name}, which reads ${buffer} before any kernel has written it`);
      }
      kernel?.stores.forEach((buffer) => written.add(buffer));
    }
    if (module.programs[program].length === 0) continue;
    for (const { name, role } of module.buffers) {
      if (RESULTS[program].includes(role) && !written.has(name)) faults.push(`${module.name}: ${program} does not write ${name}`);
    }
  }
  return faults;
}

/** Buffers that a body loads and has not stored to before. */
function unwrittenLoads(body: readonly TileStmt[], before: ReadonlySet<string> = new Set()): readonly string[] {
  const written = new Set(before);
  const found = new Set<string>();
  for (const stmt of body) {
    if (stmt.kind === 'store') written.add(stmt.buffer);
    else if (stmt.kind === 'loop') {
      unwrittenLoads(stmt.body, written).forEach((buffer) => found.add(buffer));
      storedBuffers(stmt.body).forEach((buffer) => written.add(buffer));
    } else for (const buffer of loadedBuffers([stmt])) if (!written.has(buffer)) found.add(buffer);
  }
  return [...found];
}

/** What the user gives. */
const GIVEN: ReadonlySet<TileBuffer['role']> = new Set<TileBuffer['role']>(['input', 'param', 'initial', 'cotangent']);

const known = (module: TileModule, axis: Axis) => sizeIn(module.sizes, module.chunk, axis) !== undefined;

function verifyKernel(module: TileModule, kernel: TileKernel): readonly string[] {
  const faults: string[] = [];
  const buffers = new Map(module.buffers.map((buffer) => [buffer.name, buffer]));
  const assigned = new Set<number>();
  const fault = (message: string) => faults.push(`${module.name}.${kernel.name}: ${message}`);
  const axesOf = (tile: number): readonly Axis[] => kernel.tiles[tile]?.axes ?? [];

  const bufferOf = (name: string, scope: Scope): TileBuffer | undefined => {
    const buffer = buffers.get(name);
    if (buffer === undefined) fault(`no buffer ${name}`);
    else if (buffer.inner === 'head' && !scope.head) fault(`${name} is per head, but no head is known here`);
    else if (buffer.outer === 'token' && !scope.token && !scope.chunk) fault(`${name} is per token, but no chunk or token is known here`);
    else if (buffer.outer === 'chunk' && !scope.chunk) fault(`${name} is per chunk, but no chunk is known here`);
    else if (buffer.outer === 'segment' && !scope.segment) fault(`${name} is per segment, but no segment is known here`);
    else if (buffer.outer === 'sequence' && !scope.sequence) fault(`${name} is per sequence, but no sequence is known here`);
    return buffer;
  };

  /** What takes the place of a segment's cell looks like it. */
  const checkWhole = (buffer: TileBuffer, whole: TileBuffer | undefined) => {
    if (whole === undefined) return;
    const alike = buffer.dtype === whole.dtype && buffer.inner === whole.inner && buffer.axes.join() === whole.axes.join();
    if (
      kernel.outer !== 'segment' || buffer.outer !== 'segment' || whole.outer !== 'sequence' || !alike
    ) fault(`${whole.name} cannot stand in for ${buffer.name}`);
  };

  /** Axes the operation gives; faults say what its operands lack. */
  const resultAxes = (op: TileOp, scope: Scope): readonly Axis[] | undefined => {
    const facts = factsOf(op);
    facts.check?.(op, {
      scope, split: kernel.split, axesOf, fault,
      buffer: (name) => bufferOf(name, scope),
      needs(tile, axes, what) {
        if (!includesAll(axesOf(tile), axes)) fault(`${op.op}: ${what} %${tile} lacks ${withoutAxes(axes, axesOf(tile)).join(', ')}`);
      },
      exactly(tile, axes, what) {
        if (!sameAxes(axesOf(tile), axes)) fault(`${op.op}: ${what} %${tile} is [${axesOf(tile)}], not [${axes}]`);
      },
    });
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
          const buffer = bufferOf(stmt.buffer, scope);
          if (buffer === undefined) break;
          if (stmt.only !== undefined && kernel.outer !== 'segment') fault(`stores to ${buffer.name} from one segment of none`);
          if (
            kernel.outer === 'segment' && buffer.outer === 'sequence' && stmt.only === undefined
          ) fault(`stores to ${buffer.name} from every segment`);
          if (GIVEN.has(buffer.role)) fault(`stores to ${buffer.name}, which the user gives`);
          const cell = buffer.outer === 'token' && !scope.token ? [ROW, ...buffer.axes] : buffer.axes;
          const value = axesOf(stmt.value);
          const named = value.includes(COL) && !value.includes(ROW) && !cell.includes(COL)
            ? value.map((axis) => (axis === COL ? ROW : axis))
            : value;
          if (!includesAll(cell, named)) fault(`%${stmt.value} [${value}] does not fit ${buffer.name} [${cell}]`);
          if (
            kernel.split !== undefined && !buffer.axes.includes(kernel.split)
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
          if (stmt.over === 'chunks' && (scope.chunk || scope.token)) fault('a loop over chunks inside a chunk');
          if (
            stmt.over === 'chunks' && kernel.outer === 'sequence' && scope.segment
          ) fault('a loop over chunks inside a loop over segments');
          if (stmt.only !== undefined && (stmt.over !== 'chunks' || kernel.outer !== 'sequence')) fault('one chunk of what is no sequence');
          if (
            stmt.over === 'segments' && (kernel.outer !== 'sequence' || scope.segment || scope.chunk || scope.token)
          ) fault('a loop over segments outside a sequence');
          if (
            stmt.over === 'tokens' && (kernel.outer !== 'sequence' || scope.chunk || scope.token)
          ) fault('a loop over tokens outside a sequence');
          if (stmt.over === 'members' && (kernel.inner !== 'group' || scope.head)) fault('a loop over members outside a group');
          const inside = walk(stmt.body, defined, {
            token: scope.token || stmt.over === 'tokens',
            chunk: scope.chunk || stmt.over === 'chunks',
            segment: scope.segment || stmt.over === 'segments',
            sequence: scope.sequence || stmt.over === 'chunks',
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
    token: false, chunk: kernel.outer === 'chunk', segment: kernel.outer === 'segment', sequence: kernel.outer !== 'once',
    head: kernel.inner === 'head',
  });
  return faults;
}
