import { randomSource } from '../../src/support/random.js';
import type { Line, Program, Shape, Tensor, Term } from './program.js';

const AXES = ['D', 'E', 'N', 'R'] as const;
const SIZES = [1, 2, 3, 4, 5, 7];
const SMOOTH = ['tanh', 'sigmoid', 'silu', 'softplus', 'gelu', 'log_sigmoid'] as const;

/** How the state that is being updated may be used: not at all elsewhere. */
interface State {
  readonly tensor: Tensor;
  /** Has it its new value? */
  assigned: boolean;
}

const same = (a: Shape, b: Shape) => a.length === b.length && a.every((axis) => b.includes(axis));
const number = (text: string): Term => ({ kind: 'leaf', text, name: undefined, shape: [] });
const union = (a: Shape, b: Shape): Shape => [...new Set([...a, ...b])];
const infix = (
  sign: '+' | '-' | '*' | '/' | '@' | '^', x: Term, y: Term, shape: Shape = union(x.shape, y.shape),
): Term => ({ kind: 'infix', sign, args: [x, y], shape });
const call = (
  fn: string, args: readonly Term[], shape: Shape = args[0].shape, axes: Shape = [],
): Term => ({ kind: 'call', fn, axes, args, shape });
const without = (shape: Shape, axis: string) => shape.filter((other) => other !== axis);

/** A scan that the front end should take: written from the types downwards, in another manner than the recurrences in test/property. */
export function generate(seed: number): Program {
  const random = randomSource(seed, 'fuzz');
  const chance = (p: number) => random.uniform() < p;
  const pick = <T>(list: readonly T[]): T => list[random.below(list.length)];
  const shuffled = <T>(list: readonly T[]): T[] => {
    const left = [...list];
    return list.map(() => left.splice(random.below(left.length), 1)[0]);
  };
  const axes = shuffled(AXES).slice(0, 1 + random.below(4));
  const sizes = new Map(axes.map((axis) => [axis, pick(SIZES)]));
  const inputs: Tensor[] = [];
  const params: Tensor[] = [];
  const lines: Line[] = [];
  const lets: { readonly name: string; readonly shape: Shape }[] = [];
  const states: State[] = [];
  let counter = 0;
  const fresh = (stem: string) => `${stem}${++counter}`;
  /** The state whose update is being written: others may be read, this one only as its update may. */
  let current: State | undefined;

  const leafOf = (tensor: { readonly name: string; readonly shape: Shape }, past = false): Term => (
    { kind: 'leaf', text: past ? `${tensor.name}[t-1]` : tensor.name, name: tensor.name, shape: tensor.shape }
  );
  const sizeOf = (axis: string): Term => ({ kind: 'leaf', text: axis, name: axis, shape: [] });
  const input = (shape: Shape, range?: string): Term => {
    const known = inputs.filter((tensor) => same(tensor.shape, shape) && tensor.range === range);
    if (known.length > 0 && chance(0.6)) return leafOf(pick(known));
    const tensor: Tensor = {
      role: 'input', name: fresh('x'), shape, ...(range !== undefined && { range }),
      ...(inputs.length > 0 && chance(0.12) && { group: true }),
    };
    inputs.push(tensor);
    return leafOf(tensor);
  };
  const param = (shape: Shape, range?: string): Term => {
    const known = params.filter((tensor) => same(tensor.shape, shape) && tensor.range === range);
    if (known.length > 0 && chance(0.6)) return leafOf(pick(known));
    const tensor: Tensor = { role: 'param', name: fresh('w'), shape, ...(range !== undefined && { range }) };
    params.push(tensor);
    return leafOf(tensor);
  };
  const bind = (value: Term): Term => {
    const name = fresh(pick(['u', 'tmp', 'z_']));
    lines.push({ kind: 'let', name, value });
    lets.push({ name, shape: value.shape });
    return leafOf({ name, shape: value.shape });
  };
  const sometimesBound = (value: Term, p = 0.25): Term => (value.kind !== 'leaf' && chance(p) ? bind(value) : value);

  /** Nothing but parameters and numbers, as deep as it is. */
  let fixed = false;
  const alone = <T>(make: () => T): T => {
    const before = fixed;
    fixed = true;
    const made = make();
    fixed = before;
    return made;
  };

  const leaf = (shape: Shape): Term => {
    if (fixed) return shape.length === 0 && chance(0.3) ? (
      chance(0.3) ? sizeOf(pick(axes)) : number(pick(['0.5', '2', 'head', 'heads']))
    ) : param(shape);
    const known = lets.filter((own) => same(own.shape, shape) && !(current !== undefined && dirty.has(own.name)));
    if (known.length > 0 && chance(0.35)) return leafOf(pick(known));
    if (shape.length === 0 && chance(0.2)) return number(pick(['0.5', '2', '1', '0.25', '3', '-0.5']));
    if (chance(0.25)) return param(shape);
    const x = input(shape);
    return chance(0.06) && x.kind === 'leaf' ? { ...x, text: `${x.text}[t-1]` } : x;
  };
  /** `let`s that hold what only the update of its own state may use. */
  const dirty = new Set<string>();

  /** Something between 0 and 1, as decays and strengths are. */
  const gate = (shape: Shape, depth: number): Term => {
    const z = () => term(shape, depth - 1);
    if (fixed) return call('sigmoid', [composed(shape, depth)]);
    if (depth > 0 && chance(0.08)) return alone(() => gate(shape, depth));
    switch (random.below(17)) {
      case 0: return call('exp', [input(shape, '-inf..0')]);
      case 1: return call('sigmoid', [z()]);
      case 2: return input(shape, '0..1');
      case 3: return shape.length === 0 ? number(pick(['0.9', '0.5', '1', '0.99'])) : call('sigmoid', [param(shape)]);
      case 4: return infix('*', gate(shape, depth - 1), gate(chance(0.5) ? shape : [], depth - 1), shape);
      case 5: return call(
        'exp',
        [{ kind: 'negated', args: [infix('*', call('exp', [param(chance(0.5) ? shape : [])]), call('softplus', [z()]), shape)], shape }],
      );
      case 6: return infix('-', number('1'), call('sigmoid', [z()]), shape);
      case 7: return call('exp', [{ kind: 'negated', args: [call('softplus', [z()])], shape }]);
      case 8: return infix('/', number('1'), infix('+', number('1'), call('exp', [input(shape)]), shape), shape);
      case 9: return infix('^', number(pick(['0.5', '0.9'])), infix('*', input(shape, '0..1'), number('2'), shape), shape);
      case 10: return call('exp', [infix('*', number(pick(['0.5', '2'])), input(shape, '-1..0'), shape)]);
      case 11: return infix('*', gate([], depth - 1), gate(shape, depth - 1), shape);
      // Factors: numbers that may be 0, without a logarithm of their own.
      case 12: return infix('*', param(chance(0.5) ? shape : [], '0..1'), input(shape, '0..1'), shape);
      case 13: return infix('-', number('1'), input(shape, '0..1'), shape);
      case 14: return call('max', [input(shape, '0..1'), number('0.1')], shape);
      case 15: return infix('^', input(shape, '0..1'), number(pick(['2', '1.5'])), shape);
      default: return call('sigmoid', [infix('+', param(shape), z(), shape)]);
    }
  };

  /** A read of a state that others may read, [shape]. */
  const read = (shape: Shape, depth: number): Term | undefined => {
    const able = states.filter((state) => state !== current && (state.assigned || current === undefined || chance(0.1)));
    const own = able.filter(({ tensor }) => same(tensor.shape, shape));
    const wider = able.filter(
      ({ tensor }) => tensor.shape.length === shape.length + 1 && shape.every((axis) => tensor.shape.includes(axis))
      && tensor.shape.length > 1
    );
    const state = wider.length > 0 && chance(0.85) ? pick(wider) : own.length > 0 ? pick(own) : undefined;
    if (state === undefined) return undefined;
    const value = leafOf(state.tensor, !state.assigned || chance(0.25));
    if (same(state.tensor.shape, shape)) return value;
    const axis = without(state.tensor.shape, '').find((name) => !shape.includes(name)) ?? '';
    const more = chance(0.1) && state.tensor.shape.length === 2
      ? call('outer', state.tensor.shape.map((name) => leaf([name])), state.tensor.shape)
      : undefined;
    const seen = chance(0.05) ? infix('-', leafOf(state.tensor, !state.assigned), leafOf(state.tensor, true), state.tensor.shape)
      : more !== undefined ? infix(pick(['+', '-']), value, more, state.tensor.shape)
      : chance(0.12) ? infix('*', gate(chance(0.5) ? [] : [axis], 1), value, state.tensor.shape) : value;
    if (chance(0.04)) return call(pick(['sum', 'sum', 'mean', 'max']), [seen], shape, [axis]);
    if (chance(0.06)) return call('sum', [infix('*', seen, term([axis], depth - 1), state.tensor.shape)], shape, [axis]);
    const row = chance(0.2) ? call('softmax', [term([axis], depth - 1)], [axis], [axis]) : sometimesBound(term([axis], depth - 1));
    return chance(0.8) ? infix('@', row, seen, shape) : infix('@', seen, row, shape);
  };

  const term = (shape: Shape, depth: number): Term => {
    if (depth <= 0) return leaf(shape);
    if (!fixed && chance(0.07)) return alone(() => composed(shape, depth));
    if (!fixed && chance(0.3)) {
      const found = read(shape, depth);
      if (found !== undefined) return chance(0.2) && shape.length === 1 ? call(pick(['l2norm', 'rmsnorm']), [found], shape) : found;
    }
    return sometimesBound(composed(shape, depth));
  };

  const composed = (shape: Shape, depth: number): Term => {
    const next = () => term(shape, depth - 1);
    const smaller = () => term(chance(0.5) ? [] : shape.filter(() => chance(0.5)), depth - 1);
    const other = pick(axes);
    switch (random.below(17)) {
      case 15: return call(pick(['min', 'max']), chance(0.5) ? [next(), smaller()] : [smaller(), next()], shape);
      case 16: return infix('/', next(), call('sqrt', [sizeOf(pick(axes))]), shape);
      case 0: return leaf(shape);
      case 1: return call(pick(SMOOTH), [next()]);
      case 2: return infix('+', next(), chance(0.3) ? smaller() : next(), shape);
      case 3: return infix('-', chance(0.3) ? smaller() : next(), next(), shape);
      case 4: return infix('*', smaller(), next(), shape);
      case 5: return infix('*', next(), smaller(), shape);
      case 6: return infix('/', next(), infix('+', number('1'), infix('^', chance(0.5) ? smaller() : next(), number('2')), shape), shape);
      case 7: return { kind: 'negated', args: [next()], shape };
      case 8: return infix('*', next(), next(), shape);
      case 9:
        if (shape.length === 0) break;
        return call(pick(['l2norm', 'rmsnorm', 'softmax']), [next()], shape, [pick(shape)]);
      case 10:
        if (shape.includes(other)) break;
        return call(pick(['sum', 'mean', 'max', 'min', 'sum']), [term([...shape, other], depth - 1)], shape, [other]);
      case 11:
        if (shape.includes(other) || shape.length > 1) break;
        return chance(0.5)
          ? infix('@', term([other], depth - 1), param([other, ...shape]), shape)
          : infix('@', param([...shape, other]), term([other], depth - 1), shape);
      case 12:
        if (shape.length !== 2) break;
        return call('outer', [term([shape[0]], depth - 1), term([shape[1]], depth - 1)], shape);
      case 13: return call('exp', [{ kind: 'negated', args: [call('abs', [next()])], shape }]);
      default:
        if (shape.includes(other) || shape.length !== 0) break;
        return infix('@', term([other], depth - 1), term([other], depth - 1), shape);
    }
    return infix('+', next(), next(), shape);
  };

  const column = (axis: string, depth: number): Term => (
    chance(0.25) ? call('l2norm', [leaf([axis])], [axis]) : sometimesBound(term([axis], depth))
  );
  /** An outer product in one of the ways that people write them. */
  const written = (row: Term, value: Term, shape: Shape): Term => {
    const scale = chance(0.4) ? gate([], 1) : undefined;
    const product = chance(0.9) ? call('outer', [row, value], shape) : call('outer', [value, row], shape);
    if (scale === undefined) return product;
    switch (random.below(4)) {
      case 0: return infix('*', scale, product, shape);
      case 1: return infix('*', product, scale, shape);
      case 2: return call('outer', [infix('*', scale, row, row.shape), value], shape);
      default: return call('outer', [row, infix('*', value, scale, value.shape)], shape);
    }
  };

  const matrixUpdate = (state: State): Term => {
    const { tensor } = state;
    const [row, col] = chance(0.8) ? tensor.shape : [...tensor.shape].reverse();
    const past = leafOf(tensor, true);
    const decayed = chance(0.2) ? past : infix('*', gate(pick([[], [row], [row], [col], []]), 2), past, tensor.shape);
    const swapped: Term = decayed.kind === 'infix' && chance(0.3) ? { ...decayed, args: [decayed.args[1], decayed.args[0]] } : decayed;
    let value: Term = swapped;
    const erases = pick([0, 0, 0, 1, 1, 2]);
    const mine = (made: Term): Term => {
      const bound = bind(made);
      if (bound.kind === 'leaf' && bound.name !== undefined) dirty.add(bound.name);
      return bound;
    };
    if (erases > 0 && value.kind !== 'leaf' && chance(0.6)) value = mine(value);
    for (let i = 0; i < erases; i++) {
      const k = bind(call('l2norm', [term([row], 1)], [row]));
      const seen = chance(0.8) ? value : past;
      const found = chance(0.9) ? infix('@', k, seen, [col]) : infix('@', seen, k, [col]);
      const strength = gate([], 1);
      if (chance(0.05)) {
        const number: Term = chance(0.5) ? call('sum', [found], [], [col]) : infix('@', found, call('l2norm', [leaf([col])], [col]), []);
        value = infix(
          '-', value, chance(0.5) ? infix('*', k, number, [row]) : call('outer', [infix('*', k, number, [row]), leaf([col])], tensor.shape),
          tensor.shape,
        );
        continue;
      }
      const change = chance(0.6)
        ? infix('*', strength, infix('-', term([col], 1), found, [col]), [col])
        : { kind: 'negated', args: [infix('*', found, strength, [col])], shape: [col] } as const;
      const more: Term = infix('+', value, call('outer', [k, change], tensor.shape), tensor.shape);
      value = chance(0.4) ? mine(more) : more;
    }
    const writes = erases > 0 ? random.below(2) : 1 + random.below(3);
    let last: Term | undefined;
    for (let i = 0; i < writes; i++) {
      const made: Term = last !== undefined && chance(0.25) ? last
        : chance(0.06) ? term(chance(0.5) ? [col] : tensor.shape, 2) : written(
          column(row, 1), sometimesBound(term([col], 2)), tensor.shape,
        );
      last = made;
      value = chance(0.75) ? infix(
        '+', value, made, tensor.shape,
      ) : chance(0.5) ? infix('+', made, value, tensor.shape) : infix('-', value, made, tensor.shape);
    }
    return value;
  };

  const elementUpdate = ({ tensor }: State): Term => {
    const past = leafOf(tensor, true);
    const shape = chance(0.7) ? tensor.shape : tensor.shape.filter(() => chance(0.5));
    const kept = chance(0.1)
      ? past
      : chance(0.5)
      ? infix('*', gate(shape, 2), past, tensor.shape)
      : infix('*', past, gate(shape, 2), tensor.shape);
    const write = term(tensor.shape, 2);
    if (tensor.shape.length === 1 && chance(0.15)) {
      // A vector that is read by its own update, as matrices are.
      const k = bind(call('l2norm', [leaf(tensor.shape)], tensor.shape, tensor.shape));
      const decayed = infix('*', gate(chance(0.5) ? [] : tensor.shape, 1), past, tensor.shape);
      const found = infix('@', k, chance(0.5) ? decayed : past, []);
      return infix(
        '+', decayed, infix('*', k, infix('*', gate([], 1), infix('-', term([], 1), found, []), []), tensor.shape), tensor.shape,
      );
    }
    return chance(0.7)
      ? infix('+', kept, write, tensor.shape)
      : chance(0.5)
      ? infix('+', write, kept, tensor.shape)
      : infix('-', kept, write, tensor.shape);
  };

  const bindOutput = (name: string, value: Term): string => {
    lines.push({ kind: 'assign', name, value });
    return name;
  };

  const count = pick([0, 1, 1, 1, 2, 2, 3]);
  for (let i = 0; i < count; i++) {
    const rank = axes.length > 2 && chance(0.08) ? 3 : axes.length > 1 ? pick([0, 1, 1, 2, 2, 2, 2]) : random.below(2);
    states.push({ tensor: {
      role: 'state', name: fresh(pick(['S', 'h', 'mem_'])), shape: shuffled(axes).slice(0, rank),
      ...(chance(0.1) && { range: pick(['0..2', '-1..0']) }),
    }, assigned: false });
  }
  // A short convolution: taps of an input, the tokens before in states of their own.
  for (let i = 0; i < 2 && chance(0.2); i++) {
    const shape = chance(0.3) ? [] : [pick(axes)];
    const taps = [input(shape)];
    if (taps[0].kind !== 'leaf' || taps[0].text.includes('[')) break;
    for (let j = 0; j < 1 + random.below(3); j++) {
      const last = taps[taps.length - 1];
      const past: Term = last.kind === 'leaf' ? { ...last, text: `${last.text}[t-1]` } : last;
      const tensor: Tensor = { role: 'state', name: fresh('back'), shape };
      states.push({ tensor, assigned: true });
      lines.push({ kind: 'assign', name: tensor.name, value: past });
      taps.push(leafOf(tensor));
    }
    const scaled = shuffled(taps).map((tap) => infix('*', param(chance(0.7) ? shape : []), tap, shape));
    const total = scaled.reduce((sum, tap) => infix(pick(['+', '-']), sum, tap, shape));
    bind(chance(0.5) ? call('silu', [total]) : total);
  }
  for (const state of states.filter((own) => !own.assigned)) {
    current = state;
    const odd = chance(0.03) ? call('tanh', [leafOf(state.tensor, true)]) : chance(0.03) ? term(state.tensor.shape, 2) : undefined;
    const value = odd ?? (state.tensor.shape.length === 2 && chance(0.9) ? matrixUpdate(state) : elementUpdate(state));
    lines.push({ kind: 'assign', name: state.tensor.name, value });
    state.assigned = true;
  }
  current = undefined;
  const outputs = Array.from({ length: pick([1, 1, 1, 2, 3]) }, (): { readonly name: string; readonly shape: Shape } => {
    const own = states.filter(({ tensor }) => tensor.shape.length > 0);
    if (own.length > 0 && chance(0.1)) return { name: pick(own).tensor.name, shape: pick(own).tensor.shape };
    const shape = chance(0.1) ? [] : chance(0.06) ? shuffled(axes).slice(0, 2) : [pick(axes)];
    if (chance(0.05)) return { name: bindOutput(fresh('y'), leaf(shape)), shape };
    const made: Term = states.length === 0 ? term(shape, 3) : read(shape, 3) ?? term(shape, 3);
    const value = chance(0.5) ? made : infix(pick(['+', '*']), made, term(shape, 2), shape);
    const name = fresh('y');
    return { name: bindOutput(name, value), shape };
  });
  const distinct = outputs.filter((output, i) => outputs.findIndex((first) => first.name === output.name) === i)
    .map((output) => states.find(({ tensor }) => tensor.name === output.name)?.tensor ?? output)
    .map(({ name, shape }) => ({ name, shape }));
  // Every axis that is used as a number is one of some tensor.
  for (const axis of axes) if (![
    ...inputs, ...params, ...states.map(({ tensor }) => tensor),
  ].some(({ shape }) => shape.includes(axis))) inputs.push({ role: 'input', name: fresh('x'), shape: [axis] });
  if (inputs.every((tensor) => tensor.group === true)) inputs.push({ role: 'input', name: fresh('x'), shape: [axes[0]] });
  return {
    name: `fuzz_${seed}`, sequential: chance(0.04), sizes, outputs: distinct, lines,
    tensors: [...shuffled(inputs), ...params, ...shuffled(states.map(({ tensor }) => tensor))],
  };
}
