import type { Axis } from '../../../src/ir/common/axes.js';
import type { MathName } from '../../../src/ir/common/dag.js';
import { ANY } from '../../../src/ir/common/range.js';
import { NO_SPAN } from '../../../src/ir/common/span.js';
import { specBuilder } from '../../../src/ir/spec/build.js';
import type { Spec } from '../../../src/ir/spec/spec.js';
import { verifySpec } from '../../../src/ir/spec/verify.js';

type Axes = readonly Axis[];

export interface Shapes {
  readonly axes: Axes;
  readonly inputs: Readonly<Record<string, Axes>>;
  readonly groupInputs?: readonly string[];
  readonly params?: Readonly<Record<string, Axes>>;
  readonly states: Readonly<Record<string, Axes>>;
  readonly hidden?: readonly string[];
  readonly outputs: Readonly<Record<string, Axes>>;
}

/** Words to write a step with. `get` names an input, param or, as the value before this step, a state. */
export interface Words {
  get(name: string): number;
  num(value: number): number;
  size(axis: Axis): number;
  head(): number;
  heads(): number;
  map(fn: MathName, ...args: number[]): number;
  reduce(op: 'sum' | 'max' | 'min', axis: Axis, arg: number): number;
  mul(...args: number[]): number;
  add(...args: number[]): number;
  dot(axis: Axis, a: number, b: number): number;
}

/** A Spec written by hand: `step` gives the node of every new state and of every output, by name. */
export function makeSpec(name: string, shapes: Shapes, step: (w: Words) => Readonly<Record<string, number>>): Spec {
  const b = specBuilder();
  const inputs = Object.entries(shapes.inputs);
  const params = Object.entries(shapes.params ?? {});
  const states = Object.entries(shapes.states);
  const at = (list: readonly (readonly [string, Axes])[], wanted: string) => list.findIndex(([found]) => found === wanted);
  const words: Words = {
    get(wanted) {
      const [input, param, state] = [at(inputs, wanted), at(params, wanted), at(states, wanted)];
      if (input >= 0) return b.input(input, inputs[input][1], NO_SPAN);
      if (param >= 0) return b.param(param, params[param][1], NO_SPAN);
      if (state >= 0) return b.prev(state, states[state][1], NO_SPAN);
      throw new Error(`no ${wanted}`);
    },
    num: (value) => b.literal(value, NO_SPAN),
    size: (axis) => b.size(axis, NO_SPAN),
    head: () => b.head(NO_SPAN),
    heads: () => b.heads(NO_SPAN),
    map: (fn, ...args) => b.map(fn, args, NO_SPAN),
    reduce: (op, axis, arg) => b.reduce(op, axis, arg, NO_SPAN),
    mul: (...args) => args.reduce((x, y) => b.map('mul', [x, y], NO_SPAN)),
    add: (...args) => args.reduce((x, y) => b.map('add', [x, y], NO_SPAN)),
    dot: (axis, x, y) => b.reduce('sum', axis, b.map('mul', [x, y], NO_SPAN), NO_SPAN),
  };
  const made = step(words);
  const spec: Spec = {
    name, doc: '', mode: 'chunked', origin: NO_SPAN,
    axes: shapes.axes.map((axis) => ({ name: axis, defaultSize: undefined })),
    inputs: inputs.map(([input, axes]) => ({
      name: input, axes, scope: shapes.groupInputs?.includes(input) === true ? 'group' : 'head', rounded: false, range: ANY,
      origin: NO_SPAN,
    })),
    params: params.map(([param, axes]) => ({ name: param, axes, range: ANY, origin: NO_SPAN })),
    states: states.map(([state, axes]) => ({
      name: state, axes, next: made[state], range: ANY, hidden: shapes.hidden?.includes(state) === true, origin: NO_SPAN,
    })),
    outputs: Object.entries(shapes.outputs).map(([output, axes]) => ({ name: output, axes, value: made[output], origin: NO_SPAN })),
    nodes: b.nodes,
  };
  const faults = verifySpec(spec);
  if (faults.length > 0) throw new Error(faults.join('\n'));
  return spec;
}
