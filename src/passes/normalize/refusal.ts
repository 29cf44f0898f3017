import type { Span } from '../../ir/common/span.js';

/** Why a scan has no chunked form here, with the place; the front end's renderer shows it. */
export interface Refusal {
  readonly refusal: true;
  readonly code: 'E301' | 'E302' | 'E303' | 'E304' | 'E305' | 'E306';
  readonly origin: Span;
  readonly label: string;
  readonly title: string;
  /** Other places that take part. */
  readonly secondary: readonly { readonly span: Span; readonly text: string }[];
  readonly help: readonly string[];
}

const STEPWISE = 'mark it `scan ... sequential` to run it step by step instead';

export function refuse(code: Refusal['code'], origin: Span, title: string, label: string, ...help: string[]): Refusal {
  return { refusal: true, code, origin, title, label, secondary: [], help: [...help, STEPWISE] };
}

/** Where every other remedy means something else than the formula does: the one that does not comes first. */
export function refuseFirst(code: Refusal['code'], origin: Span, title: string, label: string, ...others: string[]): Refusal {
  return { refusal: true, code, origin, title, label, secondary: [], help: [STEPWISE, ...others] };
}

export function isRefusal(error: unknown): error is Refusal {
  return typeof error === 'object' && error !== null && 'refusal' in error;
}
