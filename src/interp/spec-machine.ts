import { elements, type Axis, type AxisSizes } from '../ir/common/axes.js';
import { finalName } from '../ir/spec/names.js';
import type { Spec } from '../ir/spec/spec.js';
import { execute } from './spec-instruction.js';
import { compileSpec, type Port, type SpecProgram } from './spec-program.js';

/** What a call brings besides tensors. */
export interface SpecCall {
  readonly sizes: AxisSizes;
  readonly heads: number;
  /** `per group` inputs have one value for heads / groups heads in a row. */
  readonly groups: number;
  /** Tokens of each sequence. They lie one behind the other, so a batch [B, T] is B times T. */
  readonly lengths: readonly number[];
  /** Where these heads are some in a row of more: the number of the first, and of all. */
  readonly within?: { readonly first: number; readonly heads: number };
}

/** Row-major float64 values by the names of the file contract (README: files in, files out). */
export type Tensors = ReadonlyMap<string, Float64Array>;

/** A tensor [outer, lanes, ...cell]: outer counts tokens or sequences, lanes heads or groups. */
export interface Table {
  readonly data: Float64Array;
  readonly lanes: number;
  readonly cell: number;
}

/** A compiled Spec with its memory and the tensors that it reads. */
export interface SpecMachine {
  readonly spec: Spec;
  readonly call: SpecCall;
  readonly program: SpecProgram;
  readonly memory: Float64Array;
  readonly inputs: readonly Table[];
  readonly params: readonly Table[];
  /** By state; undefined starts at zero. */
  readonly initial: readonly (Table | undefined)[];
}

/** [first token, number of tokens] */
export type Sequence = readonly [start: number, length: number];

/** Throws if a tensor is missing or has another size than the call says: checked before, where a user's file is read. */
export function openMachine(spec: Spec, call: SpecCall, tensors: Tensors): SpecMachine {
  const program = compileSpec(spec, call.sizes, call.within?.heads ?? call.heads);
  const memory = new Float64Array(program.cells);
  for (const { at, value } of program.constants) memory[at] = value;
  const tokens = tokensOf(call);
  const required = (name: string, outer: number, lanes: number, axes: readonly Axis[]): Table => {
    const table = findTable(tensors, name, outer, lanes, elements(axes, call.sizes));
    if (table === undefined) throw new Error(`${spec.name}: tensor ${name} is missing`);
    return table;
  };
  return {
    spec, call, program, memory,
    inputs: spec.inputs.map((input) => required(input.name, tokens, input.scope === 'group' ? call.groups : call.heads, input.axes)),
    params: spec.params.map((param) => required(param.name, 1, call.heads, param.axes)),
    initial: spec.states.map((state) => findTable(tensors, state.name, call.lengths.length, call.heads, elements(state.axes, call.sizes))),
  };
}

export function tokensOf(call: SpecCall): number {
  return call.lengths.reduce((sum, length) => sum + length, 0);
}

export function sequencesOf(call: SpecCall): readonly Sequence[] {
  let start = 0;
  return call.lengths.map((length): Sequence => {
    start += length;
    return [start - length, length];
  });
}

export function findTable(tensors: Tensors, name: string, outer: number, lanes: number, cell: number): Table | undefined {
  const data = tensors.get(name);
  if (
    data !== undefined && data.length !== outer * lanes * cell
  ) throw new Error(`tensor ${name} has ${data.length} elements, not ${outer} x ${lanes} x ${cell}`);
  return data && { data, lanes, cell };
}

export function newTable(outer: number, lanes: number, cell: number): Table {
  return { data: new Float64Array(outer * lanes * cell), lanes, cell };
}

/** The lane of an input that a head reads. */
export function inputLane({ spec, call }: SpecMachine, input: number, head: number): number {
  return spec.inputs[input].scope === 'group' ? Math.floor(head / (call.heads / call.groups)) : head;
}

/** Computes what the tokens of a head share. */
export function loadHead({ program, memory, params, call }: SpecMachine, head: number): void {
  for (const at of program.headCells) memory[at] = head + (call.within?.first ?? 0);
  for (const port of program.params) load(memory, port, params[port.of], head);
  execute(program.perHead, memory);
}

/** Puts in a token's inputs and the states before it. */
export function loadToken(machine: SpecMachine, token: number, head: number, states: Float64Array): void {
  const { program, memory, inputs } = machine;
  for (const port of program.inputs) load(memory, port, inputs[port.of], token * inputs[port.of].lanes + inputLane(machine, port.of, head));
  for (const { of, value: { at, index } } of program.previous) {
    const from = program.stateOffsets[of];
    for (let i = 0; i < index.length; i++) memory[at + index[i]] = states[from + i];
  }
}

/** Takes out the states after a token. */
export function takeStates({ program, memory }: SpecMachine, states: Float64Array): void {
  for (const { of, value: { at, index } } of program.next) {
    const to = program.stateOffsets[of];
    for (let i = 0; i < index.length; i++) states[to + i] = memory[at + index[i]];
  }
}

function load(memory: Float64Array, { value: { at, index } }: Port, { data, cell }: Table, row: number): void {
  for (let i = 0; i < cell; i++) memory[at + index[i]] = data[row * cell + i];
}

/** Copies the states of one sequence and head from tables, or to them. States without a table start at zero and are dropped. */
export function moveStates(
  machine: SpecMachine, tables: readonly (Table | undefined)[], direction: 'read' | 'write', sequence: number, head: number,
  states: Float64Array,
): void {
  machine.program.stateOffsets.forEach((offset, state) => {
    const table = tables[state];
    if (table === undefined) {
      if (direction === 'read') states.fill(0, offset, offset + elements(machine.spec.states[state].axes, machine.call.sizes));
      return;
    }
    const start = (sequence * table.lanes + head) * table.cell;
    if (direction === 'read') states.set(table.data.subarray(start, start + table.cell), offset);
    else table.data.set(states.subarray(offset, offset + table.cell), start);
  });
}

/** Outputs and final states. */
export interface Results {
  readonly outputs: readonly Table[];
  readonly finals: readonly Table[];
}

export function newResults({ spec, call }: SpecMachine): Results {
  return {
    outputs: spec.outputs.map((output) => newTable(tokensOf(call), call.heads, elements(output.axes, call.sizes))),
    finals: newStateTables(spec, call),
  };
}

export function newStateTables(spec: Spec, call: SpecCall): readonly Table[] {
  return spec.states.map((state) => newTable(call.lengths.length, call.heads, elements(state.axes, call.sizes)));
}

export function nameResults(spec: Spec, { outputs, finals }: Results): Map<string, Float64Array> {
  const named = new Map(spec.outputs.map((output, i) => [output.name, outputs[i].data]));
  spec.states.forEach((state, i) => {
    const table = finals[i];
    if (table !== undefined) named.set(finalName(spec, state.name), table.data);
  });
  return named;
}

/** Runs a sequence of one head to its end; `visit` sees the states before every token. */
export function runSequence(
  machine: SpecMachine, results: Results, sequence: number, [start, length]: Sequence, head: number, visit: (
    step: number, states: Float64Array,
  ) => void,
): void {
  const { program, memory } = machine;
  const states = new Float64Array(program.stateElements);
  moveStates(machine, machine.initial, 'read', sequence, head, states);
  for (let step = 0; step < length; step++) {
    visit(step, states);
    loadToken(machine, start + step, head, states);
    execute(program.perToken, memory);
    for (const { of, value: { at, index } } of program.outputs) {
      const { data, lanes, cell } = results.outputs[of];
      const row = (start + step) * lanes + head;
      for (let i = 0; i < cell; i++) data[row * cell + i] = memory[at + index[i]];
    }
    takeStates(machine, states);
  }
  moveStates(machine, results.finals, 'write', sequence, head, states);
}
