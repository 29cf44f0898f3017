import { ROW, sameAxes } from '../../ir/common/axes.js';
import { loadedBuffers, storedBuffers } from '../../ir/tile/buffers.js';
import { sameDomain } from '../../ir/tile/domain.js';
import { movedOp } from '../../ir/tile/moved.js';
import { prune } from '../../ir/tile/prune.js';
import {
  withLaunches, type TileBuffer, type TileId, type TileKernel, type TileModule, type TileOp, type TileStmt,
} from '../../ir/tile/tile.js';

/**
 * A module in which lists are made where that is of which they are: a kernel of rows by themselves that lists what an earlier one has
 * stored for the same rows becomes a part of it. Lists are short, and what they are of need not go to memory: workspaces that nobody reads
 * are not stored.
 */
export function rowsJoined(module: TileModule): TileModule {
  const found = pairOf(module);
  if (found === undefined) return module;
  const { maker, reader } = found;
  const made = joined(module, maker, reader);
  const kernels = module.kernels.flatMap((kernel) => (kernel === maker ? [made] : kernel === reader ? [] : [kernel]));
  const programs = withLaunches(module.programs, ({ launches }) => launches.filter((name) => name !== reader.name));
  return rowsJoined(withoutUnread({ ...module, kernels, programs }));
}

interface Pair {
  readonly maker: TileKernel;
  readonly reader: TileKernel;
}

function pairOf(module: TileModule): Pair | undefined {
  const byName = new Map(module.kernels.map((kernel) => [kernel.name, kernel]));
  const programs = Object.values(module.programs).map(({ launches }) => launches.flatMap((name) => byName.get(name) ?? []));
  const alone = (kernel: TileKernel): boolean => programs.flat().filter((one) => one === kernel).length === 1;
  for (const launches of programs) {
    for (const [at, reader] of launches.entries()) {
      if (!ofRows(reader) || !reader.body.some((stmt) => stmt.kind === 'let' && stmt.op.op === 'pack')) continue;
      const loads = loadedBuffers(reader.body);
      const from = launches.slice(0, at).findLastIndex(({ body }) => storedBuffers(body).some((name) => loads.includes(name)));
      const maker = launches[from];
      if (maker === undefined || !alone(reader) || !alone(maker) || !fits(module, maker, reader)) continue;
      const between = launches.slice(from + 1, at);
      const stores = storedBuffers(reader.body);
      if (!between.some(({ body }) => [...loadedBuffers(body), ...storedBuffers(body)].some((name) => stores.includes(name)))) {
        return { maker, reader };
      }
    }
  }
  return undefined;
}

/** Is each row made of the same row of others? */
function ofRows({ outer, split, body, idle }: TileKernel): boolean {
  return outer === 'chunk' && split === undefined && idle === undefined && body.every((stmt) => {
    if (stmt.kind === 'loop') return false;
    return stmt.kind === 'store' ? stmt.only === undefined && stmt.by === undefined : onTiles(stmt.op, (id) => id) !== undefined;
  });
}

/** An operation on other tiles; undefined: it is none of rows by themselves. */
function onTiles(op: TileOp, to: (id: TileId) => TileId): TileOp | undefined {
  switch (op.op) {
    case 'load': return op.rows === 'col' || op.back !== undefined || op.whole !== undefined ? undefined : op;
    case 'gather': return op.rows === 'row' ? op : undefined;
    case 'reduce': case 'contract': return op.axis === ROW ? undefined : movedOp(op, to);
    case 'cumsum': return op.axis === undefined ? undefined : movedOp(op, to);
    case 'top': case 'pack': case 'unpack': return op.axes.includes(ROW) ? undefined : movedOp(op, to);
    case 'tally': case 'queue': return undefined;
    default: return movedOp(op, to);
  }
}

function fits(module: TileModule, maker: TileKernel, reader: TileKernel): boolean {
  if (!ofRows(maker) || !sameDomain(maker.domain, reader.domain) || maker.inner !== reader.inner) return false;
  const stored = storedBuffers(maker.body);
  if (storedBuffers(reader.body).some((name) => stored.includes(name) || loadedBuffers(maker.body).includes(name))) return false;
  const loads = loadedBuffers(reader.body);
  const whole = maker.body.every((stmt) => stmt.kind !== 'store' || !loads.includes(stmt.buffer)
    || sameAxes(maker.tiles[stmt.value].axes, [ROW, ...bufferIn(module, stmt.buffer)?.axes ?? []]));
  return whole && reader.body.every((stmt) => (
    stmt.kind !== 'let' || stmt.op.op !== 'gather' || ![stmt.op.buffer, stmt.op.index].some((name) => stored.includes(name))
  ));
}

const bufferIn = ({ buffers }: TileModule, name: string): TileBuffer | undefined => buffers.find((buffer) => buffer.name === name);

/** The statements of both; what the first has stored, or loads itself, is seen as it lies in memory. */
function joined(module: TileModule, maker: TileKernel, reader: TileKernel): TileKernel {
  const tiles = [...maker.tiles];
  const places = new Map<TileId, TileId>();
  const to = (id: TileId): TileId => places.get(id) ?? id;
  const made = new Map(maker.body.flatMap((stmt) => (stmt.kind === 'let' ? [[stmt.tile, stmt.op] as const] : [])));
  const stored = new Map(maker.body.flatMap((stmt) => (stmt.kind === 'store' ? [[stmt.buffer, stmt.value] as const] : [])));
  const loaded = new Map([...made].flatMap(([tile, op]) => (op.op === 'load' ? [[op.buffer, tile] as const] : [])));
  const lets = reader.body.flatMap((stmt): readonly TileStmt[] => {
    if (stmt.kind === 'loop') return [];
    if (stmt.kind === 'store') return [{ ...stmt, value: to(stmt.value) }];
    const { op, tile } = stmt;
    const value = op.op === 'load' ? stored.get(op.buffer) : undefined;
    const known = value ?? (op.op === 'load' ? loaded.get(op.buffer) : undefined);
    // Of a choice every digit is there.
    const rounds = op.op === 'load' && value !== undefined && bufferIn(module, op.buffer)?.dtype === 'io' && made.get(value)?.op !== 'top';
    if (known !== undefined && !rounds) {
      places.set(tile, known);
      return [];
    }
    const own: TileOp | undefined = rounds && value !== undefined ? { op: 'round', arg: value } : onTiles(op, to);
    if (own === undefined) throw new Error(`${reader.name}: rows that meet`);
    places.set(tile, tiles.push(reader.tiles[tile]) - 1);
    return [{ kind: 'let', tile: to(tile), op: own }];
  });
  return { ...maker, tiles, body: [...maker.body, ...lets] };
}

/** Without stores to workspaces that nothing reads, and what was made for them alone: kernels that are left with nothing to store, too. */
function withoutUnread(module: TileModule): TileModule {
  const read = new Set([
    ...module.kernels.flatMap(({ body }) => loadedBuffers(body)), ...module.domains.flatMap(({ made }) => (
      made === undefined ? [] : [made.offsets]
    )),
    ...Object.values(module.programs).flatMap(({ gives }) => gives),
  ]);
  const gone = new Set(module.buffers.flatMap(({ name, role }) => (role === 'workspace' && !read.has(name) ? [name] : [])));
  if (gone.size === 0) return module;
  const without = (body: readonly TileStmt[]): readonly TileStmt[] => body.flatMap((stmt): readonly TileStmt[] => {
    if (stmt.kind === 'store') return gone.has(stmt.buffer) ? [] : [stmt];
    return [stmt.kind === 'loop' ? { ...stmt, body: without(stmt.body) } : stmt];
  });
  const kernels = module.kernels.map((kernel) => (
    storedBuffers(kernel.body).some((name) => gone.has(name)) ? prune({ ...kernel, body: without(kernel.body) }) : kernel
  ));
  const idle = new Set(kernels.flatMap(({ name, body }) => (storedBuffers(body).length === 0 ? [name] : [])));
  return withoutUnread({
    ...module, buffers: module.buffers.filter(({ name }) => !gone.has(name)), kernels: kernels.filter(({ name }) => !idle.has(name)),
    programs: withLaunches(module.programs, ({ launches }) => launches.filter((name) => !idle.has(name))),
  });
}
