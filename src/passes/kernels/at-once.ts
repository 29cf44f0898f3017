import { sameAxes } from '../../ir/common/axes.js';
import { loadedBuffers, storedBuffers } from '../../ir/tile/buffers.js';
import { isRows, sameDomain } from '../../ir/tile/domain.js';
import { movedOp } from '../../ir/tile/moved.js';
import { prune } from '../../ir/tile/prune.js';
import {
  withLaunches, type TileId, type TileKernel, type TileModule, type TileOp, type TileStmt, type TileType,
} from '../../ir/tile/tile.js';
import { freeName } from '../../support/free-name.js';
import { TOKENS } from '../chunk/programs.js';

/**
 * A module in which what kernels do one after the other for segments and for all, counts and sums of numbers, is one kernel more, for calls
 * whose rows are one chunk: there is one segment then, every loop has one round, and what one hands on to the next need not go to memory.
 * With few rows launches are all that such kernels cost.
 */
export function chunksAtOnce(module: TileModule): TileModule {
  const byName = new Map(module.kernels.map((kernel) => [kernel.name, kernel]));
  const made = Object.values(module.programs).flatMap(({ launches }) => {
    const kernels = launches.flatMap((name) => byName.get(name) ?? []);
    return groupsIn(kernels).flatMap((members) => {
      const kernel = atOnce(module, members, kernels.filter((one) => !members.includes(one)));
      return kernel === undefined ? [] : [{ kernel, members }];
    });
  });
  const skipped = new Set(made.flatMap(({ members }) => members.map(({ name }) => name)));
  const behind = new Map(made.map(({ kernel, members }) => [members[members.length - 1].name, kernel.name]));
  return made.length === 0 ? module : {
    ...module,
    kernels: [
      ...module.kernels.map((kernel) => (skipped.has(kernel.name) ? { ...kernel, few: 'never' } as const : kernel)),
      ...made.map(({ kernel }) => kernel),
    ],
    programs: withLaunches(
      module.programs, ({ launches }) => launches.flatMap((name) => [name, ...behind.has(name) ? [behind.get(name) ?? ''] : []]),
    ),
  };
}

/** Kernels next to each other of which each reads what one before it has made, two at least. */
function groupsIn(launches: readonly TileKernel[]): readonly (readonly TileKernel[])[] {
  const groups: TileKernel[][] = [];
  let open: TileKernel[] = [];
  for (const kernel of launches) {
    const stored = open.flatMap(({ body }) => storedBuffers(body));
    const follows = loadedBuffers(kernel.body).some((name) => stored.includes(name));
    if (!isNarrow(kernel)) open = [];
    else if (follows) open.push(kernel);
    else groups.push(open = [kernel]);
  }
  return groups.filter(({ length }) => length > 1);
}

const isNarrow = ({ domain, outer, inner, split, idle, cut }: TileKernel): boolean => (
  sameDomain(domain, TOKENS) && (outer === 'segment' || outer === 'once') && inner === 'once' && split === undefined
  && idle === undefined && cut === undefined
);

/** undefined: what they do is more than that. `others`: of their program. */
function atOnce(module: TileModule, members: readonly TileKernel[], others: readonly TileKernel[]): TileKernel | undefined {
  const read = new Set(others.flatMap(({ body }) => loadedBuffers(body)));
  const buffers = new Map(module.buffers.map((buffer) => [buffer.name, buffer]));
  const isKept = (name: string): boolean => (
    buffers.get(name)?.role !== 'workspace' || read.has(name) || module.domains.some(({ made }) => made?.offsets === name)
  );
  const tiles: TileType[] = [];
  const body: TileStmt[] = [];
  const stored = new Map<string, TileId>();
  const places = new Map<TileId, TileId>();
  const to = (id: TileId): TileId => places.get(id) ?? id;
  /** Is a statement one of those that may be written here, and has it been? */
  const written = (kernel: TileKernel, stmt: TileStmt): boolean => {
    if (stmt.kind === 'loop') {
      if ((stmt.over !== 'chunks' && stmt.over !== 'segments') || stmt.only !== undefined) return false;
      for (const { tile, init } of stmt.carry) places.set(tile, to(init));
      if (!stmt.body.every((inner) => written(kernel, inner))) return false;
      const nexts = stmt.carry.map(({ next }) => to(next));
      stmt.carry.forEach(({ tile }, i) => places.set(tile, nexts[i]));
      return true;
    }
    if (stmt.kind === 'store') {
      if (stmt.by !== undefined || stmt.only !== undefined) return false;
      stored.set(stmt.buffer, to(stmt.value));
      if (!isKept(stmt.buffer)) return true;
      body.push({ ...stmt, value: to(stmt.value) });
      return buffers.get(stmt.buffer)?.outer !== 'segment';
    }
    const { op, tile } = stmt;
    const buffer = op.op === 'load' ? buffers.get(op.buffer) : undefined;
    const known = op.op === 'load' ? stored.get(op.buffer) : undefined;
    const again = known === undefined ? body.find((one) => one.kind === 'let' && isSameLoad(one.op, op)) : undefined;
    if (again?.kind === 'let') {
      places.set(tile, again.tile);
      return true;
    }
    if (known !== undefined) {
      places.set(tile, known);
      return buffer?.dtype === 'f32' && !isRows(buffer) && sameAxes(tiles[known].axes, buffer.axes);
    }
    const own = movedOp(op, to);
    if (own === undefined || buffer?.outer === 'segment') return false;
    places.set(tile, tiles.push(kernel.tiles[tile]) - 1);
    body.push({ kind: 'let', tile: to(tile), op: own });
    return true;
  };
  const all = members.every((kernel) => {
    places.clear();
    return kernel.body.every((stmt) => written(kernel, stmt));
  });
  const { domain } = members[0];
  const doc = `Of few ${domain.row}s, at once: ${members.map(({ name }) => name).join(', ')}.`;
  const wished = `${members[0].name.replace(/_[a-z]+$/, '')}_at_once`;
  const name = freeName(wished, (one) => module.kernels.some((kernel) => kernel.name === one));
  return !all ? undefined : prune({
    name, doc, outer: 'chunk', domain, inner: 'once', split: undefined, few: 'only', tiles, body,
  });
}

const isSameLoad = (a: TileOp, b: TileOp): boolean => (
  a.op === 'load' && b.op === 'load' && a.buffer === b.buffer && a.rows === b.rows && a.back === b.back && a.whole === b.whole
);
