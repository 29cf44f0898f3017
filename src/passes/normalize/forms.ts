import { unionAxes, type Axis } from '../../ir/common/axes.js';
import type { Span } from '../../ir/common/span.js';
import type { ScanBuilder } from '../../ir/scan/build.js';
import type { NodeId } from '../../ir/scan/scan.js';

/**
 * A value that is affine in one state: (product of `decay`) * S[t-1] + sum of terms. Every term is a product of plain values, at most one
 * of which is the result of a read of the same state (an erase): so outer products stay factored and what multiplies what stays visible.
 */
export interface Form {
  /** The state it depends on; undefined for a plain value kept factored, such as an outer product. */
  readonly state: number | undefined;
  /** undefined: S[t-1] does not occur directly. */
  readonly decay: readonly NodeId[] | undefined;
  readonly terms: readonly Term[];
  readonly axes: readonly Axis[];
}

export interface Term {
  readonly factors: readonly NodeId[];
  /** Index of an erase of `Form.state`. */
  readonly read: number | undefined;
}

/** Scales by plain factors. */
export function scaleForm(form: Form, factors: readonly NodeId[], axes: readonly Axis[]): Form {
  return {
    state: form.state,
    decay: form.decay && [...form.decay, ...factors],
    terms: form.terms.map((term) => ({ factors: [...term.factors, ...factors], read: term.read })),
    axes: unionAxes(form.axes, axes),
  };
}

/** Terms of a form: each is a write of its own if its vector differs from the others', and tokens then weigh on one another as often. */
export const MOST_TERMS = 64;

/**
 * Sum of two forms of the same state (or of no state). Two decays of S[t-1] add up to one factor, and so do terms of no state that differ
 * by a number only.
 */
export function addForms(b: ScanBuilder, x: Form, y: Form): Form {
  const decay = x.decay && y.decay ? [b.map('add', b.product(x.decay), b.product(y.decay))] : (x.decay ?? y.decay);
  const state = x.state ?? y.state;
  const terms = [...x.terms, ...y.terms];
  return { state, decay, terms: state === undefined ? collect(b, terms) : terms, axes: unionAxes(x.axes, y.axes) };
}

function collect(b: ScanBuilder, terms: readonly Term[]): readonly Term[] {
  const vectors = ({ factors }: Term) => factors.filter((f) => b.literalValue(f) === undefined);
  const like = new Map<string, Term[]>();
  for (const term of terms) {
    const key = vectors(term).sort((m, n) => m - n).join(' ');
    like.set(key, [...(like.get(key) ?? []), term]);
  }
  return [...like.values()].map((same) => {
    const [first] = same;
    if (same.length === 1) return first;
    const sum = b.literal(same.reduce((total, { factors }) => total + literalProduct(b, factors), 0));
    return { factors: [sum, ...vectors(first)], read: first.read };
  });
}

/** The plain value of a form that reads nothing. */
export function collapse(b: ScanBuilder, form: Form): NodeId {
  const products = form.terms.map((term) => b.product(term.factors));
  return products.length === 0 ? b.literal(0) : products.slice(1).reduce((sum, p) => b.map('add', sum, p), products[0]);
}

/** `all` without one occurrence of each of `some`; undefined if one is missing. Literal factors are compared by their product. */
export function removeFactors(b: ScanBuilder, all: readonly NodeId[], some: readonly NodeId[]): NodeId[] | undefined {
  const rest = all.filter((f) => b.literalValue(f) === undefined);
  for (const factor of some) {
    if (b.literalValue(factor) !== undefined) continue;
    const at = rest.indexOf(factor);
    if (at < 0) return undefined;
    rest.splice(at, 1);
  }
  const constant = literalProduct(b, all) / literalProduct(b, some);
  return constant === 1 ? rest : [b.literal(constant), ...rest];
}

function literalProduct(b: ScanBuilder, factors: readonly NodeId[]): number {
  return factors.reduce((product, f) => product * (b.literalValue(f) ?? 1), 1);
}

/** Same product, up to order. */
export function sameFactors(b: ScanBuilder, x: readonly NodeId[], y: readonly NodeId[]): boolean {
  return removeFactors(b, x, y)?.length === 0;
}

/** sum over `axis` of a product: what does not have the axis comes out. */
export function sumTerm(b: ScanBuilder, term: Term, axis: Axis, origin: Span): Term {
  const inside = term.factors.filter((x) => b.axesOf(x).includes(axis));
  const outside = term.factors.filter((x) => !b.axesOf(x).includes(axis));
  const folded = inside.length === 0 ? b.node({ kind: 'size', axis, axes: [], origin }) : b.reduce('sum', axis, b.product(inside));
  return { factors: [...outside, folded], read: term.read };
}
