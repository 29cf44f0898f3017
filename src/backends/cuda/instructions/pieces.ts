import type { TileId } from '../../../ir/tile/tile.js';

/** A piece of shared memory that a team takes for a time. */
export interface Piece {
  readonly name: string;
  readonly bytes: number;
  /** Doubled or tripled along the pipeline: lives for a whole iteration. */
  readonly staged: boolean;
  /** Keeps its address to the end of the kernel (what a loop reads again). */
  readonly lasting: boolean;
  /** Of staged ones: which of the loops has it (the first, unless it says so). Those of different loops share their stages. */
  readonly turn?: number;
}

/** From which barrier of its team to which a piece has values that are read. Pieces of disjoint spans may share an address. */
export interface Span {
  readonly first: number;
  readonly last: number;
}

export interface Pieces {
  /** `tile`: whose values it holds, for its name. */
  take(bytes: number, how: Pick<Piece, 'staged' | 'lasting' | 'turn'>, tile?: TileId): Piece;
  readonly all: readonly Piece[];
}

const ALIGN = 1024;

/** `prefix` begins their names. */
export function createPieces(prefix: string): Pieces {
  const all: Piece[] = [];
  const round = (bytes: number) => (bytes >= ALIGN ? Math.ceil(bytes / ALIGN) * ALIGN : Math.ceil(bytes / 256) * 256);
  return {
    all,
    take(bytes, how, tile) {
      const piece = { name: `${prefix}${all.length}${tile === undefined ? '' : `_${tile}`}`, bytes: round(bytes), ...how };
      all.push(piece);
      return piece;
    },
  };
}

/**
 * Offsets within the fixed part and within a stage; copies of the latter follow the former, `stageBytes` apart, of which it uses
 * `stageUsed`.
 */
export interface Arena {
  readonly offsets: ReadonlyMap<Piece, number>;
  readonly fixedBytes: number;
  readonly stageBytes: number;
  readonly stageUsed: number;
}

/** Bytes of a stage, and from one to the next. */
export function stageOf(pieces: readonly Piece[]): Pick<Arena, 'stageBytes' | 'stageUsed'> {
  const used = new Map<number, number>();
  for (const { staged, turn = 0, bytes } of pieces) if (staged) used.set(turn, (used.get(turn) ?? 0) + bytes);
  const stageUsed = Math.max(0, ...used.values());
  return { stageUsed, stageBytes: whole(stageUsed) };
}

const whole = (bytes: number) => Math.ceil(bytes / ALIGN) * ALIGN;

/** Gives pieces their places: the largest first, each at the first offset where no other is while it lives. */
export function arenaOf(pieces: readonly Piece[], spans: ReadonlyMap<Piece, Span>): Arena {
  const offsets = new Map<Piece, number>();
  const staged = new Map<number, number>();
  const bySize = [...pieces].sort((a, b) => b.bytes - a.bytes);
  for (const piece of bySize.filter((one) => one.staged)) {
    const offset = staged.get(piece.turn ?? 0) ?? 0;
    offsets.set(piece, offset);
    staged.set(piece.turn ?? 0, offset + piece.bytes);
  }
  const placed: { readonly piece: Piece; readonly span: Span; readonly offset: number }[] = [];
  let fixedBytes = 0;
  for (const piece of bySize.filter((one) => !one.staged)) {
    const span = spans.get(piece) ?? { first: Infinity, last: -1 };
    let offset = 0;
    const rivals = placed.filter((p) => p.span.first <= span.last && span.first <= p.span.last).sort((a, b) => a.offset - b.offset);
    for (const rival of rivals) {
      if (offset + piece.bytes <= rival.offset) break;
      offset = Math.max(offset, rival.offset + rival.piece.bytes);
    }
    placed.push({ piece, span, offset });
    offsets.set(piece, offset);
    fixedBytes = Math.max(fixedBytes, offset + piece.bytes);
  }
  return { offsets, fixedBytes: whole(fixedBytes), ...stageOf(pieces) };
}
