import type { Span } from '../../ir/common/span.js';
import type { ScanBuilder } from '../../ir/scan/build.js';
import { gateAxes, type MatrixStage, type NodeId, type Source } from '../../ir/scan/scan.js';
import type { Spec } from '../../ir/spec/spec.js';
import { foldedAxis, type StateInfo } from './evaluate.js';
import { collapse, removeFactors, sumTerm, type Term } from './forms.js';
import { resolveRead, scaledErase, writesOf, type RawRead } from './reads.js';
import { decayAxes, gateOf } from './gates.js';
import { refuse } from './refusal.js';

type MatrixInfo = StateInfo & { kind: 'matrix' };

/** Erases of one token: a chunk's system has blocks for every two of them, and its text grows with the third power. */
const MOST_ERASES = 12;

/** Resolves what the update and the reads of a matrix state say into gate, sources and readers, whichever axis a read folds. */
export function matrixStage(b: ScanBuilder, spec: Spec, state: number, info: MatrixInfo): MatrixStage {
  const { form, erases, reads } = info;
  const { name, axes, origin } = spec.states[state];
  const rowAxis = foldedAxis(info) ?? axes[0];
  const across = erases.find((read) => read.axis !== rowAxis);
  if (across !== undefined) {
    throw refuse('E306', across.origin, `\`${name}\` is read along both of its axes by its own update`,
      `folds \`${across.axis}\`, another read of the update folds \`${rowAxis}\``,
      'what is erased along one axis would be part of what is erased along the other; let all reads of the update fold the same axis');
  }
  const valueAxes = axes.filter((axis) => axis !== rowAxis);
  if (form.decay === undefined) {
    throw refuse(
      'E303', origin, `\`${name}\` forgets everything at every step`, 'its update does not contain its old value',
      `add \`${name}[t-1]\` to the update, or use the written value directly`,
    );
  }
  checkShape(b, spec, state, form, valueAxes.length);
  const gate = gateOf(b, spec, state, form.decay);
  const writes = writesOf(b, form, rowAxis);
  const resolve = (read: RawRead) => resolveRead(b, read, form, writes, name);
  const sum = (terms: readonly Term[]) => (
    terms.length === 0 ? undefined : collapse(b, { state: undefined, decay: undefined, axes: valueAxes, terms })
  );

  const sources = writes.map((write): Source => {
    const values = write.terms.filter((t) => t.read === undefined).map((t) => without(b, t, write.col));
    const eraseTerms = write.terms.filter((t) => t.read !== undefined);
    if (eraseTerms.length === 0) return { col: b.product(write.col), value: sum(values), erase: undefined };
    const [term] = eraseTerms;
    const scale = without(b, term, write.col).factors;
    if (scale.some((f) => b.axesOf(f).length > 0)) {
      throw scaledErase(erases[term.read ?? 0].origin, name);
    }
    const erase = erases[term.read ?? 0];
    const { reader, rest } = resolve(erase);
    if (rest.some((t) => t.read !== undefined)) throw sameToken(erase.origin, name);
    const seen = rest.map((t) => sumTerm(b, { factors: [...t.factors, ...scale], read: undefined }, rowAxis, erase.origin));
    return {
      col: b.product(write.col), value: sum([...values, ...seen]), erase: { ...reader, row: b.map('mul', b.product(scale), reader.row) },
    };
  });
  const erasing = sources.filter(({ erase }) => erase !== undefined).length;
  if (erasing > MOST_ERASES) {
    throw refuse('E306', origin, `\`${name}\` erases ${erasing} times per token`, `more than ${MOST_ERASES} times`,
      'the system that a chunk solves has a block for every two erases: erase less often');
  }
  const decays = gateAxes(gate).find((axis) => axis !== rowAxis);
  if (decays !== undefined && erasing > 0) {
    throw refuse('E306', origin, `\`${name}\` decays along \`${decays}\` and erases along \`${rowAxis}\``, 'its update',
      `let the gate run along \`${rowAxis}\`, the axis that the erase folds away`);
  }
  return { kind: 'matrix', state, walk: 0, rowAxis, valueAxes, gate, sources, reads: reads.map((read) => resolve(read).reader), origin };
}

/** What an erase asks of a state and of everything around it: without one, an elementwise scan takes what does not fit. */
function checkShape(b: ScanBuilder, spec: Spec, state: number, form: MatrixInfo['form'], valueAxes: number): void {
  const { name, origin } = spec.states[state];
  if (valueAxes > 1) {
    throw refuse(
      'E306', origin, `\`${name}\` has more than two axes and is read by its own update`, `${valueAxes + 1} axes`,
      'an erase needs a state of one key axis and at most one value axis',
    );
  }
  const decays = decayAxes(b, form.decay ?? []);
  if (decays.length > 1) {
    throw refuse('E306', origin, `\`${name}\` decays along \`${decays.join('` and `')}\` and is read by its own update`, 'its update',
      'together with an erase only a decay along the axis that the erase folds away has a chunked form');
  }
  const wide = form.terms.flatMap((term) => term.factors).find((factor) => b.axesOf(factor).length > 1);
  if (wide !== undefined) {
    throw refuse('E306', b.nodes[wide].origin, `\`${name}\` is written by a full matrix and read by its own update`,
      `this has the axes \`${b.axesOf(wide).join('`, `')}\``,
      'together with an erase only outer products of vectors have a chunked form');
  }
}

function without(b: ScanBuilder, term: Term, col: readonly NodeId[]): Term {
  return { factors: removeFactors(b, term.factors, col) ?? term.factors, read: term.read };
}

function sameToken(origin: Span, name: string) {
  return refuse('E306', origin, `this read of \`${name}\` sees part of its own token's update`,
    'what it reads is neither the state before nor after one of its writes',
    'read the state before the update, after it, or between two of its writes');
}
