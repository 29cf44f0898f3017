import type { Axis } from '../../ir/common/axes.js';
import {
  gateAxes, stageOperands, stageResults, type Gate, type MatrixStage, type NodeId, type Reader, type ScanNode, type ScanProgram,
  type TokenProgram,
} from '../../ir/scan/scan.js';
import type { Spec } from '../../ir/spec/spec.js';
import { numberValue, openBlock, tensorValue, type Block, type Value } from './block.js';
import type { Member, Signature } from './signature.js';

/** What the reference of a scan is printed from. */
export interface ReferencePrograms {
  readonly token: TokenProgram;
  /** Forward and backward by chunks, or the backward of one token where a scan runs step by step. */
  readonly chunked: { readonly forward: ScanProgram; readonly backward: ScanProgram } | undefined;
  readonly tokenBackward: TokenProgram;
}

/** Tokens that chunks have: few where decays of channels are written out for every pair of tokens. */
const CHUNK = { plain: 64, channels: 16 };

/** The functions of one scan, and their names as `Reference` (templates/torch/_drive.py) takes them. */
interface PrintedReference {
  readonly lines: readonly string[];
  readonly token: string;
  readonly chunk: string;
  readonly backward: string;
  readonly size: number;
}

export function printReference(spec: Spec, signature: Signature, programs: ReferencePrograms): PrintedReference {
  const name = signature.module;
  const names = namesOf(signature);
  const { chunked } = programs;
  const lines = tokenFunction(spec, signature, names, programs.token, `_${name}_token`);
  if (chunked === undefined) {
    const backward = tokenBackward(spec, signature, names, programs.tokenBackward, `_${name}_token_backward`);
    return {
      lines: [...lines, '', '', ...backward], token: `_${name}_token`, chunk: `_${name}_token`, backward: `_${name}_token_backward`,
      size: 0,
    };
  }
  const forward = chunkFunction(spec, signature, names, chunked.forward, `_${name}_chunk`);
  const backward = chunkBackward(spec, signature, names, chunked.backward, `_${name}_chunk_backward`);
  const channels = chunked.forward.stages.some((stage) => stage.kind === 'matrix' && gateAxes(stage.gate).length > 0);
  return {
    lines: [...lines, '', '', ...forward, '', '', ...backward],
    token: `_${name}_token`, chunk: `_${name}_chunk`, backward: `_${name}_chunk_backward`,
    size: channels ? CHUNK.channels : CHUNK.plain,
  };
}

/** Arguments of printed functions. */
export interface Names {
  readonly inputs: readonly string[];
  readonly params: readonly string[];
  readonly states: readonly string[];
  readonly outputCotangents: readonly string[];
  readonly stateCotangents: readonly string[];
  readonly all: readonly string[];
}

export function namesOf(signature: Signature): Names {
  const own = (members: readonly Member[]) => members.map((member) => member.python);
  const [inputs, params, states] = [own(signature.inputs), own(signature.params), own(signature.states)];
  const taken = new Set([...inputs, ...params, ...states, ...own(signature.outputs)]);
  const cotangent = (name: string): string => {
    let made = `d_${name}`;
    while (taken.has(made)) made = `d${made}`;
    taken.add(made);
    return made;
  };
  const outputCotangents = own(signature.outputs).map(cotangent);
  const stateCotangents = states.map(cotangent);
  return { inputs, params, states, outputCotangents, stateCotangents, all: [...taken, 'heads', 'tokens', 'device'] };
}

/** Where leaves of a program are found. `result`: what stages gave, whose axes may stand in another order than the node has them. */
function leaves(spec: Spec, names: Names, result: (node: Extract<ScanNode, { kind: 'result' }>) => Value) {
  const like = [...names.inputs][0];
  const heads = [
    ...spec.inputs.flatMap((x, i) => (x.scope === 'head' ? [[names.inputs[i], x.axes.length] as const] : [])),
    ...spec.params.map((x, i) => [names.params[i], x.axes.length] as const),
    ...spec.inputs.map((x, i) => [names.inputs[i], x.axes.length] as const),
  ][0];
  const count = `${heads[0]}.shape[${-1 - heads[1]}]`;
  return (node: ScanNode): Value => {
    switch (node.kind) {
      case 'input': return tensorValue(names.inputs[node.input], node.axes);
      case 'param': return tensorValue(names.params[node.param], node.axes);
      case 'cotangent': return tensorValue(names.outputCotangents[node.output], node.axes);
      case 'result': return result(node);
      case 'head': return tensorValue(`torch.arange(${count}, dtype=${like}.dtype, device=${like}.device)`, []);
      case 'heads': return numberValue(count);
      case 'past': case 'ahead': case 'last': throw new Error(`${node.kind}: a reference carries every state`);
      case 'literal': case 'size': case 'map': case 'reduce': throw new Error(`${node.kind} is no leaf`);
    }
  };
}

/** The size of an axis, from a tensor that has it. */
function sizes(spec: Spec, names: Names): (axis: Axis) => string {
  const all = [
    ...spec.inputs.map((x, i) => [names.inputs[i], x.axes] as const), ...spec.params.map((x, i) => [names.params[i], x.axes] as const),
    ...spec.states.map((x, i) => [names.states[i], x.axes] as const),
  ];
  return (axis) => {
    const found = all.find(([, axes]) => axes.includes(axis));
    if (found === undefined) throw new Error(`no tensor has the axis ${axis}`);
    return `${found[0]}.shape[${found[1].indexOf(axis) - found[1].length}]`;
  };
}

const tuple = (items: readonly string[]): string => `(${items.map((item) => `${item},`).join(' ')})`;
const indent = (lines: readonly string[]): readonly string[] => lines.map((line) => `    ${line}`);

function define(name: string, args: readonly string[], doc: string, body: readonly string[]): string[] {
  return [`def ${name}(${args.join(', ')}):`, ...indent([`"""${doc}"""`, ...body])];
}

function tokenFunction(spec: Spec, signature: Signature, names: Names, program: TokenProgram, name: string): string[] {
  const block = openBlock({
    nodes: program.nodes, roots: [...rootsOf(program), ...program.next], taken: names.all,
    leaf: leaves(spec, names, (node) => tensorValue(names.states[node.stage], spec.states[node.stage].axes)), sizeOf: sizes(spec, names),
  });
  const outputs = outputValues(block, program.roots, spec);
  const next = program.next.map((id, s) => wide(block, id, spec.states[s].axes, names.states[s]));
  return define(name, [
    ...names.inputs, ...names.params, ...names.states,
  ], `One token of every sequence: ${shapes(signature, ['N', 'H'])}.`, [
    ...block.lines, `return ${tuple(outputs)}, ${tuple(next)}`,
  ]);
}

function tokenBackward(spec: Spec, signature: Signature, names: Names, program: TokenProgram, name: string): string[] {
  const count = spec.states.length;
  const pulled = program.pulled.filter((id) => id !== undefined);
  const leaf = leaves(spec, names, ({ stage }) => tensorValue(
    stage < count ? names.states[stage] : names.stateCotangents[stage - count], spec.states[stage % count].axes,
  ));
  const block = openBlock({
    nodes: program.nodes, roots: [...rootsOf(program), ...pulled], leaf, sizeOf: sizes(spec, names), taken: names.all,
  });
  const [inputs, params] = gradientValues(block, program.roots, spec);
  const states = program.pulled.map((id, s) => {
    const state = names.states[s];
    return id === undefined ? `torch.zeros_like(${state})` : wide(block, id, spec.states[s].axes, state);
  });
  return define(name, backwardArguments(names), 'Cotangents of one token, from those of what it gave.', [
    ...block.lines, `return ${tuple(inputs)}, ${tuple(params)}, ${tuple(states)}`,
  ]);
}

/** A state with all its axes at full length. */
function wide(block: Block, id: NodeId, axes: readonly Axis[], state: string): string {
  return `${block.whole(id, axes)}.expand_as(${state})`;
}

const backwardArguments = (names: Names) => [
  ...names.inputs, ...names.params, ...names.states, ...names.outputCotangents, ...names.stateCotangents
];

function rootsOf({ roots }: Pick<ScanProgram, 'roots'>): readonly NodeId[] {
  return roots.flatMap((root) => (root.value === undefined ? [] : [root.value]));
}

function outputValues(block: Block, roots: ScanProgram['roots'], spec: Spec): readonly string[] {
  return spec.outputs.map((output, index) => {
    const root = roots.find((candidate) => candidate.kind === 'output' && candidate.output === index);
    if (root?.value === undefined) throw new Error(`output ${output.name} has no value`);
    return block.along(root.value, output.axes);
  });
}

function gradientValues(block: Block, roots: ScanProgram['roots'], spec: Spec): readonly [readonly string[], readonly string[]] {
  const value = (id: NodeId | undefined, axes: readonly Axis[]): string => (id === undefined ? 'None' : block.along(id, axes));
  return [
    spec.inputs.map((x, i) => value(roots.find((root) => root.kind === 'input-gradient' && root.input === i)?.value, x.axes)),
    spec.params.map((x, i) => value(roots.find((root) => root.kind === 'param-gradient' && root.param === i)?.value, x.axes)),
  ];
}

function shapes(signature: Signature, lead: readonly string[]): string {
  return signature.inputs.map((x) => `${x.python} [${[...lead, ...x.axes].join(', ')}]`).join(', ');
}

/** The number of tokens, in the middle of what an input has. */
function tokensOf(spec: Spec, names: Names): string {
  return `tokens = ${names.inputs[0]}.shape[${-2 - spec.inputs[0].axes.length}]`;
}

function chunkFunction(spec: Spec, signature: Signature, names: Names, program: ScanProgram, name: string): string[] {
  const printer = stagePrinter(spec, names, program, [...rootsOf(program)], 'forward');
  const { block } = printer;
  block.write(tokensOf(spec, names));
  // Stages whose results nobody reads move their states all the same.
  program.stages.forEach((_, index) => printer.stage(index));
  const outputs = outputValues(block, program.roots, spec);
  const states = spec.states.map((_, s) => printer.lasts.get(s) ?? names.states[s]);
  return define(name, [
    ...names.inputs, ...names.params, ...names.states,
  ], `The tokens of a chunk: ${shapes(signature, ['N', 'C', 'H'])}.`, [
    ...block.lines, `return ${tuple(outputs)}, ${tuple(states)}`,
  ]);
}

function chunkBackward(spec: Spec, signature: Signature, names: Names, program: ScanProgram, name: string): string[] {
  const printer = stagePrinter(spec, names, program, [...rootsOf(program)], 'backward');
  const { block } = printer;
  block.write(tokensOf(spec, names));
  program.stages.forEach((stage, index) => {
    if (stage.kind === 'matrix-adjoint' || stage.kind === 'element-adjoint') printer.stage(index);
  });
  const [inputs, params] = gradientValues(block, program.roots, spec);
  const states = spec.states.map((_, s) => printer.firsts.get(s)?.join(' + ') ?? `torch.zeros_like(${names.states[s]})`);
  return define(name, backwardArguments(names), 'Cotangents of what a chunk takes, from those of what it gives.', [
    ...block.lines, `return ${tuple(inputs)}, ${tuple(params)}, ${tuple(states)}`,
  ]);
}

export interface StagePrinter {
  readonly block: Block;
  stage(index: number): void;
  /** A gate and the writes of a stage as templates/torch/_algebra.py takes them. */
  gate(stage: MatrixStage): string;
  writes(stage: MatrixStage): string;
  /** By state: its value after the chunk; the cotangents of its value before. */
  readonly lasts: ReadonlyMap<number, string>;
  readonly firsts: ReadonlyMap<number, readonly string[]>;
}

/** Prints stages as they are asked for: by their results, or because they move a state. */
export function stagePrinter(
  spec: Spec, names: Names, program: ScanProgram, roots: readonly NodeId[], part: 'forward' | 'backward',
): StagePrinter {
  const results = new Map<number, readonly string[]>();
  const lasts = new Map<number, string>();
  const firsts = new Map<number, string[]>();
  const operands = program.stages.flatMap(stageOperands);
  const leaf = leaves(spec, names, ({ stage, slot }) => {
    printStage(stage);
    const name = results.get(stage)?.[slot];
    if (name === undefined) throw new Error(`stage ${stage} has no result ${slot}`);
    return tensorValue(name, stageResults(program.stages[stage])[slot]);
  });
  const block = openBlock({ nodes: program.nodes, roots: [...roots, ...operands], leaf, sizeOf: sizes(spec, names), taken: names.all });

  const reader = (stage: MatrixStage, { row, before, sees }: Reader): string => (
    `Read(${block.along(row, [stage.rowAxis])}, ${tuple(sees.map((seen) => (seen ? 'True' : 'False')))}${before ? ', before=True' : ''})`
  );
  const byFactor = ({ factor }: Exclude<Gate, { kind: 'none' }>) => (factor === undefined ? '' : ', factor=True');
  const gateOf = (stage: MatrixStage): string => {
    const { gate } = stage;
    switch (gate.kind) {
      case 'none': return 'None';
      case 'scalar': return `Gate(${block.along(gate.log, [])}${byFactor(gate)})`;
      case 'channel': {
        const axis = gate.axis === stage.rowAxis ? 0 : 1 + stage.valueAxes.indexOf(gate.axis);
        return `Gate(${block.along(gate.log, [gate.axis])}, axis=${axis}${byFactor(gate)})`;
      }
    }
  };
  const writesOf = (stage: MatrixStage, values: boolean): string => `[${stage.sources.map(({ col, value, erase }) => `Write(${[
    block.along(col, [stage.rowAxis]),
    ...(value === undefined || !values ? [] : [block.along(value, stage.valueAxes)]),
    ...(erase === undefined ? [] : [`erase=${reader(stage, erase)}`]),
  ].join(', ')})`).join(', ')}]`;
  const matrixArguments = (stage: MatrixStage): readonly string[] => {
    const reads = stage.reads.map((read) => reader(stage, read));
    return ['tokens', gateOf(stage), writesOf(stage, true), `[${reads.join(', ')}]`];
  };
  const order = (stage: MatrixStage): readonly Axis[] => [stage.rowAxis, ...stage.valueAxes];
  /** A state of the formula as a stage wants it, rows first, and back. */
  const inOrder = (stage: MatrixStage, name: string): string => reordered(name, spec.states[stage.state].axes, order(stage));
  const back = (stage: MatrixStage, name: string): string => reordered(name, order(stage), spec.states[stage.state].axes);
  const call = (targets: string, callee: string, args: readonly string[]): void => {
    const line = `${targets} = ${callee}(${args.join(', ')})`;
    if (line.length <= 130) block.write(line);
    else for (const text of [`${targets} = ${callee}(`, ...args.map((arg) => `    ${arg},`), ')']) block.write(text);
  };

  function printStage(index: number): void {
    if (results.has(index)) return;
    const stage = program.stages[index];
    const slots = stageResults(stage).map((_, slot) => block.fresh(`r${index}_${slot}`));
    switch (stage.kind) {
      case 'matrix': {
        const args = matrixArguments(stage);
        const last = block.fresh(`${names.states[stage.state]}_after`);
        call(`${listOf(slots)}, ${last}`, 'outer_walk', [inOrder(stage, names.states[stage.state]), ...args]);
        if (!lasts.has(stage.state)) lasts.set(stage.state, back(stage, last));
        break;
      }
      case 'element': {
        const last = block.fresh(`${names.states[stage.state]}_after`);
        const axes = stage.axes;
        const args = [elementState(stage.state, axes), optional(stage.decay, axes), optional(stage.write, axes), 'tokens'];
        call(slots.join(', '), 'prefix', args);
        if (part === 'forward') {
          block.write(`${last} = ${slots[0]}[:, -1]`);
          lasts.set(stage.state, reordered(last, axes, spec.states[stage.state].axes));
        }
        break;
      }
      case 'matrix-adjoint': {
        const { of } = stage;
        const args = matrixArguments(of);
        const first = block.fresh(`${names.stateCotangents[of.state]}_before`);
        // Other walks over the state give no last one.
        const last = of.walk === 0 ? inOrder(of, names.stateCotangents[of.state]) : 'None';
        const given = stage.given.map((id) => (id === undefined ? 'None' : block.along(id, of.valueAxes)));
        call(
          `${listOf(slots)}, ${first}`, 'outer_walk_adjoint', [inOrder(of, names.states[of.state]), last, ...args, `[${given.join(', ')}]`],
        );
        firsts.set(of.state, [...(firsts.get(of.state) ?? []), back(of, first)]);
        break;
      }
      case 'element-adjoint': {
        const { of } = stage;
        const first = block.fresh(`${names.stateCotangents[of.state]}_before`);
        const last = reordered(names.stateCotangents[of.state], spec.states[of.state].axes, of.axes);
        call(
          `${slots[0]}, ${first}`, 'prefix_adjoint',
          [last, optional(of.decay, of.axes), ...stage.given.map((id) => optional(id, of.axes)), 'tokens'],
        );
        firsts.set(of.state, [reordered(first, of.axes, spec.states[of.state].axes)]);
        break;
      }
      default: stage satisfies never;
    }
    results.set(index, slots);
  }
  const elementState = (state: number, axes: readonly Axis[]): string => reordered(names.states[state], spec.states[state].axes, axes);
  const optional = (id: NodeId | undefined, axes: readonly Axis[]): string => (id === undefined ? 'None' : block.along(id, axes));
  return { block, stage: printStage, gate: gateOf, writes: (stage) => writesOf(stage, false), lasts, firsts };
}

const listOf = (names: readonly string[]): string => (names.length === 0 ? '_' : `[${names.join(', ')}]`);

export function reordered(name: string, from: readonly Axis[], to: readonly Axis[]): string {
  return from.join() === to.join() ? name : `permuted(${name}, ${to.map((axis) => from.indexOf(axis)).join(', ')})`;
}
