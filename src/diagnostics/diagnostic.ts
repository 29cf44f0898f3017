import type { Span } from '../ir/common/span.js';
import { CODES, type Code } from './codes.js';
import { briefText } from '../support/brief.js';

/** A place in the text and what it is. */
export interface Label {
  readonly span: Span;
  readonly text: string;
}

/** An edit that a tool can make for the user. */
export interface Fix {
  readonly title: string;
  readonly edits: readonly { readonly span: Span; readonly text: string }[];
}

export interface Diagnostic {
  readonly code: Code;
  readonly severity: 'error' | 'warning';
  /** One sentence without a full stop. */
  readonly title: string;
  readonly primary: Label;
  readonly secondary: readonly Label[];
  readonly help: readonly string[];
  readonly note: readonly string[];
  readonly fix?: Fix;
}

export interface DiagnosticDetails {
  readonly secondary?: readonly Label[];
  readonly help?: readonly string[];
  readonly note?: readonly string[];
  readonly fix?: Fix;
}

/** The severity is the code's. */
export function diagnostic(code: Code, title: string, span: Span, label: string, details: DiagnosticDetails = {}): Diagnostic {
  return {
    code,
    severity: CODES[code].severity,
    title: withoutGiants(title),
    primary: { span, text: withoutGiants(label) },
    secondary: details.secondary ?? [],
    help: (details.help ?? []).map(withoutGiants),
    note: (details.note ?? []).map(withoutGiants),
    ...(details.fix ? { fix: details.fix } : {}),
  };
}

/** What messages quote may be a number of a hundred thousand digits. */
function withoutGiants(text: string): string {
  return text.replace(/[^\s`]{200,}/g, (word) => briefText(word));
}

export function hasErrors(diagnostics: readonly Diagnostic[]): boolean {
  return diagnostics.some((d) => d.severity === 'error');
}

/** Two reports of one mistake: the same code at the same place. */
export function sameProblem(a: Diagnostic, b: Diagnostic): boolean {
  const [x, y] = [a.primary.span, b.primary.span];
  return a.code === b.code && x.file === y.file && x.start === y.start && x.end === y.end;
}

/** Every mistake once, in the order of the first reports. */
export function distinct(diagnostics: readonly Diagnostic[]): readonly Diagnostic[] {
  const seen = new Set<string>();
  return diagnostics.filter(({ code, primary: { span } }) => {
    const key = `${code} ${span.file} ${span.start} ${span.end}`;
    if (seen.has(key)) return false;
    seen.add(key);
    return true;
  });
}
