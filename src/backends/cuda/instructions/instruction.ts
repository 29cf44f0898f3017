import type { Piece } from './pieces.js';

/** By whom a piece is written or read: `owner`: element i by the thread that owns element i of vectors; `any`: whoever. */
export type By = 'owner' | 'any';

export interface Access {
  readonly piece: Piece;
  readonly by: By;
}

/** An array in registers of every thread: floats, or pairs of 16-bit numbers. */
export interface Registers {
  readonly name: string;
  readonly count: number;
  readonly pairs?: true;
}

interface Effects {
  /** Read by this instruction, and not after it. */
  readonly reads?: readonly Piece[];
  readonly writes?: readonly Access[];
}

/** A function of the runtime text (templates/cuda/rt), called by all threads, or by those of which `when` is true. */
export interface Call {
  readonly fn: string;
  /** Template arguments. */
  readonly shape: readonly (string | number | boolean)[];
  readonly args: readonly (string | number | boolean)[];
  readonly when?: string;
}

/**
 * A product of matrices that runs while the threads go on: `sum` are the registers it adds to, `name` those that readers wait for, `then`
 * what makes them of the sum.
 */
export interface Product {
  readonly kind: 'product';
  /** `mma` unless it says another. */
  readonly fn?: string;
  readonly name: string;
  readonly sum: string;
  readonly shape: Call['shape'];
  readonly args: Call['args'];
  /** Operands that it reads in shared memory: they have to stay until the product is there. */
  readonly pieces: readonly Piece[];
  readonly then: readonly Action[];
}

/**
 * What the threads of a team do. Texts are C over names of registers, of pieces and of what the frame around them declares; passes ask the
 * fields beside them, never the text. Of element `i` are texts that are said for every element.
 */
export type Action =
  /** A comment. */
  | { readonly kind: 'note'; readonly text: string }
  | ({ readonly kind: 'registers' } & Registers)
  /** A number in every thread; `variable`: later instructions may give it another value. */
  | ({ readonly kind: 'number'; readonly name: string; readonly value: string; readonly variable?: true } & Effects)
  /** A number: the sum of `term` over `j` below `count`. */
  | { readonly kind: 'sum'; readonly name: string; readonly count: number; readonly term: string }
  /** Every thread, for each of its registers; `makes`: which are new. */
  | ({ readonly kind: 'each'; readonly count: number; readonly text: string; readonly makes?: Registers } & Effects)
  /** Every thread its element of a vector of `count` elements (or its elements, where there are more than threads). */
  | ({ readonly kind: 'own'; readonly count: number; readonly text: string } & Effects)
  /** The team together, for `count` elements. */
  | ({ readonly kind: 'spread'; readonly count: number; readonly text: string } & Effects)
  /** Every thread of 128, for its `count` elements, in registers `k`. */
  | ({ readonly kind: 'turns'; readonly count: number; readonly text: string } & Effects)
  /** One thread. */
  | ({ readonly kind: 'one'; readonly text: string; readonly when?: string } & Effects)
  | ({ readonly kind: 'call'; readonly declares?: readonly string[]; readonly makes?: Registers } & Call & Effects)
  /** An asynchronous copy to a piece; `group`: one that is waited for by itself, not with a stage. */
  | ({ readonly kind: 'copy'; readonly piece: Piece; readonly group: boolean } & Call)
  | Product
  | { readonly kind: 'open'; readonly head: string }
  | { readonly kind: 'close' };

/** What a selection makes of Tile: actions, and what it knows of their order. */
export type Instruction =
  | Action
  /** A statement begins: what earlier ones needed is not read any more. */
  | { readonly kind: 'statement' }
  /** From here to the end of the statement, a piece is read: as early as this, so that threads meet before they differ. */
  | ({ readonly kind: 'need' } & Access)
  /** A piece is in use here: what is addressed within it, accesses do not tell. */
  | { readonly kind: 'hold'; readonly piece: Piece }
  /** All threads meet, for a reason that accesses do not tell; `bare`: which is not that copies are there that products read. */
  | { readonly kind: 'meet'; readonly bare?: true }
  /** The product in these registers is read; undefined: all that run, or, with `piece`, those that read it. */
  | { readonly kind: 'await'; readonly name: string | undefined; readonly piece?: Piece }
  /** All copies have to be there. */
  | { readonly kind: 'settle' }
  /** The body of a loop, which the frame opens and closes. */
  | { readonly kind: 'loop'; readonly edge: 'begin' | 'end' };

/** What is printed: actions with the barriers and waits that they take. */
export type Step =
  | Action
  /** `fenced`: what threads wrote before it is for products to read, which look past what other threads see. */
  | { readonly kind: 'barrier'; readonly fenced: boolean }
  /** Waits until only the last `left` groups of copies are under way. */
  | { readonly kind: 'copied'; readonly left: number }
  /** Waits until only the last `left` products run. */
  | { readonly kind: 'multiplied'; readonly left: number }
  /** Tells the compiler that these registers have their values. */
  | { readonly kind: 'arrived'; readonly sum: string };
