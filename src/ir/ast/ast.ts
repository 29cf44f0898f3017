import type { Span } from '../common/span.js';

/** What was written, nothing more: names are strings, ranges and sizes are expressions, comments hang on what they stand beside. */
export interface AstFile {
  readonly items: readonly Item[];
  /** Comments after the last item. */
  readonly closing: readonly Comment[];
  readonly origin: Span;
}

export interface Comment {
  /** With its slashes. */
  readonly text: string;
  readonly blankBefore: boolean;
  readonly origin: Span;
}

/** What every item and statement has besides its own parts. */
export interface Layout {
  /** Comments before it, and those inside it, which the formatter puts before it. */
  readonly leading: readonly Comment[];
  /** Comments on its last line. */
  readonly trailing: readonly Comment[];
  readonly blankBefore: boolean;
  readonly origin: Span;
}

export interface Ident {
  readonly text: string;
  readonly origin: Span;
}

export type Item = ImportItem | ScanItem;

export interface ImportItem extends Layout {
  readonly kind: 'import';
  readonly names: readonly Ident[];
  /** Path as written, without the quotes. */
  readonly path: Ident;
}

export interface ScanItem extends Layout {
  readonly kind: 'scan';
  readonly name: Ident;
  readonly inputs: readonly Declared[];
  readonly outputs: readonly Declared[];
  readonly sequential: boolean;
  readonly sizes: readonly Size[];
  readonly body: readonly Statement[];
  /** Comments before the closing brace. */
  readonly closing: readonly Comment[];
}

/** `q, k: [K] in lo..hi per group`: names that share their axes. */
export interface Declared {
  readonly names: readonly Ident[];
  readonly axes: Axes;
  readonly range: RangeText | undefined;
  readonly perGroup: boolean;
  readonly origin: Span;
}

export interface Axes {
  readonly names: readonly Ident[];
  readonly origin: Span;
}

export interface RangeText {
  readonly lo: Expr;
  readonly hi: Expr;
  readonly origin: Span;
}

/** `K = 64` after `with`. */
export interface Size {
  readonly axis: Ident;
  readonly value: NumberExpr;
}

export type Statement =
  | Layout & { readonly kind: 'const'; readonly name: Ident; readonly axes: Axes | undefined; readonly value: Expr }
  | Layout & { readonly kind: 'let'; readonly name: Ident; readonly axes: Axes | undefined; readonly value: Expr }
  | Layout & { readonly kind: 'assign'; readonly name: Ident; readonly value: Expr }
  | Layout & { readonly kind: 'param'; readonly groups: readonly Declared[] }
  | Layout & { readonly kind: 'state'; readonly groups: readonly Declared[] };

export type BinaryOperator = '+' | '-' | '*' | '/' | '@' | '^';

export interface NumberExpr {
  readonly kind: 'number';
  /** As written, so that the formatter keeps it. */
  readonly text: string;
  readonly value: number;
  readonly origin: Span;
}

export type Expr =
  | NumberExpr
  | { readonly kind: 'name'; readonly name: Ident; readonly origin: Span }
  /** `S[t-1]`; any other offset is for the checker to refuse. */
  | { readonly kind: 'past'; readonly name: Ident; readonly time: Ident; readonly offset: number; readonly origin: Span }
  /** `S[K]` without a call. */
  | { readonly kind: 'index'; readonly name: Ident; readonly axes: Axes; readonly origin: Span }
  | { readonly kind: 'call'; readonly name: Ident; readonly axes: Axes | undefined; readonly args: readonly Expr[]; readonly origin: Span }
  | { readonly kind: 'negate'; readonly arg: Expr; readonly origin: Span }
  | { readonly kind: 'binary'; readonly op: BinaryOperator; readonly left: Expr; readonly right: Expr; readonly opOrigin: Span; readonly origin: Span }
  | { readonly kind: 'group'; readonly inner: Expr; readonly origin: Span };
