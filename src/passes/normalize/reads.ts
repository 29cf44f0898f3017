import type { Axis } from '../../ir/common/axes.js';
import type { Span } from '../../ir/common/span.js';
import type { ScanBuilder } from '../../ir/scan/build.js';
import type { NodeId, Reader } from '../../ir/scan/scan.js';
import { removeFactors, sameFactors, type Form, type Term } from './forms.js';
import { refuse, type Refusal } from './refusal.js';

/** A fold of a form over one axis, before it is known what the gate is: `form` still contains the row's factors. */
export interface RawRead {
  readonly form: Form;
  readonly axis: Axis;
  readonly origin: Span;
  /** A fold of what was read over another axis of it, for which there is no form. */
  readonly again?: { readonly axis: Axis; readonly origin: Span };
}

/**
 * A read without the vectors that scale the state along the axes that stay, and without what is not scaled by them:
 * q @ (w * S + outer(a, b)) is w * (q @ S), and q @ outer(a, b) beside it. Gates of the update itself are no such vectors.
 */
export function withoutStaying(
  b: ScanBuilder, read: RawRead, update: Form,
): { readonly inner: RawRead; readonly scale: readonly NodeId[]; readonly apart: readonly Term[] } {
  const decay = read.form.decay ?? [];
  const rows = removeFactors(b, decay, update.decay ?? []) ?? decay;
  const scale = rows.filter((f) => b.axesOf(f).length > 0 && !b.axesOf(f).includes(read.axis));
  if (scale.length === 0) return { inner: read, scale, apart: [] };
  const apart: Term[] = [];
  const terms = read.form.terms.flatMap((term): Term[] => {
    const factors = removeFactors(b, term.factors, scale);
    if (factors !== undefined) return [{ ...term, factors }];
    apart.push(term);
    return [];
  });
  return { inner: { ...read, form: { ...read.form, decay: removeFactors(b, decay, scale), terms } }, scale, apart };
}

/** The terms of an update that share a column vector. */
export interface Write {
  readonly col: readonly NodeId[];
  readonly terms: readonly Term[];
}

/** Groups the terms of the update by their column vector. A second erase with the same column is a write of its own. */
export function writesOf(b: ScanBuilder, form: Form, rowAxis: Axis): readonly Write[] {
  const sources: { col: readonly NodeId[]; terms: Term[] }[] = [];
  for (const term of form.terms) {
    const col = term.factors.filter((f) => b.axesOf(f).includes(rowAxis));
    const fits = sources.find((s) => sameFactors(b, s.col, col) && (term.read === undefined || s.terms.every((t) => t.read === undefined)));
    if (fits) fits.terms.push(term);
    else sources.push({ col, terms: [term] });
  }
  // Within a token, writes come in the order of their reads: a later erase may see an earlier write.
  return sources.sort((x, y) => writeOrder(x.terms) - writeOrder(y.terms));
}

function writeOrder(terms: readonly Term[]): number {
  return Math.max(-1, ...terms.map((t) => t.read ?? -1));
}

/**
 * What a fold of (row * X) over an axis reads: X = gate * S[t-1] + some of this token's writes. The row's factors are those of the
 * product that are not the gate's. A read of the undecayed state keeps all factors in its row and can see no write.
 */
export function resolveRead(
  b: ScanBuilder, read: RawRead, update: Form, writes: readonly Write[], name: string,
): { reader: Reader; rest: readonly Term[] } {
  const decay = read.form.decay ?? [];
  const after = removeFactors(b, decay, update.decay ?? []);
  const before = after === undefined;
  const rowFactors = after ?? decay;
  const extra = rowFactors.find((f) => b.axesOf(f).some((axis) => axis !== read.axis));
  if (extra !== undefined && !b.axesOf(extra).includes(read.axis)) throw scaledErase(read.origin, name);
  if (extra !== undefined) {
    throw refuse('E306', read.origin, `\`${name}\` is scaled entry by entry before it is read`, 'this read',
      'a read sums over one axis of the state: scale the state by vectors, along either axis, '
        + 'or take `q @ (S - S[t-1])` apart as `q @ S - q @ S[t-1]`');
  }
  let rest: readonly Term[] = read.form.terms;
  const gated = (update.decay ?? []).some((f) => b.literalValue(f) !== 1);
  const sees = writes.map((write) => {
    if (before && gated) return false;
    // Every term of the write must be there, and as often: terms may be equal.
    const left = write.terms.reduce<readonly Term[] | undefined>((terms, t) => {
      const at = terms?.findIndex((r) => r.read === t.read && sameFactors(b, r.factors, [...t.factors, ...rowFactors])) ?? -1;
      return at < 0 ? undefined : terms?.toSpliced(at, 1);
    }, rest);
    if (left === undefined) return false;
    rest = left;
    return true;
  });
  return { reader: { row: b.product(rowFactors), before, sees }, rest };
}

export function scaledErase(origin: Span, name: string): Refusal {
  return refuse('E306', origin, `what \`${name}\` erases is scaled per value channel`,
    'this read is multiplied by a vector over the value axis',
    'the system to solve would differ for every value channel; scale it by a number per token instead');
}
