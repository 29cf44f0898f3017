import {
  gateAxes, nodeArguments, stageOperands, type ElementStage, type MatrixStage, type NodeId, type ScanProgram,
} from '../../ir/scan/scan.js';
import type { Spec } from '../../ir/spec/spec.js';
import type { Block } from './block.js';
import { namesOf, reordered, stagePrinter, type StagePrinter } from './reference.js';
import type { Signature } from './signature.js';

/** How a state passes tokens, as templates/torch/_carry.py has it, and the Python that makes its M (undefined: nobody needs to be told). */
interface Passage {
  readonly arguments: readonly string[];
  readonly text: string | undefined;
}

/** The function that makes the M of a scan's states over given tokens, and the data about them, by the name of the scan. */
export function printTransitions(spec: Spec, signature: Signature, program: ScanProgram): readonly string[] {
  const { module: name } = signature;
  const names = namesOf(signature);
  const printer = stagePrinter(spec, names, program, [], 'forward');
  const levels = levelsOf(spec, program);
  const passages = spec.states.map((_, state): Passage => {
    const stage = firstStage(program, state);
    if (stage === undefined) return { arguments: ['"kept"'], text: undefined };
    return stage.kind === 'matrix'
      ? matrixPassage(spec, names.states, printer, stage)
      : elementPassage(spec, names.states, program, printer.block, stage);
  });
  const tensors = [...names.inputs, ...names.params, ...names.states];
  const body = [...printer.block.lines, `return (${passages.map(({ text }) => `${text ?? 'None'},`).join(' ')})`];
  const words = new Set(body.join('\n').replace(/"[^"]*"/g, '').match(/\w+/g) ?? []);
  const used = tensors.filter((tensor) => words.has(tensor));
  const carried = passages.map((passage, s) => (
    `Carried(${[...passage.arguments, ...(levels[s] === 0 ? [] : [`level=${levels[s]}`])].join(', ')})`
  ));
  return [
    `def _${name}_transition(${['tokens', ...used].join(', ')}):`,
    '    """M of every state over these tokens; None where nobody needs to be told."""',
    ...body.map((line) => `    ${line}`),
    '', '',
    `${name} = Transitions(`,
    `    _reference.${name},`,
    `    (${carried.map((text) => `${text},`).join(' ')}),`,
    `    (${used.map((tensor) => `"${tensor}",`).join(' ')}),`,
    `    _${name}_transition,`,
    // Printed stages are those that a gate or an erase asked for.
    ...(printer.lasts.size > 0 ? ['    stateful=True,'] : []),
    ')',
  ];
}

const firstStage = (program: ScanProgram, state: number): MatrixStage | ElementStage | undefined => (
  program.stages.find(
    (stage): stage is MatrixStage | ElementStage => (stage.kind === 'element' || (stage.kind === 'matrix' && stage.walk === 0))
    && stage.state === state
  )
);

function matrixPassage(spec: Spec, states: readonly string[], printer: StagePrinter, stage: MatrixStage): Passage {
  const { gate, rowAxis } = stage;
  const { axes } = spec.states[stage.state];
  const state = states[stage.state];
  const [own] = gateAxes(gate).map((axis) => axes.indexOf(axis));
  if (stage.sources.some(({ erase }) => erase !== undefined)) {
    // Kernels give it.
    return { arguments: ['"mixed"', `row=${axes.indexOf(rowAxis)}`], text: undefined };
  }
  if (gate.kind === 'none') return { arguments: ['"kept"'], text: undefined };
  return {
    arguments: ['"scaled"', ...(own === undefined ? [] : [`channel=${own}`])],
    text: `span(${printer.gate(stage)}, ${state}, tokens, ${own ?? 'None'})`,
  };
}

function elementPassage(spec: Spec, states: readonly string[], program: ScanProgram, block: Block, stage: ElementStage): Passage {
  const { axes } = spec.states[stage.state];
  if (stage.decay === undefined) {
    const source = sourceOf(program, stage);
    return { arguments: ['"lost"', ...(source === undefined ? [] : [`source=${source}`])], text: undefined };
  }
  const decay = reordered(block.along(stage.decay, stage.axes), stage.axes, axes);
  return { arguments: ['"each"'], text: `product(${decay}, ${states[stage.state]}, tokens)` };
}

/** The state whose value of the token before a delay line takes. */
function sourceOf(program: ScanProgram, { write, decay, state }: ElementStage): number | undefined {
  if (write === undefined || decay !== undefined) return undefined;
  const node = program.nodes[write];
  if (node.kind !== 'result' || node.slot !== 1) return undefined;
  const from = program.stages[node.stage];
  return from.kind === 'element' && from.decay === undefined && from.state !== state ? from.state : undefined;
}

/**
 * By state: 0 where its gates and writes are made of inputs, else one more than the highest of the states that they read. Delay lines go
 * together.
 */
function levelsOf(spec: Spec, program: ScanProgram): readonly number[] {
  const known = new Map<number, number>();
  const level = (state: number): number => {
    const found = known.get(state);
    if (found !== undefined) return found;
    const stage = firstStage(program, state);
    if (stage === undefined) return 0;
    const source = stage.kind === 'element' ? sourceOf(program, stage) : undefined;
    const made = source !== undefined
      ? level(source)
      : 1 + Math.max(-1, ...[...readBy(program, writing(stage))].filter((other) => other !== state).map(level));
    known.set(state, made);
    return made;
  };
  return spec.states.map((_, state) => level(state));
}

/** What decides how a state moves: all that a stage reads but the rows of its reads. */
const writing = (stage: MatrixStage | ElementStage): readonly NodeId[] => stageOperands(
  stage.kind === 'matrix' ? { ...stage, reads: [] } : stage
);

/** The states whose values these nodes depend on. */
function readBy(program: ScanProgram, nodes: readonly NodeId[]): ReadonlySet<number> {
  const states = new Set<number>();
  const seen = new Set<NodeId>();
  const visit = (id: NodeId): void => {
    if (seen.has(id)) return;
    seen.add(id);
    const node = program.nodes[id];
    if (node.kind === 'result') {
      const stage = program.stages[node.stage];
      if (stage.kind === 'matrix' || stage.kind === 'element') states.add(stage.state);
      stageOperands(stage).forEach(visit);
    }
    nodeArguments(node).forEach(visit);
  };
  nodes.forEach(visit);
  return states;
}
