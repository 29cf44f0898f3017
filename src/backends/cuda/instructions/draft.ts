import type { TileId } from '../../../ir/tile/tile.js';
import { refused, type Refused } from '../refused.js';
import type { Instruction } from './instruction.js';
import { createPieces, type Piece } from './pieces.js';

/** The instructions of a team, while a selection makes them of Tile. */
export type Draft<Part extends string = string> = ReturnType<typeof createDraft<Part>>;

/** `parts`: names of the texts that the frame of a kernel has places for, in the order in which they run; `prefix`: of names of pieces. */
export function createDraft<Part extends string>(parts: readonly [Part, ...Part[]], prefix: string) {
  const lists = parts.map((name) => ({ name, instructions: [] as Instruction[] }));
  const listOf = (part: Part) => lists.find(({ name }) => name === part)?.instructions ?? lists[0].instructions;
  const pieces = createPieces(prefix);
  let here = lists[0].instructions;
  let names = 0;
  let lasting = false;
  let turn = 0;
  let refusal: Refused | undefined;
  // Products begun, without those that something has waited for.
  let running: readonly { readonly name: string; readonly pieces: readonly Piece[] }[] = [];

  /**
   * Says that this lowering does not do something; the first reason is kept. `instead` stands for what is not there, so that the statement
   * comes to its end: nobody will see it.
   */
  function refuse(why: string): undefined;
  function refuse<T>(why: string, instead: T): T;
  function refuse<T>(why: string, instead?: T): T | undefined {
    refusal ??= refused(why);
    return instead;
  }

  return {
    refuse,
    /** Why the kernel is not to be, if some statement was refused. */
    refusal: () => refusal,
    /** One after the other, until one is refused. */
    *untilRefused<T>(list: Iterable<T>): Generator<T> {
      for (const one of list) {
        if (refusal !== undefined) return;
        yield one;
      }
    },
    add(instruction: Instruction): void {
      here.push(instruction);
      if (instruction.kind === 'product') running = [...running, instruction];
    },
    /** The part that what follows belongs to. */
    to(part: Part): void {
      here = listOf(part);
    },
    fresh: (hint: string) => `${hint.replace('-', 'x')}_${names++}`,
    take: (bytes: number, staged: boolean, tile?: TileId): Piece => pieces.take(bytes, { staged, lasting: lasting && !staged, turn }, tile),
    /** From here on pieces keep their address to the end of the kernel, or no longer do. */
    keepPieces(on: boolean): void {
      lasting = on;
    },
    /** What is staged from here on is so by the next loop. */
    nextLoop(): void {
      turn++;
    },
    /** Waits until the product in registers `name` is there; undefined: all products. */
    await(name?: string): void {
      const index = name === undefined ? running.length - 1 : running.findLastIndex((one) => one.name === name);
      if (index < 0) return;
      here.push({ kind: 'await', name });
      running = running.slice(index + 1);
    },
    /** Waits until the products that read a piece are there. */
    awaitReaders(piece: Piece): void {
      const index = running.findLastIndex(({ pieces: read }) => read.includes(piece));
      if (index < 0) return;
      here.push({ kind: 'await', name: undefined, piece });
      running = running.slice(index + 1);
    },
    /** Number of products begun after the one that makes one of these registers; undefined if they are there. */
    begunAfter(registers: readonly string[]): number | undefined {
      const index = running.findLastIndex(({ name }) => registers.includes(name));
      return index < 0 ? undefined : running.length - 1 - index;
    },
    pieces: pieces.all,
    parts: (): readonly { readonly name: Part; readonly instructions: readonly Instruction[] }[] => lists,
  };
}
