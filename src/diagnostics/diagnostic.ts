import type { Span } from '../ir/common/span.js';
import { CODES, type Code } from './codes.js';

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
    title,
    primary: { span, text: label },
    secondary: details.secondary ?? [],
    help: details.help ?? [],
    note: details.note ?? [],
    ...(details.fix ? { fix: details.fix } : {}),
  };
}

export function hasErrors(diagnostics: readonly Diagnostic[]): boolean {
  return diagnostics.some((d) => d.severity === 'error');
}
