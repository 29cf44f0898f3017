import { randomSource } from '../../src/support/random.js';
import type { Line, Program, Shape, Tensor, Term } from './program.js';

/** Odd ones, so that no block of a kernel is whole. */
const SIZES = [1, 2, 3, 5, 7, 5, 3];
const NAMES = [['K', 'V', 'M', 'R'], ['dk', 'dv', 'slots', 'rank'], ['N', 'P', 'Q', 'C']] as const;

const union = (a: Shape, b: Shape): Shape => [...new Set([...a, ...b])];
const without = (a: Shape, b: Shape): Shape => a.filter((axis) => !b.includes(axis));
const same = (a: Shape, b: Shape) => a.length === b.length && a.every((axis) => b.includes(axis));

const num = (text: string): Term => ({ kind: 'leaf', text, name: undefined, shape: [] });
const two = (sign: '+' | '-' | '*' | '/' | '^', x: Term, y: Term): Term => (
  { kind: 'infix', sign, args: [x, y], shape: union(x.shape, y.shape) }
);
const dot = (x: Term, y: Term): Term => {
  const shared = x.shape.filter((axis) => y.shape.includes(axis));
  return { kind: 'infix', sign: '@', args: [x, y], shape: without(union(x.shape, y.shape), shared) };
};
const fn = (name: string, ...args: Term[]): Term => (
  { kind: 'call', fn: name, axes: [], args, shape: args.map((arg) => arg.shape).reduce(union) }
);
const along = (name: string, axis: string, arg: Term): Term => ({ kind: 'call', fn: name, axes: [axis], args: [arg], shape: arg.shape });
const fold = (name: string, axes: Shape, arg: Term): Term => (
  { kind: 'call', fn: name, axes, args: [arg], shape: without(arg.shape, axes) }
);
const minus = (x: Term): Term => ({ kind: 'negated', args: [x], shape: x.shape });

interface Kept {
  readonly tensor: Tensor;
  readonly level: number;
  assigned: boolean;
}

/**
 * A scan as papers write them: several memories that read each other's past, shared axes, decays that are products, what is trained in
 * every place, outputs that add reads. Its author starts from the whole, where `generate` starts from types.
 */
export function paper(seed: number): Program {
  const random = randomSource(seed, 'paper');
  const chance = (p: number) => random.uniform() < p;
  const pick = <T>(list: readonly T[]): T => list[random.below(list.length)];
  const shuffled = <T>(list: readonly T[]): T[] => {
    const left = [...list];
    return list.map(() => left.splice(random.below(left.length), 1)[0]);
  };
  const axes = pick(NAMES).slice(0, pick([2, 2, 3, 3, 4]));
  const sizes = new Map(axes.map((axis) => [axis, pick(SIZES)]));
  const inputs: Tensor[] = [];
  const params: Tensor[] = [];
  const lines: Line[] = [];
  let counter = 0;
  const fresh = (stem: string) => `${stem}${++counter}`;
  const named = ({ name, shape }: { readonly name: string; readonly shape: Shape }, past = false): Term => (
    { kind: 'leaf', text: past ? `${name}[t-1]` : name, name, shape }
  );
  const input = (stem: string, shape: Shape, range?: string): Term => {
    const known = inputs.filter((own) => same(own.shape, shape) && own.range === range);
    const own = known.length > 0 && chance(0.35) ? pick(known) : {
      role: 'input' as const, name: fresh(stem), shape, ...(range !== undefined && { range }), ...(chance(0.2) && { group: true }),
    };
    if (!known.includes(own)) inputs.push(own);
    return named(own, chance(0.1));
  };
  const param = (stem: string, shape: Shape, range?: string): Term => {
    const own: Tensor = { role: 'param', name: fresh(stem), shape, ...(range !== undefined && { range }) };
    params.push(own);
    return named(own);
  };
  const bind = (stem: string, value: Term): Term => {
    if (value.kind === 'leaf') return value;
    const name = fresh(stem);
    lines.push({ kind: 'let', name, value });
    return named({ name, shape: value.shape });
  };
  const perhaps = (stem: string, value: Term): Term => (chance(0.4) ? bind(stem, value) : value);
  const other = (shape: Shape): string | undefined => {
    const left = without(axes, shape);
    return left.length > 0 ? pick(left) : undefined;
  };

  /** Made of what is trained alone. */
  const trained = (shape: Shape): Term => {
    const inner = other(shape);
    switch (random.below(7)) {
      case 0: return param('u', shape);
      case 1: return inner === undefined ? param('u', shape) : dot(param('u', [inner]), param('W', [inner, ...shape]));
      case 2: return shape.length === 1 ? along('softmax', shape[0], param('u', shape)) : fn('tanh', param('u', shape));
      case 3: return shape.length === 1 ? fn('l2norm', param('u', shape)) : two('*', param('u', shape), param('c', []));
      case 4: return two('+', param('u', shape), two('*', num('0.5'), param('u', shape)));
      case 5: return shape.length === 2 ? fn('outer', param('u', [shape[0]]), param('w', [shape[1]])) : fn('silu', param('u', shape));
      default: return inner === undefined ? param('u', shape) : fold(pick(['sum', 'mean', 'max']), [inner], param('W', [...shape, inner]));
    }
  };
  const states: Kept[] = [];
  /** What the update of the state of this level may read: memories below it. */
  let level = 0;
  const readable = () => states.filter((state) => state.level < level);
  const then = (state: Kept): Term => named(state.tensor, !state.assigned || chance(0.4));

  /** Some value with this shape read out of a memory. */
  const read = (shape: Shape, from = readable()): Term | undefined => {
    const fits = from.filter(({ tensor }) => shape.every((axis) => tensor.shape.includes(axis)));
    if (fits.length === 0) return undefined;
    const state = pick(fits);
    let value = then(state);
    if (chance(0.08) && state.assigned) value = two('-', named(state.tensor), named(state.tensor, true));
    for (const axis of shuffled(without(value.shape, shape))) {
      const q = vector(axis, false);
      value = value.shape.length === 1 && chance(0.2) ? fold('sum', [axis], two('*', q, value))
        : chance(0.06) ? fold(pick(['sum', 'mean']), [axis], value)
        : chance(0.5) ? dot(q, value) : dot(value, q);
      if (chance(0.3)) value = bind('r', value);
    }
    switch (random.below(9)) {
      case 0: return shape.length === 1 ? fn('rmsnorm', value) : value;
      case 1: return shape.length === 1 ? fn('l2norm', value) : value;
      case 2: return fn(pick(['tanh', 'silu', 'sigmoid']), value);
      case 3: return two('*', gate(chance(0.5) ? [] : shape), value);
      default: return value;
    }
  };

  /** A vector that a token brings, or that is trained; `reads`: perhaps from a memory. */
  const vector = (axis: string, reads = true): Term => {
    const shape = [axis];
    const inner = other(shape);
    const x = () => input(pick(['q', 'k', 'x']), shape);
    switch (random.below(reads ? 15 : 12)) {
      case 0: return fn('l2norm', x());
      case 1: return perhaps('mixed', two('+', x(), two('*', param('mu', pick([[], shape])), x())));
      case 2: return trained(shape);
      case 3: return inner === undefined ? x() : perhaps('low', dot(input('z', [inner]), param('W', shuffled([inner, axis]))));
      case 4: return two('*', trained(shape), x());
      case 5: return along('softmax', axis, x());
      case 6: return two('/', x(), fn('sqrt', { kind: 'leaf', text: axis, name: axis, shape: [] }));
      case 7: return fn('silu', two('+', x(), param('b', shape)));
      case 8: return two('*', gate([]), x());
      case 12: case 13: case 14: return read(shape) ?? x();
      default: return x();
    }
  };

  const gate = (shape: Shape): Term => {
    const z = () => input(pick(['f', 'z']), shape);
    const log = () => input('g', shape, '-inf..0');
    switch (random.below(19)) {
      case 0: return two('*', fn('sigmoid', z()), fn('exp', log()));
      case 1: return fn('exp', two('-', log(), fn('softplus', z())));
      case 2: return fn('sigmoid', trained(shape));
      case 3: return two('*', input('a', shape, '0..1'), fn('sigmoid', param('b', pick([[], shape]))));
      case 4: return fn('exp', minus(two('*', fn('exp', param('A', shape)), fn('softplus', two('+', input('dt', []), param('b', []))))));
      case 5: return two('-', num('1'), input('a', shape, '0..1'));
      case 6: return two('^', fn('sigmoid', z()), num(pick(['2', '0.5', '3'])));
      case 7: return fn('exp', two('*', num('2'), log()));
      case 8: return two('*', fn('exp', log()), fn('exp', input('g', [], '-inf..0')));
      case 9: return fn('sigmoid', shape.length === 0 ? fold('mean', [axes[0]], input('x', [axes[0]])) : vector(shape[0], false));
      case 10: return fn('exp', fn('log_sigmoid', two('+', z(), trained([]))));
      case 11: return fn('sqrt', input('a', shape, '0..1'));
      case 12:
        if (shape.length === 0) return num('0.97');
        return fn('exp', two('*', minus(fn('softplus', param('A', shape))), fn('sigmoid', input('dt', []))));
      case 13: return two('/', fn('sigmoid', z()), two('+', num('1'), fn('exp', param('b', []))));
      case 14: return fn('exp', minus(fn('abs', z())));
      case 15: return fn('clamp', z(), num('0.1'), num('0.95'));
      case 16: return fn('max', input('a', shape, '0..1'), num('0.2'));
      case 17: return fn('sigmoid', (chance(0.5) ? read(shape) : undefined) ?? z());
      default: return fn('exp', log());
    }
  };
  const strength = (): Term => (chance(0.3) ? fn('sqrt', two('-', num('1.0001'), two('^', input('a', [], '0..1'), num('2')))) : gate([]));

  const update = ({ tensor }: Kept): Term => {
    const { shape } = tensor;
    const past = named(tensor, true);
    const some = shape.length === 3 || chance(0.15) ? shape.filter(() => chance(0.6)) : shape.slice(0, 1);
    const decay = chance(0.35) ? [] : some.length > 0 && chance(0.5) ? some : shape.length > 0 ? [pick(shape)] : [];
    let value: Term = chance(0.12) ? past : chance(0.5) ? two('*', gate(decay), past) : two('*', past, gate(decay));
    if (shape.length === 2) {
      const [row, col] = shuffled(shape);
      for (let i = pick([0, 0, 0, 1, 1, 2]); i > 0; i--) {
        if (chance(0.6)) value = bind('H', value);
        const k = bind('k', fn('l2norm', vector(row)));
        const seen = chance(0.75) ? value : past;
        const error = chance(0.5) ? two('-', vector(col), dot(k, seen)) : minus(dot(seen, k));
        value = two('+', value, fn('outer', ...shuffled([k, two('*', strength(), error)])));
      }
      for (let i = pick([0, 1, 1, 2, 3]); i > 0; i--) {
        const wider = chance(0.1) ? readable().find((state) => same(state.tensor.shape, shape)) : undefined;
        const write = wider !== undefined ? then(wider) : chance(0.08) ? trained(shape) : fn('outer', vector(row), vector(col));
        const scaled = chance(0.4) ? two('*', strength(), write) : write;
        value = two(chance(0.8) ? '+' : '-', value, chance(0.2) ? two('*', gate([pick(shape)]), scaled) : scaled);
      }
      return value;
    }
    const write = shape.length === 0 ? pick([
      () => num('1'), () => dot(vector(axes[0]), vector(axes[0])), () => input('z', []), () => read([]) ?? trained([]), () => trained([]),
    ])() : shape.length === 1 ? vector(shape[0])
      : fn('outer', vector(shape[0]), chance(0.5) ? fn('outer', vector(shape[1]), vector(shape[2])) : input('B', shape.slice(1)));
    const more = chance(0.4) ? two('*', strength(), write) : write;
    return chance(0.7) ? two('+', value, more) : two('-', more, minus(value));
  };

  const wanted = pick([1, 2, 2, 3, 3, 4, 5]);
  for (let i = 0; i < wanted; i++) {
    const rank = axes.length > 2 && chance(0.07) ? 3 : pick([0, 1, 1, 2, 2, 2]);
    const range = chance(0.12) ? { range: pick(['0..2', '-1..0', '0..1']) } : {};
    const tensor: Tensor = { role: 'state', name: fresh(pick(['S', 'h', 'n', 'C'])), shape: shuffled(axes).slice(0, rank), ...range };
    states.push({ tensor, level: i, assigned: false });
  }
  // Updates come in any order: who is not assigned yet is read at the token before.
  for (const state of shuffled(states)) {
    level = state.level;
    lines.push({ kind: 'assign', name: state.tensor.name, value: update(state) });
    state.assigned = true;
  }
  level = wanted;
  const outputs: { readonly name: string; readonly shape: Shape }[] = [];
  for (const state of states) if (chance(0.12)) outputs.push({ name: state.tensor.name, shape: state.tensor.shape });
  for (let i = pick([1, 1, 2, 3]); i > 0; i--) {
    const shape: Shape = chance(0.12) ? [] : chance(0.06) && axes.length > 1 ? shuffled(axes).slice(0, 2) : [pick(axes)];
    let value = read(shape) ?? (shape.length === 1 ? vector(shape[0]) : trained(shape));
    for (let j = pick([0, 1, 1, 2, 3]); j > 0; j--) {
      const next = read(shape) ?? (shape.length === 1 ? vector(shape[0]) : trained(shape));
      value = chance(0.75) ? two(pick(['+', '-']), value, next) : two('*', value, next);
    }
    const scale = read([]);
    if (scale !== undefined && chance(0.25)) value = two('/', value, fn('max', fn('abs', scale), num('1')));
    if (chance(0.25)) value = two('*', value, fn('silu', shape.length === 1 ? vector(shape[0]) : trained(shape)));
    if (chance(0.15) && shape.length === 1) value = fn('rmsnorm', value);
    const name = fresh('o');
    lines.push({ kind: 'assign', name, value });
    outputs.push({ name, shape });
  }
  if (chance(0.2)) inputs.push({ role: 'input', name: fresh('_'), shape: chance(0.5) ? [] : [pick(axes)] });
  for (const axis of axes) if (![...inputs, ...params].some(({ shape }) => shape.includes(axis))) {
    inputs.push({ role: 'input', name: fresh('x'), shape: [axis] });
  }
  if (inputs.every((tensor) => tensor.group === true)) inputs.push({ role: 'input', name: fresh('x'), shape: [axes[0]] });
  return {
    name: `paper_${seed}`, sequential: chance(0.05), sizes, outputs, lines,
    tensors: [...shuffled(inputs), ...shuffled(params), ...shuffled(states.map(({ tensor }) => tensor))],
  };
}
