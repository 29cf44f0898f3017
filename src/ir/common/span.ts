/** A half-open range of characters in one source file; every IR node carries one as `origin`. */
export interface Span {
  /** Path as the user gave it, or a name such as `<test>`. */
  readonly file: string;
  /** Offset of the first character, from 0. */
  readonly start: number;
  /** Offset after the last character. */
  readonly end: number;
}

/** The origin of what no source text wrote. */
export const NO_SPAN: Span = { file: '<builtin>', start: 0, end: 0 };

/** The smallest span that covers both. */
export function joinSpans(a: Span, b: Span): Span {
  return { file: a.file, start: Math.min(a.start, b.start), end: Math.max(a.end, b.end) };
}
