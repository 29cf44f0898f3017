import type { TileId } from '../../../ir/tile/tile.js';

/** A piece of shared memory. `first` and `last` are barrier counts of its team: pieces of disjoint ranges may share an address. */
export interface Piece {
  readonly name: string;
  readonly bytes: number;
  /** Doubled or tripled along the pipeline: lives for a whole iteration. */
  readonly staged: boolean;
  first: number;
  last: number;
  /** Barrier count when it was last written, and how: `owner` = element i by thread i mod 128. */
  written: { epoch: number; by: 'owner' | 'any' | 'copy' } | undefined;
}

export interface Arena {
  /** `tile`: whose values it holds, for its name. */
  take(bytes: number, staged: boolean, tile?: TileId): Piece;
  isStaged(name: string): boolean;
  /**
   * Offsets within the fixed part and within a stage; copies of the latter follow the former, `stageBytes` apart, of which it uses
   * `stageUsed`.
   */
  layout(): {
    readonly offsets: ReadonlyMap<string, number>; readonly fixedBytes: number; readonly stageBytes: number; readonly stageUsed: number;
  };
}

const ALIGN = 1024;

/** `prefix` begins the names of its pieces. */
export function createArena(prefix: string): Arena {
  const pieces: Piece[] = [];
  const round = (bytes: number) => (bytes >= ALIGN ? Math.ceil(bytes / ALIGN) * ALIGN : Math.ceil(bytes / 256) * 256);
  return {
    take(bytes, staged, tile) {
      const piece: Piece = {
        name: `${prefix}${pieces.length}${tile === undefined ? '' : `_${tile}`}`, bytes: round(bytes), staged, first: Infinity, last: -1,
        written: undefined,
      };
      pieces.push(piece);
      return piece;
    },
    isStaged: (name) => pieces.some((piece) => piece.name === name && piece.staged),
    layout() {
      const offsets = new Map<string, number>();
      let stageBytes = 0;
      const bySize = [...pieces].sort((a, b) => b.bytes - a.bytes);
      for (const piece of bySize.filter((p) => p.staged)) {
        offsets.set(piece.name, stageBytes);
        stageBytes += piece.bytes;
      }
      const placed: { piece: Piece; offset: number }[] = [];
      let fixedBytes = 0;
      for (const piece of bySize.filter((p) => !p.staged)) {
        let offset = 0;
        const rivals = placed.filter((p) => p.piece.first <= piece.last && piece.first <= p.piece.last).sort((a, b) => a.offset - b.offset);
        for (const rival of rivals) {
          if (offset + piece.bytes <= rival.offset) break;
          offset = Math.max(offset, rival.offset + rival.piece.bytes);
        }
        placed.push({ piece, offset });
        offsets.set(piece.name, offset);
        fixedBytes = Math.max(fixedBytes, offset + piece.bytes);
      }
      return {
        offsets, fixedBytes: Math.ceil(fixedBytes / ALIGN) * ALIGN, stageBytes: Math.ceil(stageBytes / ALIGN) * ALIGN,
        stageUsed: stageBytes,
      };
    },
  };
}
