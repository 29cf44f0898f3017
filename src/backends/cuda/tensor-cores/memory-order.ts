import type { Code } from '../code.js';
import type { Piece } from './arena.js';

export interface MemoryOrderOptions {
  readonly code: Code;
  /** Number of the team's named barrier. */
  readonly barrier: number;
  /** Warpgroups of the team. */
  readonly parts: number;
}

/**
 * Keeps track of who wrote and who reads pieces of shared memory, of copies and products still running, and writes the barriers and waits
 * that this takes.
 */
export function createMemoryOrder({ code, barrier, parts }: MemoryOrderOptions) {
  let epoch = 0;
  // Copies of tiles, a group each: how many were begun, and how many are known to be there.
  const groups = new Map<Piece, number>();
  let begun = 0;
  let arrived = 0;
  let pending: { readonly name: string; readonly pieces: readonly Piece[]; readonly sum: string; readonly finish: () => void }[] = [];
  let permanent = false;
  // What the statement being written reads, but has not read yet: barriers may come before that.
  const reading = new Set<Piece>();
  // Between which barriers a piece is written first and touched last, and whether each thread keeps to its own elements then.
  type Touch = { readonly epoch: number; readonly own: boolean };
  const firstWrite = new Map<Piece, Touch>();
  const lastTouch = new Map<Piece, Touch>();
  const touch = (piece: Piece, own: boolean) => {
    const before = lastTouch.get(piece);
    lastTouch.set(piece, { epoch, own: own && (before?.epoch !== epoch || before.own) });
  };

  const sync = () => {
    code.line(`team_sync(${barrier}${parts === 1 ? '' : `, ${128 * parts}`});`);
    epoch++;
    for (const piece of reading) {
      piece.last = Math.max(piece.last, epoch);
      touch(piece, false);
    }
  };
  const willRead = (piece: Piece | undefined, by: 'owner' | 'any') => {
    if (piece === undefined) return;
    const group = groups.get(piece);
    if (group !== undefined && group >= arrived) {
      code.line(`cp_wait<${begun - 1 - group}>();`);
      arrived = group + 1;
      sync();
    }
    const w = piece.written;
    if (w !== undefined && w.by !== 'copy' && w.epoch === epoch && !(by === 'owner' && w.by === 'owner')) sync();
    piece.last = Math.max(piece.last, epoch);
    reading.add(piece);
    touch(piece, by === 'owner');
  };
  const willWrite = (piece: Piece, by: 'owner' | 'any' | 'copy') => {
    piece.first = Math.min(piece.first, epoch);
    piece.last = Math.max(piece.last, epoch);
    piece.written = { epoch, by };
    if (!firstWrite.has(piece)) firstWrite.set(piece, { epoch, own: by === 'owner' });
    touch(piece, by === 'owner');
    if (permanent) {
      piece.first = 0;
      piece.last = Infinity;
    }
    if (by === 'copy') groups.set(piece, begun++);
  };

  /** Waits until the product in fragment `name` is there. */
  const ready = (name: string) => {
    const index = pending.findIndex((p) => p.name === name);
    if (index < 0) return;
    code.line(`mma_wait<${pending.length - 1 - index}>();`);
    for (const done of pending.slice(0, index + 1)) {
      for (const piece of done.pieces) piece.last = Math.max(piece.last, epoch);
      code.line(`mma_ready<sizeof(${done.sum}) / 4>(${done.sum});`);
      done.finish();
    }
    pending = pending.slice(index + 1);
  };
  const finish = () => {
    const last = pending[pending.length - 1];
    if (last !== undefined) ready(last.name);
  };

  return {
    sync, willRead, willWrite, ready, finish,
    /** A read is over: barriers that follow do not prolong it. */
    hasRead(piece: Piece | undefined) {
      if (piece !== undefined) reading.delete(piece);
    },
    /** Barriers so far. */
    epoch: () => epoch,
    /**
     * The end of a loop whose body began after `start` barriers: what is written before its first one may still be read after its last one,
     * and so may what lies in the same place.
     */
    endLoop(start: number) {
      const meets = [...firstWrite].some(([piece, write]) => {
        const last = lastTouch.get(piece);
        if (write.epoch !== start) return false;
        return (last?.epoch === epoch && !(write.own && last.own)) || [...lastTouch].some(
          ([other, { epoch: read }]) => read === epoch && piece.last < other.first
        );
      });
      if (meets) sync();
    },
    /** Begins a statement: nothing read so far is read after the next barrier. */
    begin() {
      reading.clear();
    },
    /** Marks a fragment as the result of a product that runs, summed in `sum`, from which `finish` makes it. */
    running(name: string, pieces: readonly Piece[], sum: string, finish: () => void) {
      pending.push({ name, pieces, sum, finish });
    },
    /** Number of products begun after the one that makes one of these fragments; undefined if they are there. */
    begunAfter(names: readonly string[]): number | undefined {
      const index = pending.findIndex(({ name }) => names.includes(name));
      return index < 0 ? undefined : pending.length - 1 - index;
    },
    /** Waits for every copy. */
    settle() {
      if (arrived < begun) code.line('cp_wait<0>();');
      arrived = begun;
      sync();
    },
    /** From here on pieces keep their address to the end of the kernel (what a loop reads again). */
    keepPieces(on: boolean) {
      permanent = on;
    },
  };
}
