import { unionAxes, withoutAxes, type Axis } from '../../ir/common/axes.js';
import type { MathName } from '../../ir/common/dag.js';
import { scanBuilder, type ScanBuilder } from '../../ir/scan/build.js';
import type { NodeId } from '../../ir/scan/scan.js';
import type { Spec, SpecNode } from '../../ir/spec/spec.js';
import { addForms, collapse, MOST_TERMS, scaleForm, sumTerm, type Form, type Term } from './forms.js';
import { resolveRead, withoutStaying, writesOf, type RawRead } from './reads.js';
import { refuse, refuseFirst } from './refusal.js';

export type Value = { readonly kind: 'plain'; readonly node: NodeId } | { readonly kind: 'form'; readonly form: Form };

/** What is known of a state once its update has been read. */
export type StateInfo =
  | { readonly kind: 'element'; readonly stage: number; readonly form: Form }
  /** What it is now is known from tokens alone: no stage carries it. */
  | { readonly kind: 'delay'; readonly value: NodeId }
  | {
    readonly kind: 'matrix'; readonly stage: number; readonly form: Form;
    readonly erases: readonly RawRead[]; readonly reads: RawRead[];
  };

/** The axis that erases of a matrix state fold, or else its first read; undefined if nobody reads it. */
export function foldedAxis({ erases, reads }: StateInfo & { readonly kind: 'matrix' }): Axis | undefined {
  return [...erases, ...reads][0]?.axis;
}

export interface Evaluator {
  readonly builder: ScanBuilder;
  /** Value of a Spec node for everybody but the state's own update. */
  evaluate(node: number): Value;
  /** The update of a state as a form of that state, with the reads it makes of itself. */
  update(state: number): { readonly form: Form; readonly erases: readonly RawRead[] };
  finish(state: number, info: StateInfo): void;
}

/** Functions that keep a sum of terms one. */
const LINEAR = ['add', 'sub', 'neg', 'mul', 'div'] as const satisfies readonly MathName[];

function isLinear(fn: MathName): fn is (typeof LINEAR)[number] {
  return LINEAR.some((known) => known === fn);
}

/** Thrown when a matrix state turns out to be used elementwise: the caller starts again with it as an elementwise scan. */
export interface UsedElementwise { readonly usedElementwise: number }

export function usedElementwise(state: number): UsedElementwise {
  return { usedElementwise: state };
}

/** Reads Spec nodes as values affine in the states (a small abstract interpretation). */
export function evaluator(spec: Spec): Evaluator {
  const builder = scanBuilder();
  const infos = new Map<number, StateInfo>();
  const reach = spec.nodes.map(() => new Set<number>());
  spec.nodes.forEach((node, id) => {
    if (node.kind === 'prev') reach[id].add(node.state);
    for (const arg of argumentsOf(node)) for (const s of reach[arg]) reach[id].add(s);
  });

  const shared = new Map<number, Value>();

  const makeEvaluate = (own: number | undefined, erases: RawRead[]) => {
    const memo = new Map<number, Value>();
    const contained = new Map<number, ReadonlySet<number>>();
    const apart = new Map<number, readonly Form[]>();
    const evaluate = (id: number): Value => {
      const mine = own !== undefined && reach[id].has(own);
      const cache = mine ? memo : shared;
      const known = cache.get(id);
      if (known) return known;
      const value = mine || own === undefined ? compute(id) : evaluateShared(id);
      cache.set(id, value);
      return value;
    };

    const compute = (id: number): Value => {
      const node = spec.nodes[id];
      if (own === undefined) {
        const finished = spec.states.findIndex((s, i) => s.next === id && infos.has(i) && reach[id].has(i));
        const info = finished < 0 ? undefined : infos.get(finished);
        if (info?.kind === 'element') return plain(resultNode(info.stage, 0, node));
        if (info?.kind === 'matrix') return { kind: 'form', form: info.form };
      }
      switch (node.kind) {
        case 'literal': case 'size': case 'head': case 'heads': case 'param': case 'input':
          return plain(builder.node(node));
        case 'prev': {
          if (node.state === own) return { kind: 'form', form: { state: own, decay: [], terms: [], axes: node.axes } };
          const info = infos.get(node.state);
          if (info === undefined) throw new Error(`state ${node.state} is read before its stage exists`);
          if (info.kind === 'element') return plain(resultNode(info.stage, 1, node));
          if (info.kind === 'delay') return plain(builder.past(info.value, node.state, node.origin));
          return { kind: 'form', form: { state: node.state, decay: [], terms: [], axes: node.axes } };
        }
        case 'map': return mapValue(node);
        case 'reduce': return reduceValue(node);
      }
    };

    const plain = (node: NodeId): Value => ({ kind: 'plain', node });
    const resultNode = (
      stage: number, slot: number, at: SpecNode,
    ) => builder.node({ kind: 'result', stage, slot, axes: at.axes, origin: at.origin });

    const mapValue = (node: SpecNode & { kind: 'map' }): Value => {
      const b = builder.at(node.origin);
      const args = node.args.map(evaluate);
      const linear = isLinear(node.fn);
      const stateful = args.some((a) => a.kind === 'form' && a.form.state !== undefined);
      if (!stateful && (!linear || node.axes.length < 2)) {
        return plain(b.node({ kind: 'map', fn: node.fn, args: args.map((arg) => toNode(b, arg)), axes: node.axes, origin: node.origin }));
      }
      if (
        !stateful && args.every((a) => a.kind === 'plain')
        && args.some((a) => a.kind === 'plain' && b.axesOf(a.node).length === node.axes.length)
      ) {
        return plain(b.map(node.fn, ...args.map((arg) => toNode(b, arg))));
      }
      if (!isLinear(node.fn)) {
        const culprit = args.find((a) => a.kind === 'form' && a.form.state !== undefined);
        if (culprit?.kind === 'form') throw nonlinear(culprit.form, node, `\`${node.fn}(...)\` of the state`);
        return plain(b.map(node.fn, ...args.map((arg) => toNode(b, arg))));
      }
      switch (node.fn) {
        case 'add': return form(bounded(addForms(b, sameState(toForm(args[0]), toForm(args[1]), node), toForm(args[1])), node));
        case 'sub': return form(bounded(
          addForms(b, sameState(toForm(args[0]), toForm(args[1]), node), scaleForm(toForm(args[1]), [b.literal(-1)], [])), node,
        ));
        case 'neg': return form(scaleForm(toForm(args[0]), [b.literal(-1)], []));
        case 'mul': return form(multiply(toForm(args[0]), toForm(args[1]), node));
        case 'div': {
          const divisor = args[1];
          if (divisor.kind === 'form' && divisor.form.state !== undefined) throw nonlinear(
            divisor.form, node, 'the divisor contains the state',
          );
          const inverse = b.map('div', b.literal(1), toNode(b, divisor));
          return form(scaleForm(toForm(args[0]), [inverse], node.axes));
        }
      }
    };

    const form = (f: Form): Value => ({ kind: 'form', form: f });

    const toForm = (value: Value): Form =>
      value.kind === 'form' ? value.form : {
        state: undefined, decay: undefined, terms: [{ factors: [value.node], read: undefined }], axes: builder.axesOf(value.node),
      };

    const toNode = (b: ScanBuilder, value: Value): NodeId => {
      if (value.kind === 'plain') return value.node;
      if (value.form.state !== undefined) throw new Error('a stateful form has no node');
      return collapse(b, value.form);
    };

    const sameState = (x: Form, y: Form, node: SpecNode): Form => {
      if (x.state !== undefined && y.state !== undefined && x.state !== y.state) {
        throw refuseFirst('E304', node.origin, `\`${name(x.state)}\` and \`${name(y.state)}\` are added up`, 'a sum of two states',
          'chunks have states that are written by outer products of vectors only: '
            + 'reading the other state with a vector, and writing what that gives, is another formula');
      }
      return x;
    };

    /** Sums of sums would otherwise have as many terms as there are ways through them. */
    const bounded = (f: Form, node: SpecNode): Form => {
      if (f.terms.length <= MOST_TERMS) return f;
      const b = builder.at(node.origin);
      const single = (terms: readonly Term[]): Term => ({ factors: [collapse(b, { ...f, terms })], read: undefined });
      // Other states than matrices are written entry by entry anyway.
      if (f.state === undefined || (spec.states[f.state].axes.length !== 2 && f.terms.every((term) => term.read === undefined))) return {
        ...f, terms: [single(f.terms)],
      };
      throw refuse('E306', node.origin, `the update of \`${name(f.state)}\` has more than ${MOST_TERMS} terms`, `${f.terms.length} terms`,
        'add up the vectors that are written along the same one: `outer(k, v + w)` in place of `outer(k, v) + outer(k, w)`');
    };

    const multiply = (x: Form, y: Form, node: SpecNode): Form => {
      const b = builder.at(node.origin);
      if (x.state !== undefined && y.state !== undefined) throw nonlinear(x, node, 'a product of the state with itself');
      const [stateful, free] = x.state !== undefined ? [x, y] : [y, x];
      if (free.terms.length === 1) return scaleForm(stateful, free.terms[0].factors, free.axes);
      // (a (x) b + c (x) d) * S: as one factor if it multiplies S itself, distributed over the terms otherwise.
      if (stateful.decay !== undefined) return scaleForm(stateful, [collapse(b, free)], free.axes);
      const terms: Term[] = stateful.terms.flatMap((s) => free.terms.map((f) => ({ factors: [...s.factors, ...f.factors], read: s.read })));
      if (terms.length > MOST_TERMS) return scaleForm(stateful, [collapse(b, free)], free.axes);
      return { state: stateful.state, decay: undefined, terms, axes: unionAxes(x.axes, y.axes) };
    };

    const nonlinear = (f: Form, node: SpecNode, label: string) => {
      if (f.state !== undefined && f.state !== own && own === undefined) {
        return usedElementwise(f.state);
      }
      return refuse('E301', node.origin, `the update of \`${name(f.state)}\` is not linear in \`${name(f.state)}[t-1]\``, label,
        'a chunked scan needs S = A*S[t-1] + B with A and B free of S');
    };

    const name = (state: number | undefined) => (state === undefined ? '?' : spec.states[state].name);

    const reduceValue = (node: SpecNode & { kind: 'reduce' }): Value => {
      const b = builder.at(node.origin);
      if (node.op === 'sum' && direct(node.arg).size > 1) {
        const [first, ...more] = summands(node.arg).map((f) => fold({ kind: 'form', form: f }, node));
        return more.reduce((x, y) => (
          x.kind === 'plain' && y.kind === 'plain' ? plain(b.map('add', x.node, y.node))
            : form(bounded(addForms(b, toForm(x), toForm(y)), node))
        ), first);
      }
      return fold(evaluate(node.arg), node);
    };

    /** States that a value contains as they are, rather than what was read of them. */
    const direct = (id: number): ReadonlySet<number> => {
      const known = contained.get(id);
      if (known) return known;
      const node = spec.nodes[id];
      const state = node.kind === 'prev' ? node.state
        : spec.states.findIndex((s, i) => s.next === id && i !== own && infos.has(i) && reach[id].has(i));
      const found = state >= 0 ? [state].filter((s) => s === own || infos.get(s)?.kind === 'matrix')
        : node.kind === 'map' ? node.args.flatMap((arg) => [...direct(arg)]) : [];
      const set = new Set(found);
      contained.set(id, set);
      return set;
    };

    /** A sum over several states, taken apart: one form for each. There is no form for it as a whole, but its folds are folds of these. */
    const summands = (id: number): readonly Form[] => {
      const node = spec.nodes[id];
      if (direct(id).size < 2 || node.kind !== 'map' || !isLinear(node.fn)) return [toForm(evaluate(id))];
      const known = apart.get(id);
      if (known) return known;
      const b = builder.at(node.origin);
      const { fn, args: [x, y] } = node;
      const parts = (): readonly Form[] => {
        switch (fn) {
          case 'add': return [...summands(x), ...summands(y)];
          case 'sub': return [...summands(x), ...summands(y).map((f) => scaleForm(f, [b.literal(-1)], []))];
          case 'neg': return summands(x).map((f) => scaleForm(f, [b.literal(-1)], []));
          case 'mul':
            if (direct(x).size > 0 && direct(y).size > 0) break;
            return direct(x).size > 0 ? summands(x).map((f) => multiply(f, toForm(evaluate(y)), node))
              : summands(y).map((f) => multiply(toForm(evaluate(x)), f, node));
          case 'div': {
            if (direct(y).size > 0) break;
            const inverse = b.map('div', b.literal(1), toNode(b, evaluate(y)));
            return summands(x).map((f) => scaleForm(f, [inverse], node.axes));
          }
        }
        return [toForm(evaluate(id))];
      };
      const all = parts().map((f) => ({ ...f, axes: node.axes }));
      const states = [...new Set(all.map((f) => f.state))];
      const sums = states.map((state) => bounded(all.filter((f) => f.state === state).reduce((sum, f) => addForms(b, sum, f)), node));
      apart.set(id, sums);
      return sums;
    };

    const fold = (arg: Value, node: SpecNode & { kind: 'reduce' }): Value => {
      const b = builder.at(node.origin);
      if (arg.kind === 'plain') return plain(b.reduce(node.op, node.axis, arg.node));
      const f = arg.form;
      if (f.state === undefined) {
        if (node.op !== 'sum') return plain(b.reduce(node.op, node.axis, collapse(b, f)));
        return plain(collapse(b, { ...f, terms: f.terms.map((t) => sumTerm(b, t, node.axis, node.origin)), axes: node.axes }));
      }
      if (node.op !== 'sum') throw nonlinear(f, node, `\`${node.op}\` over the state`);
      if (f.decay === undefined) {
        const terms = f.terms.map((t): Term => {
          const read = t.read === undefined || f.state !== own ? undefined : erases[t.read];
          if (read === undefined || !readAxes(read).includes(node.axis)) return sumTerm(b, t, node.axis, node.origin);
          // There is no form for it, but another reason to refuse the update may be the better one.
          return { factors: [], read: erases.push({ ...read, again: { axis: node.axis, origin: node.origin } }) - 1 };
        });
        return form({ ...f, terms, axes: node.axes });
      }
      const raw: RawRead = { form: f, axis: node.axis, origin: node.origin };
      if (f.state === own) {
        erases.push(raw);
        return form({ state: own, decay: undefined, terms: [{ factors: [], read: erases.length - 1 }], axes: node.axes });
      }
      const info = infos.get(f.state);
      if (info?.kind !== 'matrix') throw new Error('only matrix states stay forms');
      return plain(readResult(info, raw));
    };

    const readAxes = (read: RawRead) => withoutAxes(read.form.axes, [read.axis]);

    /**
     * A read by others: vectors along axes that stay scale what comes out, and what it sees of its own token beyond whole writes is added
     * as plain products.
     */
    const readResult = (info: StateInfo & { kind: 'matrix' }, raw: RawRead): NodeId => {
      const b = builder.at(raw.origin);
      const { inner, scale, apart } = withoutStaying(b, raw, info.form);
      const rowAxis = foldedAxis(info) ?? raw.axis;
      const { rest } = resolveRead(b, inner, info.form, writesOf(b, info.form, rowAxis), name(info.form.state));
      const seen = inner.form.terms.filter((t) => !rest.includes(t));
      info.reads.push({ ...inner, form: { ...inner.form, terms: seen } });
      const result = b.node({ kind: 'result', stage: info.stage, slot: info.reads.length - 1, axes: readAxes(raw), origin: raw.origin });
      const sum = rest.reduce((total, term) => b.map('add', total, plainly(info, raw, term)), result);
      const scaled = scale.length === 0 ? sum : b.map('mul', b.product(scale), sum);
      return apart.reduce((total, term) => b.map('add', total, plainly(info, raw, term)), scaled);
    };

    /** The fold of a term that a read sees of its own token. */
    const plainly = (info: StateInfo & { kind: 'matrix' }, { axis, origin }: RawRead, term: Term): NodeId => {
      const b = builder.at(origin);
      const own = term.read === undefined ? [] : [readResult(info, info.erases[term.read])];
      // What an erase has read is folded along with the rest, unless that is the axis that it has folded itself.
      if (own.length > 0 && b.axesOf(own[0]).includes(axis)) {
        return b.product(sumTerm(b, { factors: [...term.factors, ...own], read: undefined }, axis, origin).factors);
      }
      return b.product([...sumTerm(b, term, axis, origin).factors, ...own]);
    };

    return evaluate;
  };

  const evaluateShared = makeEvaluate(undefined, []);
  return {
    builder,
    evaluate: evaluateShared,
    update(state) {
      const erases: RawRead[] = [];
      const value = makeEvaluate(state, erases)(spec.states[state].next);
      // Another state as it is: entry by entry.
      if (value.kind === 'form' && value.form.state !== undefined && value.form.state !== state) throw usedElementwise(value.form.state);
      const axes = spec.states[state].axes;
      if (value.kind === 'form') checkReads(value.form, erases, spec.states[state].name);
      const form = value.kind === 'form' ? { ...value.form, state, axes }
        : { state, decay: undefined, terms: [{ factors: [value.node], read: undefined }], axes };
      return { form, erases };
    },
    finish: (state, info) => void infos.set(state, info),
  };
}

/** What an update reads of its state is written as it is: folded once more, every channel would depend on all others. */
function checkReads(form: Form, erases: readonly RawRead[], name: string): void {
  const again = form.terms.map(({ read }) => (read === undefined ? undefined : erases[read].again)).find((found) => found !== undefined);
  if (again === undefined) return;
  throw refuse('E306', again.origin, `what is read of \`${name}\` is folded again before it is written`,
    `this folds \`${again.axis}\` of the read`,
    'every channel of the state would depend on all others: keep the axis, or read a state that this update does not write');
}

/** Arguments of a Spec node. */
export function argumentsOf(node: SpecNode): readonly number[] {
  switch (node.kind) {
    case 'map': return node.args;
    case 'reduce': return [node.arg];
    case 'literal': case 'size': case 'head': case 'heads': case 'input': case 'param': case 'prev': return [];
  }
}
