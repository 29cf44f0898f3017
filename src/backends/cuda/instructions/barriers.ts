import type { Access, By, Instruction, Product, Step } from './instruction.js';
import type { Piece, Span } from './pieces.js';

export interface Ordered {
  /** Of each list that was given. */
  readonly steps: readonly (readonly Step[])[];
  /** When pieces hold values, in barriers. */
  readonly spans: ReadonlyMap<Piece, Span>;
  /** Is something written after the last fence that a product reads? */
  readonly unfenced: boolean;
}

/** Up to which barrier a piece was touched, and whether each thread kept to its own elements since the one before. */
interface Touch {
  readonly epoch: number;
  readonly own: boolean;
}

/**
 * Puts barriers where a thread reads what others wrote since the last one, waits where copies and products are read, and tells between
 * which barriers every piece of shared memory is in use. Lists run one after the other. Barriers have a fence where what was written is
 * for products, here or (`operands`) in another team: a fence waits for all that the thread has under way in memory.
 */
export function ordered(lists: readonly (readonly Instruction[])[], operands: ReadonlySet<Piece> = new Set()): Ordered {
  const multiplied = new Set([...operands, ...operandsIn(lists)]);
  // Copies that the frame waits for come before some place where all meet.
  const awaitedOutside = lists.some((list) => list.some((one) => one.kind === 'copy' && !one.group && multiplied.has(one.piece)));
  let epoch = 0;
  let steps: Step[] = [];
  const spans = new Map<Piece, Span>();
  const written = new Map<Piece, { readonly epoch: number; readonly by: By | 'copy' }>();
  // Groups of copies: the number of each, how many were begun, how many are known to be there.
  const groups = new Map<Piece, number>();
  let begun = 0;
  let arrived = 0;
  let running: readonly Product[] = [];
  // What the statement reads, but has not read yet: barriers may come before that.
  const needed = new Set<Piece>();
  const firstWrite = new Map<Piece, Touch>();
  const lastTouch = new Map<Piece, Touch>();
  let loopStart = 0;

  const live = (piece: Piece, first = Infinity): void => {
    const span = spans.get(piece) ?? { first: Infinity, last: -1 };
    spans.set(piece, { first: Math.min(span.first, first), last: Math.max(span.last, epoch) });
  };
  const touch = (piece: Piece, own: boolean): void => {
    const before = lastTouch.get(piece);
    lastTouch.set(piece, { epoch, own: own && (before?.epoch !== epoch || before.own) });
  };
  let unfenced = false;
  // Threads have just met: nothing is done since.
  let met = false;
  const barrier = (): void => {
    if (!met) steps.push({ kind: 'barrier', fenced: unfenced });
    met = true;
    unfenced = false;
    epoch++;
    for (const piece of needed) {
      live(piece);
      touch(piece, false);
    }
  };
  /** Waits for copies, of which the first `count` are there then. */
  const copied = (count: number): void => {
    steps.push({ kind: 'copied', left: begun - count });
    met = false;
    unfenced ||= [...groups].some(([piece, group]) => group >= arrived && group < count && multiplied.has(piece));
    arrived = count;
  };
  const read = ({ piece, by }: Access): void => {
    const group = groups.get(piece);
    if (group !== undefined && group >= arrived) {
      copied(group + 1);
      barrier();
    }
    const last = written.get(piece);
    if (last !== undefined && last.by !== 'copy' && last.epoch === epoch && !(by === 'owner' && last.by === 'owner')) barrier();
    live(piece);
    needed.add(piece);
    touch(piece, by === 'owner');
  };
  const write = (piece: Piece, by: By | 'copy'): void => {
    live(piece, epoch);
    written.set(piece, { epoch, by });
    if (by !== 'copy') unfenced ||= multiplied.has(piece);
    if (!firstWrite.has(piece)) firstWrite.set(piece, { epoch, own: by === 'owner' });
    touch(piece, by === 'owner');
    if (piece.lasting) spans.set(piece, { first: 0, last: Infinity });
  };
  const awaited = (name: string | undefined, piece: Piece | undefined): void => {
    const index = running.findLastIndex((product) => (
      piece === undefined ? name === undefined || product.name === name : product.pieces.includes(piece)
    ));
    if (index < 0) return;
    steps.push({ kind: 'multiplied', left: running.length - 1 - index });
    met = false;
    for (const [n, { pieces, sum, then }] of running.slice(0, index + 1).entries()) {
      for (const one of pieces) live(one);
      // The last of those that add to the same registers brings them.
      if (!running.some((later, m) => m > n && later.sum === sum)) steps.push({ kind: 'arrived', sum }, ...then);
    }
    running = running.slice(index + 1);
  };
  /** What is written before the first barrier of a loop may still be read after its last one, and so may what lies in the same place. */
  const meetsItself = (): boolean => [...firstWrite].some(([piece, first]) => {
    if (first.epoch !== loopStart) return false;
    const last = lastTouch.get(piece);
    const end = spans.get(piece)?.last ?? -1;
    const stays = last?.epoch === epoch && !(first.own && last.own);
    // Pieces of another team lie elsewhere.
    return stays || [...lastTouch].some(([other, touched]) => (
      touched.epoch === epoch && firstWrite.has(other) && end < (spans.get(other)?.first ?? -1)
    ));
  });

  const take = (instruction: Instruction): void => {
    switch (instruction.kind) {
      case 'statement': needed.clear(); return;
      case 'need': read(instruction); return;
      case 'hold':
        live(instruction.piece, epoch);
        met = false;
        return;
      case 'meet':
        unfenced ||= awaitedOutside && instruction.bare !== true;
        barrier();
        return;
      case 'await': awaited(instruction.name, instruction.piece); return;
      case 'settle':
        if (arrived < begun) copied(begun);
        barrier();
        return;
      case 'loop':
        met = false;
        if (instruction.edge === 'begin') loopStart = epoch;
        else if (meetsItself()) barrier();
        return;
      case 'copy':
        if (instruction.group) {
          write(instruction.piece, 'copy');
          groups.set(instruction.piece, begun++);
        }
        break;
      case 'product': running = [...running, instruction]; break;
      case 'number': case 'each': case 'own': case 'spread': case 'turns': case 'one': case 'call':
        for (const piece of instruction.reads ?? []) read({ piece, by: 'any' });
        for (const { piece, by } of instruction.writes ?? []) write(piece, by);
        break;
      case 'note': case 'registers': case 'sum': case 'open': case 'close': break;
      default: instruction satisfies never;
    }
    steps.push(instruction);
    if (instruction.kind !== 'note' && instruction.kind !== 'registers') met = false;
    if ('reads' in instruction) for (const piece of instruction.reads ?? []) needed.delete(piece);
  };
  const made = lists.map((list) => {
    steps = [];
    met = false;
    list.forEach(take);
    return steps;
  });
  return { steps: made, spans, unfenced };
}

/** Pieces that products read. */
export function operandsIn(lists: readonly (readonly Instruction[])[]): ReadonlySet<Piece> {
  return new Set(lists.flatMap((list) => list.flatMap((one) => (one.kind === 'product' ? one.pieces : []))));
}
