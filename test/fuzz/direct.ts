import { printProgram, type Program, type Term } from './program.js';

/** An element by element value: axes by name, row by row. */
interface Value {
  readonly axes: readonly string[];
  readonly data: Float64Array;
}

/** What a call brings. */
export interface DirectCall {
  readonly heads: number;
  readonly groups: number;
  readonly lengths: readonly number[];
}

const sigmoid = (x: number) => (x >= 0 ? 1 / (1 + Math.exp(-x)) : Math.exp(x) / (1 + Math.exp(x)));
const softplus = (x: number) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));

const POINTWISE: Readonly<Record<string, (...x: number[]) => number>> = {
  exp: Math.exp, sqrt: Math.sqrt, abs: Math.abs, tanh: Math.tanh, min: Math.min, max: Math.max,
  sigmoid, softplus, log_sigmoid: (x) => -softplus(-x), silu: (x) => x * sigmoid(x),
  clamp: (x, low, high) => Math.min(Math.max(x, low), high), outer: (x, y) => x * y,
};

/**
 * Outputs and last states of a program, read off the trees it was printed from: shares nothing with the compiler, not even its parser.
 * Knows the words that `paper` writes.
 */
export function direct(program: Program, call: DirectCall, given: ReadonlyMap<string, Float64Array>): Map<string, number[]> {
  const results = new Map<string, number[]>();
  const sizeOf = (axis: string): number => {
    const size = program.sizes.get(axis);
    if (size === undefined) throw new Error(`no size for ${axis}`);
    return size;
  };
  const cells = (axes: readonly string[]) => axes.reduce((n, axis) => n * sizeOf(axis), 1);
  /** Element `at` of the space of `axes`, as an index into a value that has some of them. */
  const place = (axes: readonly string[], value: Value): ((at: number) => number) => {
    const steps = axes.map((axis) => {
      const i = value.axes.indexOf(axis);
      return i < 0 ? 0 : cells(value.axes.slice(i + 1));
    });
    return (at) => {
      let left = at;
      let index = 0;
      for (let i = axes.length - 1; i >= 0; i--) {
        index += (left % sizeOf(axes[i])) * steps[i];
        left = Math.floor(left / sizeOf(axes[i]));
      }
      return index;
    };
  };
  const zip = (f: (...x: number[]) => number, values: readonly Value[]): Value => {
    const axes = [...new Set(values.flatMap((value) => value.axes))];
    const places = values.map((value) => place(axes, value));
    return { axes, data: Float64Array.from({ length: cells(axes) }, (_, at) => f(...values.map((value, i) => value.data[places[i](at)]))) };
  };
  const fold = (f: (x: readonly number[]) => number, folded: readonly string[], value: Value): Value => {
    const axes = value.axes.filter((axis) => !folded.includes(axis));
    const all = [...axes, ...folded];
    const at = place(all, value);
    const n = cells(folded);
    return { axes, data: Float64Array.from(
      { length: cells(axes) }, (_, i) => f(Array.from({ length: n }, (_x, j) => value.data[at(i * n + j)])),
    ) };
  };
  const sum = (x: readonly number[]) => x.reduce((total, one) => total + one, 0);
  const evaluate = (term: Term, names: ReadonlyMap<string, Value>): Value => {
    if (term.kind === 'leaf') {
      const known = names.get(term.text);
      if (known !== undefined) return known;
      const size = term.name === undefined ? Number(term.text) : sizeOf(term.text);
      if (Number.isNaN(size)) throw new Error(`${term.text} has no value`);
      return { axes: [], data: Float64Array.of(size) };
    }
    const args = term.args.map((arg) => evaluate(arg, names));
    if (term.kind === 'negated') return zip((x) => -x, args);
    if (term.kind === 'infix') {
      switch (term.sign) {
        case '+': return zip((x, y) => x + y, args);
        case '-': return zip((x, y) => x - y, args);
        case '*': return zip((x, y) => x * y, args);
        case '/': return zip((x, y) => x / y, args);
        case '^': return zip((x, y) => x ** y, args);
        case '@': return fold(sum, args[0].axes.filter((axis) => args[1].axes.includes(axis)), zip((x, y) => x * y, args));
      }
    }
    const along = term.axes.length > 0 ? term.axes : args[0].axes;
    switch (term.fn) {
      case 'sum': return fold(sum, along, args[0]);
      case 'mean': return fold((x) => sum(x) / x.length, along, args[0]);
      case 'l2norm': return zip((x, s) => x / Math.sqrt(s + 1e-6), [args[0], fold((x) => sum(x.map((y) => y * y)), along, args[0])]);
      case 'rmsnorm': return zip(
        (x, s) => x / Math.sqrt(s + 1e-5), [args[0], fold((x) => sum(x.map((y) => y * y)) / x.length, along, args[0])],
      );
      case 'softmax': {
        const most = fold((x) => Math.max(...x), along, args[0]);
        const powers = zip((x, m) => Math.exp(x - m), [args[0], most]);
        return zip((x, s) => x / s, [powers, fold(sum, along, powers)]);
      }
      case 'max': if (term.axes.length > 0) return fold((x) => Math.max(...x), along, args[0]);
    }
    const f = POINTWISE[term.fn];
    if (f === undefined) throw new Error(`${term.fn} is unknown in\n${printProgram(program)}`);
    return zip(f, args);
  };

  const push = (name: string, value: Value, order: readonly string[]): void => {
    const at = place(order, value);
    const list = results.get(name) ?? [];
    for (let i = 0; i < value.data.length; i++) list.push(value.data[at(i)]);
    results.set(name, list);
  };
  const states = program.tensors.filter((tensor) => tensor.role === 'state');
  const inputs = program.tensors.filter((tensor) => tensor.role === 'input');
  let token = 0;
  for (const [sequence, length] of call.lengths.entries()) {
    // What an input was is kept for every head, even if a group shares it.
    const memory = Array.from({ length: call.heads }, (_, head) => new Map<string, Value>([
      ...states, ...inputs,
    ].map(({ name, shape, role }) => {
      const n = cells(shape);
      const lane = sequence * call.heads + head;
      const start = given.get(role === 'state' ? name : `${name}_prev`)?.slice(lane * n, lane * n + n) ?? new Float64Array(n);
      return [`${name}[t-1]`, { axes: shape, data: start }] as const;
    })));
    for (let t = 0; t < length; t++, token++) {
      for (let head = 0; head < call.heads; head++) {
        const names = new Map<string, Value>(memory[head]);
        for (const { name, shape, group, role } of program.tensors) {
          if (role === 'state') continue;
          const lanes = group === true ? call.groups : call.heads;
          const lane = group === true ? Math.floor(head / (call.heads / call.groups)) : head;
          const at = ((role === 'param' ? 0 : token) * lanes + lane) * cells(shape);
          const data = given.get(name);
          if (data === undefined) throw new Error(`${name} is not given`);
          names.set(name, { axes: shape, data: data.slice(at, at + cells(shape)) });
        }
        for (const line of program.lines) names.set(line.name, evaluate(line.value, names));
        for (const { name, shape } of program.outputs) {
          const value = names.get(name);
          if (value !== undefined) push(name, value, shape);
        }
        for (const { name } of [...states, ...inputs]) {
          const value = names.get(name);
          if (value !== undefined) memory[head].set(`${name}[t-1]`, value);
        }
      }
    }
    for (let head = 0; head < call.heads; head++) for (const { name, shape } of states) {
      const value = memory[head].get(`${name}[t-1]`);
      if (value !== undefined) push(`final ${name}`, value, shape);
    }
  }
  return results;
}
