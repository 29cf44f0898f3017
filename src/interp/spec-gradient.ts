import { elements } from '../ir/common/axes.js';
import { finalName } from '../ir/spec/names.js';
import type { Spec } from '../ir/spec/spec.js';
import { execute } from './spec-instruction.js';
import {
  findTable, inputLane, loadHead, loadToken, moveStates, nameResults, newResults, newStateTables, newTable, openMachine, runSequence,
  sequencesOf, takeStates, tokensOf,
  type Results, type Sequence, type SpecCall, type SpecMachine, type Table, type Tensors,
} from './spec-machine.js';

/** Numbers that the states of one segment may take: 64 MB. */
const KEPT_STATES = 2 ** 23;

/** Cotangents of results, undefined = zero, and the gradients they make. */
interface Tables {
  readonly outputs: readonly (Table | undefined)[];
  readonly finals: readonly (Table | undefined)[];
  readonly inputs: readonly Table[];
  readonly params: readonly Table[];
  readonly initial: readonly Table[];
}

/**
 * Results of a Spec together with gradients, by reverse mode over its tokens. `tensors` as for `runSpec`; `cotangents` holds `d_NAME` for
 * some outputs and final states. Gives what `runSpec` gives, and `d_NAME` for every input (summed over the heads of a group), param (summed
 * over all tokens) and initial state.
 * `keptStates` bounds the memory for states, in numbers, as far as the square root of the length allows.
 */
export function gradSpec(
  spec: Spec, call: SpecCall, tensors: Tensors, cotangents: Tensors, keptStates = KEPT_STATES,
): Map<string, Float64Array> {
  const machine = openMachine(spec, call, tensors);
  const { program, memory } = machine;
  const results = newResults(machine);
  const tables = newTables(machine, cotangents);
  for (let head = 0; head < call.heads; head++) {
    loadHead(machine, head);
    memory.fill(0, ...program.headCotangents);
    sequencesOf(call).forEach((sequence, n) => differentiateSequence(machine, results, tables, n, sequence, head, keptStates));
    execute(program.pullHead, memory);
    for (const { of, value: { index }, cotangent } of program.params) {
      const { data, cell } = tables.params[of];
      for (let i = 0; i < cell; i++) data[head * cell + i] += memory[cotangent + index[i]];
    }
  }
  return nameGradients(spec, nameResults(spec, results), tables);
}

function newTables({ spec, call, inputs }: SpecMachine, cotangents: Tensors): Tables {
  const tokens = tokensOf(call);
  return {
    outputs: spec.outputs.map((output) => findTable(cotangents, `d_${output.name}`, tokens, call.heads, elements(output.axes, call.sizes))),
    finals: spec.states.map((state) => findTable(
      cotangents, `d_${finalName(spec, state.name)}`, call.lengths.length, call.heads, elements(state.axes, call.sizes),
    )),
    inputs: inputs.map(({ lanes, cell }) => newTable(tokens, lanes, cell)),
    params: spec.params.map((param) => newTable(1, call.heads, elements(param.axes, call.sizes))),
    initial: newStateTables(spec, call),
  };
}

function nameGradients(spec: Spec, named: Map<string, Float64Array>, tables: Tables): Map<string, Float64Array> {
  spec.inputs.forEach((input, i) => named.set(`d_${input.name}`, tables.inputs[i].data));
  spec.params.forEach((param, i) => named.set(`d_${param.name}`, tables.params[i].data));
  spec.states.forEach((state, i) => named.set(`d_${state.name}`, tables.initial[i].data));
  return named;
}

/**
 * Backpropagation needs the states before every token. They are kept for one segment of tokens at a time; from a checkpoint at its start a
 * segment is run again when its turn comes, so that the memory grows with the square root of the length.
 */
function differentiateSequence(
  machine: SpecMachine, results: Results, tables: Tables, n: number, sequence: Sequence, head: number, keptStates: number,
): void {
  const { program, memory } = machine;
  const [start, length] = sequence;
  const width = program.stateElements;
  const segment = Math.max(1, Math.ceil(Math.sqrt(length)), Math.min(length, Math.floor(keptStates / Math.max(1, width))));
  const checkpoints = new Float64Array(Math.ceil(length / segment) * width);
  const kept = new Float64Array(segment * width);
  const row = (rows: Float64Array, i: number): Float64Array => rows.subarray(i * width, (i + 1) * width);

  runSequence(machine, results, n, sequence, head, (step, states) => {
    if (step % segment === 0) row(checkpoints, step / segment).set(states);
    // Segments overwrite each other: the last one stays, and is wanted first.
    row(kept, step % segment).set(states);
  });

  const dStates = new Float64Array(width);
  moveStates(machine, tables.finals, 'read', n, head, dStates);
  for (let first = Math.floor((length - 1) / segment) * segment; first >= 0; first -= segment) {
    const end = Math.min(length, first + segment);
    if (end < length) rerun(machine, start + first, end - first, head, row(checkpoints, first / segment), (i) => row(kept, i));
    for (let step = end - 1; step >= first; step--) {
      loadToken(machine, start + step, head, row(kept, step - first));
      execute(program.perToken, memory);
      pullToken(machine, tables, start + step, head, dStates);
    }
  }
  moveStates(machine, tables.initial, 'write', n, head, dStates);
}

/** Fills the states before each of `count` tokens. */
function rerun(
  machine: SpecMachine, first: number, count: number, head: number, from: Float64Array, row: (i: number) => Float64Array,
): void {
  row(0).set(from);
  for (let i = 0; i + 1 < count; i++) {
    loadToken(machine, first + i, head, row(i));
    execute(machine.program.advance, machine.memory);
    takeStates(machine, row(i + 1));
  }
}

/** Backwards through one token, whose values are in memory. `dStates`: cotangents of the states after it, and then of those before it. */
function pullToken(machine: SpecMachine, tables: Tables, token: number, head: number, dStates: Float64Array): void {
  const { program, memory } = machine;
  memory.fill(0, ...program.tokenCotangents);
  for (const { of, value: { index }, cotangent } of program.outputs) {
    const table = tables.outputs[of];
    if (table === undefined) continue;
    const from = (token * table.lanes + head) * table.cell;
    for (let i = 0; i < index.length; i++) memory[cotangent + index[i]] += table.data[from + i];
  }
  for (const { of, value: { index }, cotangent } of program.next) {
    const from = program.stateOffsets[of];
    for (let i = 0; i < index.length; i++) memory[cotangent + index[i]] += dStates[from + i];
  }
  execute(program.pullToken, memory);
  dStates.fill(0);
  for (const { of, value: { index }, cotangent } of program.previous) {
    const to = program.stateOffsets[of];
    for (let i = 0; i < index.length; i++) dStates[to + i] += memory[cotangent + index[i]];
  }
  for (const { of, value: { index }, cotangent } of program.inputs) {
    const { data, lanes, cell } = tables.inputs[of];
    const to = (token * lanes + inputLane(machine, of, head)) * cell;
    for (let i = 0; i < cell; i++) data[to + i] += memory[cotangent + index[i]];
  }
}
