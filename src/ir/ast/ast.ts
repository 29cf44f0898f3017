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

export type Item = ImportItem | PartItem;

export interface ImportItem extends Layout {
  readonly kind: 'import';
  readonly names: readonly Ident[];
  /** Path as written, without the quotes. */
  readonly path: Ident;
}

/** A declaration: scans, mixtures, layers and models have one body. */
export interface PartItem extends Layout {
  readonly kind: PartKind;
  readonly name: Ident;
  readonly inputs: readonly Input[];
  readonly outputs: readonly Declared[];
  readonly sequential: boolean;
  /** `with K = 64, ffn = dense`, in the order of the text. */
  readonly bindings: readonly Binding[];
  readonly body: readonly Statement[];
  /** Comments before the closing brace. */
  readonly closing: readonly Comment[];
}

export type PartKind = 'scan' | 'moe' | 'layer' | 'model';

/** `S: [K, V] in lo..hi`: names that share their axes. */
export interface Declared {
  readonly names: readonly Ident[];
  readonly axes: Axes;
  readonly range: RangeText | undefined;
  readonly origin: Span;
}

/** `q, k: [K] in lo..hi per group`, or `ids: one of W`: then `of` is W and there are no axes. */
export interface Input extends Declared {
  readonly of: Ident | undefined;
  readonly perGroup: boolean;
  /** Read in the dtype of the build, whatever it is for. */
  readonly rounded: boolean;
}

/** `w: [D] = normal(0.02) f32 no decay`. */
export interface Parameter extends Declared {
  readonly law: Expr | undefined;
  readonly modifiers: readonly Modifier[];
}

export interface Modifier {
  readonly kind: 'f32' | 'decay' | 'no decay';
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

/** `F = 128`; in a `use`, `F` alone stands for `F = F`. */
export interface Binding {
  readonly name: Ident;
  readonly value: Expr | undefined;
}

export interface Constant {
  readonly name: Ident;
  readonly axes: Axes | undefined;
  readonly value: Expr;
}

/** Statements in braces, with the comments before the closing one. */
export interface Body {
  readonly statements: readonly Statement[];
  readonly closing: readonly Comment[];
  readonly origin: Span;
}

export type Statement =
  | Layout & { readonly kind: 'const'; readonly constants: readonly Constant[] }
  /** `let y, v = f(x)` takes the outputs of a call. */
  | Layout & { readonly kind: 'let'; readonly names: readonly Ident[]; readonly axes: Axes | undefined; readonly value: Expr }
  | Layout & { readonly kind: 'param'; readonly groups: readonly Parameter[] }
  | Layout & { readonly kind: 'buffer'; readonly groups: readonly Parameter[] }
  | Layout & { readonly kind: 'state'; readonly groups: readonly Declared[] }
  | UseStatement
  | IfStatement
  | RepeatStatement
  | Layout & { readonly kind: 'loss'; readonly name: Ident; readonly value: Expr }
  | Layout & { readonly kind: 'update'; readonly name: Ident; readonly add: boolean; readonly value: Expr }
  | Layout & { readonly kind: 'assign'; readonly name: Ident; readonly add: boolean; readonly value: Expr }
  | Layout & { readonly kind: 'init'; readonly value: Expr }
  | Layout & { readonly kind: 'names'; readonly family: Ident; readonly entries: NameEntries };

/** `if a { } else if b { } else { }`: the second `if` is the `otherwise` of the first, without comments of its own. */
export interface IfStatement extends Layout {
  readonly kind: 'if';
  readonly condition: Expr;
  readonly then: Body;
  readonly otherwise: Body | IfStatement | undefined;
}

/** `repeat i in 0..9`, or `repeat i, kind in "LLLN"`: then there is no `to`. */
export interface RepeatStatement extends Layout {
  readonly kind: 'repeat';
  readonly names: readonly Ident[];
  readonly from: Expr;
  readonly to: Expr | undefined;
  readonly body: Body;
}

/** `use a, b = part with F = 128`, or `use a[E] = part`. */
export interface UseStatement extends Layout {
  readonly kind: 'use';
  readonly names: readonly Ident[];
  readonly family: Axes | undefined;
  readonly part: Ident;
  readonly bindings: readonly Binding[];
}

/** Names of tensors in braces. */
export interface NameEntries {
  readonly entries: readonly NameEntryText[];
  readonly closing: readonly Comment[];
  readonly origin: Span;
}

/** One line of `names hf { ... }`. */
export type NameEntryText =
  | Layout & { readonly kind: 'ignore'; readonly pattern: TextExpr }
  | Layout & { readonly kind: 'prefix'; readonly text: TextExpr; readonly entries: NameEntries }
  | TensorEntry
  | PartEntry;

/** `w, v = "weight" [F, D]`. */
export interface TensorEntry extends Layout {
  readonly kind: 'tensor';
  readonly paths: readonly PathText[];
  readonly text: TextExpr;
  readonly layout: LayoutText | undefined;
}

/** `attn "self_attn." like hf { ... }`. */
export interface PartEntry extends Layout {
  readonly kind: 'part';
  readonly paths: readonly PathText[];
  readonly text: TextExpr;
  readonly like: Ident | undefined;
  readonly entries: NameEntries | undefined;
}

/** `expert.gate`. */
export type PathText = readonly Ident[];

/** `[J R (K | K), D]`: the dimensions of a stored tensor. */
export interface LayoutText {
  readonly dims: readonly LayoutDimText[];
  readonly origin: Span;
}

/** A product of factors, outermost first. */
export type LayoutDimText = readonly LayoutFactorText[];

export type LayoutFactorText =
  | { readonly kind: 'axis'; readonly name: string; readonly origin: Span }
  | { readonly kind: 'number'; readonly value: number; readonly origin: Span }
  /** `( a | b )`: one alternative a param, one after the other. */
  | { readonly kind: 'joined'; readonly alternatives: readonly LayoutDimText[]; readonly origin: Span };

export type BinaryOperator = '+' | '-' | '*' | '/' | '%' | '@' | '^' | '<' | '<=' | '>' | '>=' | '==' | '!=' | 'and' | 'or';

export interface NumberExpr {
  readonly kind: 'number';
  /** As written, so that the formatter keeps it. */
  readonly text: string;
  readonly value: number;
  readonly origin: Span;
}

export interface TextExpr {
  readonly kind: 'text';
  /** Without the quotes. */
  readonly text: string;
  readonly origin: Span;
}

export interface IndexExpr {
  readonly kind: 'index';
  readonly name: Ident;
  readonly indices: readonly Expr[];
  /** Where `[...]` stands. */
  readonly brackets: Span;
  readonly origin: Span;
}

export interface CallExpr {
  readonly kind: 'call';
  readonly name: Ident;
  /** Undefined without brackets. */
  readonly indices: readonly Expr[] | undefined;
  readonly brackets: Span | undefined;
  readonly args: readonly Argument[];
  readonly origin: Span;
}

export interface BinaryExpr {
  readonly kind: 'binary';
  readonly op: BinaryOperator;
  readonly left: Expr;
  readonly right: Expr;
  /** Of `a @[H, V] b` only. */
  readonly axes: Axes | undefined;
  readonly opOrigin: Span;
  readonly origin: Span;
}

/** `sink: s`, or a value by its position. */
export interface Argument {
  readonly name: Ident | undefined;
  readonly value: Expr;
}

export type Expr =
  | NumberExpr
  | TextExpr
  | { readonly kind: 'name'; readonly name: Ident; readonly origin: Span }
  /** `x[...]` without a call: what it means depends on the name and on what stands in the brackets. In `S[t-1]` that is `t - 1`. */
  | IndexExpr
  /** `softmax[E](x, sink: s)`. */
  | CallExpr
  | { readonly kind: 'negate'; readonly arg: Expr; readonly origin: Span }
  | { readonly kind: 'not'; readonly arg: Expr; readonly origin: Span }
  | BinaryExpr
  | { readonly kind: 'group'; readonly inner: Expr; readonly origin: Span };
