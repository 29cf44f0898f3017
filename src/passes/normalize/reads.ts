import type { Axis } from '../../ir/common/axes.js';
import type { Span } from '../../ir/common/span.js';
import type { ScanBuilder } from '../../ir/scan/build.js';
import type { NodeId, Reader } from '../../ir/scan/scan.js';
import { removeFactors, sameFactors, type Form, type Term } from './forms.js';
import { refuse } from './refusal.js';

/** A fold of a form over one axis, before it is known what the gate is: `form` still contains the row's factors. */
export interface RawRead {
  readonly form: Form;
  readonly axis: Axis;
  readonly origin: Span;
  /** A fold of what was read over another axis of it, for which there is no form. */
  readonly again?: { readonly axis: Axis; readonly origin: Span };
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
 * What a fold of (row * X) over the row axis reads: X = gate * S[t-1] + some of this token's writes. The row's factors are those of the
 * product that are not the gate's. A read of the undecayed state keeps all factors in its row and can see no write.
 */
export function resolveRead(
  b: ScanBuilder, read: RawRead, update: Form, writes: readonly Write[], rowAxis: Axis, name: string,
): { reader: Reader; rest: readonly Term[] } {
  const decay = read.form.decay ?? [];
  const after = removeFactors(b, decay, update.decay ?? []);
  const before = after === undefined;
  const rowFactors = after ?? decay;
  const extra = rowFactors.find((f) => b.axesOf(f).some((axis) => axis !== rowAxis));
  if (extra !== undefined) {
    throw refuse(
      'E306', read.origin, `\`${name}\` is scaled per value channel before it is read`, 'this read',
      'scale the result of the read instead: `q @ (w * S)` is `w * (q @ S)`, and `q @ (S - S[t-1])` is `q @ S - q @ S[t-1]`',
    );
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
