import type { ScanBuilder } from '../../ir/scan/build.js';
import type { ElementStage, NodeId, Root, ScanProgram, Stage } from '../../ir/scan/scan.js';
import type { Spec } from '../../ir/spec/spec.js';
import { alongAxes } from './both-axes.js';
import { delayOf } from './delay.js';
import { argumentsOf, evaluator, usedElementwise, type StateInfo, type UsedElementwise, type Value } from './evaluate.js';
import { collapse, type Form } from './forms.js';
import { decayAxes } from './gates.js';
import { matrixStage } from './matrix.js';
import { inOrder } from './order.js';
import type { RawRead } from './reads.js';
import { refuse, type Refusal } from './refusal.js';

/**
 * Spec -> Scan: finds, from the text of the updates alone, one stage per state.
 * Throws a Refusal if the recurrence has no chunked form. `carried`: states that only say what tokens before were have stages like others,
 * for who cannot look at tokens before.
 */
export function normalize(spec: Spec, carried = false): ScanProgram {
  const order = stateOrder(spec);
  const elementwise = new Set<number>();
  // A state that could be a matrix stage may turn out to be used entry by entry later on; then it has to be an elementwise scan.
  for (;;) {
    try {
      return attempt(spec, order, elementwise, carried);
    } catch (error) {
      if (!isUsedElementwise(error) || elementwise.has(error.usedElementwise)) throw error;
      elementwise.add(error.usedElementwise);
    }
  }
}

function attempt(spec: Spec, order: readonly number[], elementwise: ReadonlySet<number>, carried: boolean): ScanProgram {
  const ev = evaluator(spec);
  const b = ev.builder;
  const pending: { state: number; info: StateInfo }[] = [];
  let stage = 0;
  order.forEach((state) => {
    const { form, erases } = ev.update(state);
    const delay = carried ? undefined : delayOf(b, spec, state, form);
    const info: StateInfo = delay !== undefined ? { kind: 'delay', value: delay } : !elementwise.has(state)
      && isMatrix(b, spec, state, form, erases)
      ? { kind: 'matrix', stage, form, erases, reads: [] }
      : { kind: 'element', stage, form };
    if (info.kind === 'element' && erases.length > 0) {
      throw refuse('E303', erases[0].origin, `\`${spec.states[state].name}\` is read by its own update and used entry by entry`,
        'a read of the state in its update',
        'a state with an erase term can only be read through vectors (`q @ S`)');
    }
    ev.finish(state, info);
    pending.push({ state, info });
    if (info.kind !== 'delay') stage++;
  });
  const roots: Root[] = spec.outputs.map((output, index) => ({
    kind: 'output', output: index, value: plainNode(b, ev.evaluate(output.value)),
  }));
  for (const { state, info } of pending) if (info.kind === 'delay') roots.push({ kind: 'final', state, value: info.value });
  const stages = pending.flatMap(({ state, info }): readonly Stage[] => {
    const own = b.at(spec.nodes[spec.states[state].next].origin);
    switch (info.kind) {
      case 'delay': return [];
      case 'element': return [elementStage(own, spec, state, info.form)];
      case 'matrix': return [matrixStage(own, spec, state, info)];
    }
  });
  const folds = pending.flatMap(({ info }) => (info.kind === 'delay' ? [] : [info.kind === 'matrix' ? info.reads : []]));
  return inOrder({ ...alongAxes(b, stages, (at, slot) => folds[at][slot].axis), roots });
}

function plainNode(b: ScanBuilder, value: Value): NodeId {
  if (value.kind === 'plain') return value.node;
  if (value.form.state === undefined) return collapse(b, value.form);
  throw usedElementwise(value.form.state);
}

function isUsedElementwise(error: unknown): error is UsedElementwise {
  return typeof error === 'object' && error !== null && 'usedElementwise' in error;
}

/** Rank 2 with outer-product writes and at most one gated axis, or any state that its own update reads. */
function isMatrix(b: ScanBuilder, spec: Spec, state: number, form: Form, erases: readonly RawRead[]): boolean {
  if (erases.length > 0) return true;
  const { axes } = spec.states[state];
  if (axes.length !== 2 || form.decay === undefined) return false;
  return decayAxes(b, form.decay).length <= 1 && form.terms.every((term) => term.factors.every((f) => b.axesOf(f).length <= 1));
}

function elementStage(b: ScanBuilder, spec: Spec, state: number, form: Form): ElementStage {
  const { axes, origin } = spec.states[state];
  return {
    kind: 'element', state, axes, origin,
    decay: form.decay && b.product(form.decay),
    write: form.terms.length === 0 ? undefined : collapse(b, form),
  };
}

/** States in an order in which every update reads earlier ones only; E302 if there is none. */
function stateOrder(spec: Spec): readonly number[] {
  const reads = spec.states.map((s) => {
    const seen = new Set<number>();
    const found = new Map<number, number>();
    const visit = (id: number): void => {
      if (seen.has(id)) return;
      seen.add(id);
      const node = spec.nodes[id];
      if (node.kind === 'prev') found.set(node.state, id);
      argumentsOf(node).forEach(visit);
    };
    visit(s.next);
    return found;
  });
  const order: number[] = [];
  const place = (state: number, path: readonly number[]): void => {
    if (order.includes(state)) return;
    if (path.includes(state)) throw circle(spec, path.slice(path.indexOf(state)));
    for (const read of reads[state].keys()) if (read !== state) place(read, [...path, state]);
    order.push(state);
  };
  // Small states first: what is made of them can then be part of the scan of a larger one.
  const bySize = spec.states.map((_, state) => state).sort((x, y) => spec.states[x].axes.length - spec.states[y].axes.length || x - y);
  bySize.forEach((state) => place(state, []));
  return order;
}

/** Each of these states reads the next, and the last one the first. */
function circle(spec: Spec, path: readonly number[]): Refusal {
  const names = path.map((state) => `\`${spec.states[state].name}\``);
  const labels = path.map((state, i) => ({
    span: spec.nodes[spec.states[state].next].origin, text: `${names[i]} reads ${names[(i + 1) % names.length]}`,
  }));
  labels.sort((a, b) => a.span.start - b.span.start);
  const [first, ...secondary] = labels;
  const [last, ...others] = [...names].sort().reverse();
  return {
    ...refuse(
      'E302', first.span, `states ${others.reverse().join(', ')} and ${last} feed each other`, first.text,
      'states are computed one after the other, each for all tokens at once: no chunked form of their joint update is known here',
    ),
    secondary,
  };
}
