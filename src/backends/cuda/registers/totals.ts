import { ROW } from '../../../ir/common/axes.js';
import { operandsOf } from '../../../ir/tile/facts.js';
import type { TileId, TileLoop } from '../../../ir/tile/tile.js';
import { acrossWarps } from './ops.js';
import type { Writer } from './values.js';

/** A carried tile to which every chunk adds the sum of its rows, and nobody in the loop looks at it. */
interface Total {
  readonly tile: TileId;
  readonly init: TileId;
  /** The sum over the rows of a chunk, what it is of, and what it makes of the carried tile. */
  readonly sum: TileId;
  readonly arg: TileId;
  readonly next: TileId;
}

export interface Totals {
  /** Carried tiles and all that makes them. */
  readonly tiles: ReadonlySet<TileId>;
  begin(): void;
  /** In an iteration, once its rows are there. */
  add(): void;
  end(): void;
}

/** Sums over the rows of all chunks of a loop: every warp adds up its own rows, and they meet once, behind the loop. */
export function totalsOf(w: Writer, loop: TileLoop): Totals {
  const found = loop.over === 'chunks' && hasOwnRows(w) ? loop.carry.flatMap((carry) => totalOf(w, loop, carry) ?? []) : [];
  return {
    tiles: new Set(found.flatMap(({ tile, sum, next }) => [tile, sum, next])),
    begin() {
      for (const { tile } of found) {
        w.declare(tile);
        w.each(w.kernel.tiles[tile].axes, (i, j) => `${w.at(tile, i, j)} = 0.f;`);
      }
    },
    add() {
      for (const { tile, sum, arg, next } of found) {
        for (const text of [...w.notes.tile(sum), ...w.notes.tile(next)]) w.code.line(text);
        w.each(w.kernel.tiles[arg].axes, (i, j) => {
          const live = w.live([ROW], i, j);
          return `${w.at(tile, i, j)} += ${live === '' ? w.at(arg, i, j) : `(${live} ? ${w.at(arg, i, j)} : 0.f)`};`;
        });
      }
    },
    end() {
      for (const { tile, init } of found) {
        acrossWarps(w, tile, 'sum');
        w.each(w.kernel.tiles[tile].axes, (i, j) => `${w.at(tile, i, j)} += ${w.at(init, i, j)};`);
      }
    },
  };
}

/** Are the rows of a chunk spread over the warps? */
const hasOwnRows = ({ layout }: Writer): boolean => {
  const rows = layout.groups.find(({ axes }) => axes.includes(ROW));
  return layout.turns === undefined && rows?.role === 'warp' && !rows.cut;
};

function totalOf({ uses }: Writer, loop: TileLoop, { tile, init, next }: TileLoop['carry'][number]): Total | undefined {
  const add = uses.defs.get(next);
  if (add?.op?.op !== 'map' || add.op.fn !== 'add' || add.body !== loop.body || uses.counts.get(next) !== 1) return undefined;
  const [sum, ...rest] = add.op.args.filter((arg) => arg !== tile);
  if (sum === undefined || rest.length > 0 || add.op.args.length !== 2) return undefined;
  const readers = loop.body.filter((stmt) => (
    stmt.kind === 'let' ? operandsOf(stmt.op).includes(tile) : stmt.kind === 'loop' || stmt.value === tile
  ));
  const made = uses.defs.get(sum);
  if (readers.length !== 1 || made?.body !== loop.body || uses.counts.get(sum) !== 1) return undefined;
  const { op } = made;
  return op?.op === 'reduce' && op.axis === ROW && op.reduce === 'sum' ? { tile, init, sum, arg: op.arg, next } : undefined;
}
