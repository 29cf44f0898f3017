import { ROW, type Axis } from '../../../ir/common/axes.js';
import { isRows } from '../../../ir/tile/domain.js';
import { operandsOf } from '../../../ir/tile/facts.js';
import type { TileId, TileKernel, TileLoop } from '../../../ir/tile/tile.js';
import { bufferNamed, type Place } from '../address.js';
import type { Action } from '../instructions/instruction.js';
import type { Piece } from '../instructions/pieces.js';
import { tensorMap, type CudaContext } from '../lowered.js';
import { windowsOf, type Window } from '../registers/windows.js';
import type { BulkCopy } from './bulk-copy.js';
import type { Frag } from './forms.js';
import { loadCell, present, type Load } from './memory.js';
import type { Team } from './team.js';

/** Rows before a chunk's that come with them. */
const EARLIER = 8;

/**
 * Rows of a tensor along the split axis and those some tokens before them, which a walk reads near each other (a convolution): one copy
 * brings them as a tile with some rows more, out of which the walk takes a fragment for each distance.
 */
export interface Near {
  readonly buffer: string;
  /** The load of the chunk's own rows. */
  readonly own: TileId;
  /** All loads: how many tokens before the chunk's their rows are. */
  readonly loads: ReadonlyMap<TileId, number>;
  readonly window: Window;
  /** What nobody else reads of what the rows before the first are. */
  readonly unread: ReadonlySet<TileId>;
}

/** Which of the tensors that a walk reads come so. */
export function nearIn(
  cx: CudaContext, kernel: TileKernel, loop: TileLoop, split: Axis, place: Place,
): readonly Near[] {
  if (cx.target !== 'cuda.sm90' || cx.dtype !== 'bf16' || loop.over !== 'chunks') return [];
  const lets = loop.body.filter((stmt) => stmt.kind === 'let');
  return [...windowsOf(cx.module, kernel)].flatMap(([name, window]): Near[] => {
    const loads = new Map<TileId, number>();
    const ops: Load[] = [];
    for (const { tile, op } of lets) if (op.op === 'load' && op.buffer === name) {
      loads.set(tile, op.back ?? 0);
      ops.push(op);
    }
    const own = [...loads].find(([, back]) => back === 0)?.[0];
    const buffer = bufferNamed(cx.module, name);
    const fits = ops.every((op) => {
      const { axes, copied, even } = loadCell(cx, op, place, split);
      return axes.length === 2 && axes[0] === ROW && axes[1] === split && copied === 'tile' && even;
    });
    const { before, after, edge } = window;
    if (!fits || own === undefined || !isRows(buffer) || after > 0 || before > EARLIER || edge.size !== before) return [];
    const put = new Set<TileId>([...window.put]);
    const readElsewhere = new Set(loop.body.flatMap((stmt) => (
      stmt.kind === 'store' ? [stmt.value] : stmt.kind === 'let' && !put.has(stmt.tile) ? operandsOf(stmt.op) : []
    )));
    const unread = new Set([...edge.values()].filter((tile) => !readElsewhere.has(tile)));
    return [{ buffer: name, own, loads, window, unread }];
  });
}

/** A tile on its way to the walk. */
export interface NearTile {
  readonly piece: Piece;
  readonly copy: BulkCopy;
}

/** Has the tile copied for the loading team's stage; rows before a run are what earlier calls left of them. */
export function nearCopy(team: Team, { own, buffer, window: { before, edge } }: Near, place: Place, split: Axis): NearTile | undefined {
  const { cx, defs } = team.options;
  const op = defs.get(own);
  if (op?.op !== 'load') return undefined;
  const cell = loadCell(cx, op, place, split);
  team.begin();
  team.note(own);
  const width = team.pad(split);
  const rows = team.pad(ROW) + EARLIER;
  const shape = [rows, width / 64];
  const piece = team.draft.take(rows * width * 2, true, own);
  const [x, y, z] = cell.origin;
  const from = [tensorMap(buffer), x, y, `${z} - ${EARLIER}`];
  const earlier = [...edge].reduceRight((rest, [at, tile]) => {
    const state = defs.get(tile);
    if (state?.op !== 'load') return rest;
    const initial = loadCell(cx, state, place, split);
    return `lost == ${at} ? ${present(initial, `ld(${initial.at} + c)`)} : ${rest}`;
  }, '0.f');
  const first: Action = {
    kind: 'spread', count: before * width,
    text: `{ const int lost = i / ${width} + 1, c = i % ${width}; `
      + `near_put<${rows}>(${team.address(piece)}, ${EARLIER} - lost, c, c < ${cell.cols} ? (${earlier}) : 0.f); }`,
  };
  return {
    piece,
    copy: {
      buffer,
      box: [64, 1, rows],
      bytes: rows * width * 2,
      ask: (stage, barrier) => ({ kind: 'call', fn: 'tile_bulk', shape, args: [`${stage} + ${piece.name}`, ...from, barrier] }),
      prefetch: { kind: 'call', fn: 'tile_prefetch', shape: [width / 64], args: from },
      clear: { kind: 'call', fn: 'tile_clear', shape, args: [team.address(piece), `${cell.rows} + ${EARLIER}`, 't'] },
      first,
    },
  };
}

/** Takes the fragments of all distances out of the tile. */
export function nearFragments(team: Team, { own, loads, window: { before } }: Near, { piece }: NearTile): void {
  const [row, col]: readonly [Axis, Axis] = [team.otherAxis(own, ROW), ROW];
  team.begin();
  const name = team.fresh(`near${own}`);
  const steps = team.steps(col);
  const rows = team.pad(ROW) + EARLIER;
  const pairs = ((before + 1) >> 1) + 1;
  team.add({
    kind: 'call', fn: 'near_load', shape: [steps, rows, pairs], args: [name, team.ofHalf(team.address(piece), true, rows)],
    declares: [`u32 ${name}[${pairs}][${4 * steps}];`], reads: [piece],
  });
  for (const [tile, back] of loads) {
    team.note(tile);
    const frag = team.newFrag(tile, row, col);
    team.each(frag, `${frag.name}[i] = near_at<${back}>(${name}, i);`);
  }
}

/** The rows before a run's first are in the tile already. */
export function putAlready(team: Team, tile: TileId, arg: TileId): void {
  team.note(tile);
  const known: readonly Frag[] = team.formsOf(arg).frags;
  team.formsOf(tile).frags.push(...known);
}

/** Clears what lies beyond the run: of its last chunk, so that all others pass by. */
export function keepRows(team: Team, tile: TileId, arg: TileId, { length }: Place): void {
  const row = team.options.rowOf(team.axesOf(tile));
  if (row === undefined) return team.refuse(`tile ${tile} has no row axis`);
  team.begin();
  team.note(tile);
  const from = team.frag(arg, row);
  const frag = team.newFrag(tile, row, from.col);
  const token = team.tokenTexts(frag);
  team.each(frag, `${frag.name}[i] = ${from.name}[i];`);
  team.add({ kind: 'open', head: `if (${length} < 64)` });
  team.each(frag, `if (${token.token} >= ${length}) ${frag.name}[i] = 0.f;`);
  team.add({ kind: 'close' });
}
