import { ROW, runsIn, sizeIn, type Axis } from '../../ir/common/axes.js';
import { storedBuffers } from '../../ir/tile/buffers.js';
import { isRows } from '../../ir/tile/domain.js';
import { operandsOf } from '../../ir/tile/facts.js';
import type { TileBuffer, TileId, TileKernel, TileLoop, TileModule, TileOp, TileStmt, TileStore } from '../../ir/tile/tile.js';

/** Who reads a tile: another definition, a store, or a loop's carry. */
export type User =
  | { readonly kind: 'let'; readonly tile: TileId; readonly op: TileOp; readonly at: number; readonly loops: readonly TileLoop[] }
  | {
    readonly kind: 'store'; readonly stmt: TileStmt & { readonly kind: 'store' }; readonly at: number; readonly loops: readonly TileLoop[];
  }
  | {
    readonly kind: 'init' | 'next'; readonly carry: TileLoop['carry'][number]; readonly loop: TileLoop;
    readonly at: number; readonly loops: readonly TileLoop[];
  };

export interface Definition {
  readonly tile: TileId;
  /** Absent for carried tiles. */
  readonly op: TileOp | undefined;
  /** Position in program order; carried tiles: of the loop's begin. */
  readonly at: number;
  /** Loops around the definition, outermost first; carried tiles: around the loop. */
  readonly loops: readonly TileLoop[];
}

/** Of an axis that is divided among workgroups: what one of them has. */
export interface AxisBlock {
  readonly axis: Axis;
  readonly size: number;
  /** Blocks of the whole axis. */
  readonly count: number;
  /** The variable that says where it begins. */
  readonly first: string;
}

export interface Structure {
  readonly module: TileModule;
  readonly kernel: TileKernel;
  readonly definitions: ReadonlyMap<TileId, Definition>;
  /** In order of definition. */
  readonly order: readonly TileId[];
  readonly users: ReadonlyMap<TileId, readonly User[]>;
  readonly span: ReadonlyMap<TileLoop, { readonly begin: number; readonly end: number }>;
  /** Buffers the kernel itself writes: what it loads from them is not to be read later than where it says. */
  readonly stored: ReadonlySet<string>;
  /** Axes of which a workgroup has a part only. */
  readonly blocks: readonly AxisBlock[];
  /** Size of an axis as one workgroup sees it: a divided axis has the size of a block. */
  size(axis: Axis): number;
  /** The whole size. */
  whole(axis: Axis): number;
  axes(tile: TileId): readonly Axis[];
  elements(axes: readonly Axis[]): number;
  buffer(name: string): TileBuffer;
}

/** `widths`: of blocks, by axis. */
export function structureOf(module: TileModule, kernel: TileKernel, widths: ReadonlyMap<Axis, number>): Structure {
  const definitions = new Map<TileId, Definition>();
  const users = new Map<TileId, User[]>();
  const span = new Map<TileLoop, { begin: number; end: number }>();
  const buffers = new Map(module.buffers.map((buffer) => [buffer.name, buffer]));
  let at = 0;
  const use = (tile: TileId, user: User) => users.set(tile, [...(users.get(tile) ?? []), user]);
  const walk = (body: readonly TileStmt[], loops: readonly TileLoop[]): void => {
    for (const stmt of body) {
      const here = at++;
      switch (stmt.kind) {
        case 'let':
          definitions.set(stmt.tile, { tile: stmt.tile, op: stmt.op, at: here, loops });
          for (const arg of operandsOf(stmt.op)) use(arg, { kind: 'let', tile: stmt.tile, op: stmt.op, at: here, loops });
          break;
        case 'store':
          use(stmt.value, { kind: 'store', stmt, at: here, loops });
          break;
        case 'loop': {
          for (const carry of stmt.carry) {
            definitions.set(carry.tile, { tile: carry.tile, op: undefined, at: here, loops });
            use(carry.init, { kind: 'init', carry, loop: stmt, at: here, loops });
          }
          const inner = [...loops, stmt];
          walk(stmt.body, inner);
          const end = at++;
          span.set(stmt, { begin: here, end });
          for (const carry of stmt.carry) use(carry.next, { kind: 'next', carry, loop: stmt, at: end, loops: inner });
          break;
        }
        default:
          stmt satisfies never;
      }
    }
  };
  walk(kernel.body, []);
  const whole = (axis: Axis): number => {
    const size = sizeIn(module.sizes, module.chunk, axis);
    if (size === undefined) throw new Error(`${module.name}: axis ${axis} has no size`);
    return size;
  };
  const blocks = [...widths].filter(([axis, size]) => size !== whole(axis)).map(([axis, size], i): AxisBlock => ({
    axis, size, count: whole(axis) / size, first: i === 0 ? 'block' : `block${i + 1}`,
  }));
  const size = (axis: Axis) => {
    const runs = runsIn(axis);
    const width = widths.get(runs?.of ?? axis) ?? whole(runs?.of ?? axis);
    return runs === undefined ? width : width / runs.length;
  };
  return {
    module,
    kernel,
    definitions,
    order: [...definitions.keys()],
    users,
    span,
    stored: new Set(storedBuffers(kernel.body)),
    blocks,
    size,
    whole,
    axes: (tile) => kernel.tiles[tile].axes,
    elements: (axes) => axes.reduce((n, axis) => n * size(axis), 1),
    buffer(name) {
      const buffer = buffers.get(name);
      if (buffer === undefined) throw new Error(`${module.name}: no buffer ${name}`);
      return buffer;
    },
  };
}

/** Axes of what a store writes in one go. */
export function cellAxes(
  s: Pick<Structure, 'buffer'>, { buffer: name, by }: Pick<TileStore, 'buffer' | 'by'>, loops: readonly TileLoop[],
): readonly Axis[] {
  const buffer = s.buffer(name);
  if (by !== undefined) return [ROW, ...s.buffer(by).axes, ...buffer.axes];
  const inRows = loops.some((loop) => loop.over === 'rows');
  return isRows(buffer) && !inRows ? [ROW, ...buffer.axes] : buffer.axes;
}
