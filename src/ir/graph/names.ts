import type { Span } from '../common/span.js';

/** `names hf { ... }` of one part: how a checkpoint of that family stores its params. Branches that were not taken are gone. */
export interface NameSection {
  readonly family: string;
  readonly entries: readonly NameEntry[];
}

/** Later entries win. Texts may hold `{i}` (a turn, arithmetic allowed) and `{E}` or `{G M}` (one tensor per index of a family). */
export type NameEntry =
  /** Tensors that nobody reads; `*` stands for any text. */
  | { readonly kind: 'ignore'; readonly pattern: string; readonly origin: Span }
  | { readonly kind: 'prefix'; readonly text: string; readonly entries: readonly NameEntry[]; readonly origin: Span }
  /**
   * Params, by paths below this part, in one tensor; several are joined where the layout has `( | )`. Without a layout: the axes of the
   * param as declared.
   */
  | {
    readonly kind: 'tensor'; readonly params: readonly NamePath[]; readonly text: string;
    readonly layout: readonly LayoutDim[] | undefined; readonly origin: Span;
  }
  /** The names of a part below this one: its own section `like`, behind a prefix, with `entries` in place of some. */
  | {
    readonly kind: 'part'; readonly path: NamePath; readonly text: string; readonly like: string | undefined;
    readonly entries: readonly NameEntry[]; readonly origin: Span;
  };

export interface NamePath {
  /** `expert.gate` -> ['expert', 'gate']. */
  readonly names: readonly string[];
  readonly origin: Span;
}

/** One dimension of a stored tensor: a product of factors, outermost first. */
export type LayoutDim = readonly LayoutFactor[];

export type LayoutFactor =
  | { readonly kind: 'axis'; readonly name: string; readonly origin: Span }
  | { readonly kind: 'number'; readonly value: number; readonly origin: Span }
  /** `( a | b )`: one alternative a param, one after the other. */
  | { readonly kind: 'joined'; readonly alternatives: readonly LayoutDim[]; readonly origin: Span };
