import type { Axis } from '../../../ir/common/axes.js';
import type { Plan } from '../../../ir/plan/plan.js';
import { CONTRACTED, formula, type ScanNames } from '../../../ir/scan/print.js';
import {
  ancestorsOf, type Gate, nodeArguments, type NodeId, type Reader, type ScanNode, type ScanProgram, type Stage, stageOperands,
} from '../../../ir/scan/scan.js';
import type { Spec } from '../../../ir/spec/spec.js';
import { KEPT } from '../../../ir/plan/kept.js';
import { extentsOf, type CallSizes } from '../../../runtime/extents.js';
import { idiomOf } from './idioms.js';
import { letNames } from './lets.js';
import { H200, programCost, type Machine, type ProgramCost } from './costs.js';

export interface StateText {
  readonly name: string;
  readonly axes: readonly string[];
  /** `(I - rank 1) ∘ diag[K]` */
  readonly transition: string;
  readonly writes: readonly string[];
  /** Its new value as a formula of the language; undefined where it has none (writes that read one another's, any function). */
  readonly update: string | undefined;
  /** One sentence on the gate. */
  readonly gate: string;
  /** One sentence on the chunk algorithm. */
  readonly algorithm: string;
  readonly pass: number;
}

/** How the tokens of a chunk reach one read of a state, or one erase term. */
export interface MaskText {
  /** `q @ S` */
  readonly title: string;
  readonly erase: boolean;
  /** Without the token's own write, and without its own decay. */
  readonly strict: boolean;
  readonly before: boolean;
  readonly gate: 'none' | 'constant' | 'scalar' | 'channel';
}

export interface Explanation {
  readonly scan: string;
  readonly place: string;
  readonly doc: string;
  readonly mode: Spec['mode'];
  /** Names for values that are long and used more than once: `x1 = ...`. */
  readonly lets: readonly string[];
  readonly states: readonly StateText[];
  readonly outputs: readonly string[];
  readonly masks: readonly MaskText[];
  readonly target: string;
  readonly dtype: string;
  readonly chunk: number;
  readonly sizes: Readonly<Record<string, number>>;
  /** What becomes of the sequences of the call; undefined where no plan cuts them. */
  readonly segments: string | undefined;
  readonly call: { readonly batch: number; readonly tokens: number; readonly heads: number; readonly groups: number };
  readonly machine: Machine;
  readonly forward: ProgramCost;
  readonly backward: ProgramCost;
  readonly step: ProgramCost;
  /** What a host may keep of forward, the largest first, and what backward is from that; undefined where there is no such. */
  readonly kept: { readonly tensors: ProgramCost['workspaces']; readonly backward: ProgramCost } | undefined;
  /** What devices that share sequences run before them, of a piece of this size: in the place of a whole call. */
  readonly pieces: readonly { readonly program: string; readonly cost: ProgramCost; readonly instead: ProgramCost }[];
}

/** Everything that `explain` shows, as data. `scan` is absent for scans that run step by step. */
export function explain(
  spec: Spec, scan: ScanProgram | undefined, plan: Plan, call: Explanation['call'], place: string, machine: Machine = H200,
): Explanation {
  const sizes: CallSizes = { heads: call.heads, groups: call.groups, lengths: Array.from({ length: call.batch }, () => call.tokens) };
  const one: CallSizes = { ...sizes, lengths: sizes.lengths.map(() => 1) };
  const writer = scan === undefined ? undefined : writerOf(spec, scan);
  const cost = (program: string, of = sizes) => programCost(plan, program, of, machine);
  const [forward, backward] = [cost('forward'), cost('backward')];
  return {
    scan: spec.name,
    place,
    doc: spec.doc,
    mode: spec.mode,
    lets: writer?.lets ?? [],
    states: scan === undefined || writer === undefined ? stepwiseStates(spec)
      : [...loadedStates(spec, scan, writer), ...scan.stages.flatMap((stage, i) => stateText(spec, scan, writer, stage, i))],
    outputs: scan === undefined || writer === undefined ? [] : outputTexts(spec, scan, writer),
    masks: scan === undefined || writer === undefined ? [] : masksOf(spec, scan, writer),
    target: plan.target,
    dtype: plan.dtype,
    chunk: plan.chunk,
    sizes: plan.sizes,
    segments: segmentsText(plan, sizes),
    call,
    machine,
    forward,
    backward,
    step: cost('step', one),
    kept: keptOf(plan, cost),
    pieces: ([['ends', forward], ['reverse_ends', backward]] as const).flatMap(([program, instead]) => (
      program in plan.programs ? [{ program, cost: cost(program), instead }] : []
    )),
  };
}

function keptOf({ programs }: Plan, cost: (program: string) => ProgramCost): Explanation['kept'] {
  const taken = programs[KEPT.backward]?.takes;
  return taken && {
    tensors: cost(KEPT.forward).workspaces.filter(({ name }) => taken.includes(name)), backward: cost(KEPT.backward),
  };
}

export function namesOf(spec: Spec): ScanNames {
  const names = (list: readonly { readonly name: string }[]) => list.map(({ name }) => name);
  return { inputs: names(spec.inputs), params: names(spec.params), outputs: names(spec.outputs), states: names(spec.states) };
}

/** States that only say what tokens before were. That of an input is not the user's. */
function loadedStates(spec: Spec, scan: ScanProgram, writer: Writer): StateText[] {
  return scan.roots.flatMap((root): readonly StateText[] => (root.kind !== 'final' || spec.states[root.state].hidden ? [] : [{
    name: spec.states[root.state].name,
    axes: spec.states[root.state].axes,
    transition: 'nothing is kept',
    writes: [writer.show(root.value)],
    update: writer.show(root.value),
    gate: 'none',
    algorithm: 'loaded from the tokens before, where it is read',
    pass: 1,
  }]));
}

function stepwiseStates(spec: Spec): StateText[] {
  return spec.states.filter((state) => !state.hidden).map((state) => ({
    name: state.name,
    axes: state.axes,
    transition: 'any function of the state',
    writes: [],
    update: undefined,
    gate: 'unknown: the scan is marked `sequential`',
    algorithm: 'token by token, in order',
    pass: 1,
  }));
}

interface Writer {
  /** Definitions of what is used more than once, each before its users. */
  readonly lets: readonly string[];
  show(id: NodeId): string;
  /** A factor of a product. */
  showFactor(id: NodeId): string;
  /** `q @ S`; a row without the axis that is folded has no `@`. */
  showRead(read: Reader, axis: Axis, state: string): string;
}

/** Operations that are written out again rather than named. */
const SHORT = 2;

/**
 * Writes the values of a scan: results of stages as what they are (`q @ S`, `h`), and what is long and used more than once under a name of
 * its own.
 */
function writerOf(spec: Spec, scan: ScanProgram): Writer {
  const names = namesOf(spec);
  const given = new Map<NodeId, string>();
  const partsOf = (id: NodeId): readonly NodeId[] => {
    const node = scan.nodes[id];
    const stage = node.kind === 'result' ? scan.stages[node.stage] : undefined;
    const row = node.kind === 'result' && stage?.kind === 'matrix' ? stage.reads[node.slot]?.row : undefined;
    if (node.kind === 'past') return [];
    const idiom = idiomOf(scan.nodes, id);
    if (idiom !== undefined) return [idiom.of];
    return row === undefined ? nodeArguments(node) : [row];
  };
  const wanted = [
    ...scan.stages.flatMap((stage) => (stage.kind === 'matrix' || stage.kind === 'element' ? stageOperands(stage) : [])),
    ...scan.roots.flatMap((root) => (root.kind === 'output' || root.kind === 'final' ? [root.value] : [])),
  ];
  const uses = new Map<NodeId, number>();
  const order: NodeId[] = [];
  const visit = (id: NodeId): void => {
    uses.set(id, (uses.get(id) ?? 0) + 1);
    if (uses.get(id) !== 1) return;
    partsOf(id).forEach(visit);
    order.push(id);
  };
  wanted.forEach(visit);
  const called = letNames(spec, scan);
  const taken = new Set([...Object.values(names).flat(), ...spec.axes.map(({ name }) => name), ...called.values()]);
  const sizes = new Map<NodeId, number>();
  let count = 0;
  const fresh = (): string => {
    const name = `x${++count}`;
    return taken.has(name) ? fresh() : name;
  };
  const written = (id: NodeId): string => readText(id) ?? formula(
    scan.nodes, names, id, (other) => (other === id ? undefined : stop(other)),
  );
  const stop = (id: NodeId): string | undefined => given.get(id) ?? readText(id);
  const show = (id: NodeId): string => formula(scan.nodes, names, id, stop);
  const showFactor = (id: NodeId): string => formula(scan.nodes, names, id, stop, CONTRACTED);
  const showRead = ({ row }: Reader, axis: Axis, state: string): string => {
    const axes: readonly Axis[] = scan.nodes[row].axes;
    return axes.includes(axis) ? `${showFactor(row)} @ ${state}` : `sum[${axis}](${showFactor(row)} * ${state})`;
  };
  /** A state as the text calls it: what an input was before is the input's. */
  const calledAs = (state: number): string => {
    const { name, hidden, next } = spec.states[state];
    const input = spec.nodes[next];
    return hidden && input.kind === 'input' ? names.inputs[input.input] : name;
  };
  const readText = (id: NodeId): string | undefined => {
    const node: ScanNode = scan.nodes[id];
    if (node.kind === 'past') {
      return `${calledAs(node.states[node.states.length - 1])}[t-1]`;
    }
    const idiom = idiomOf(scan.nodes, id);
    if (idiom !== undefined) return `${idiom.name}[${idiom.axis}](${show(idiom.of)})`;
    if (node.kind !== 'result') return undefined;
    const stage = scan.stages[node.stage];
    switch (stage.kind) {
      case 'matrix': {
        const read = stage.reads[node.slot];
        if (read === undefined) return `written(${names.states[stage.state]})`;
        const text = showRead(read, stage.rowAxis, seen(read, names.states[stage.state], stage.gate, show));
        return text.startsWith('sum[') ? text : `(${text})`;
      }
      case 'element': return node.slot === 0 ? calledAs(stage.state) : `${calledAs(stage.state)}[t-1]`;
      case 'matrix-adjoint': case 'element-adjoint': return `adjoint(${names.states[stage.of.state]})`;
    }
  };
  const lets: string[] = [];
  for (const id of order) {
    const parts = partsOf(id);
    const size = parts.length === 0 ? 0 : parts.reduce((sum, part) => sum + (given.has(part) ? 0 : sizes.get(part) ?? 0), 1);
    sizes.set(id, size);
    if (!called.has(id) && ((uses.get(id) ?? 0) < 2 || size <= SHORT)) continue;
    const text = written(id);
    const name = called.get(id) ?? fresh();
    lets.push(`${name} = ${text}`);
    given.set(id, name);
  }
  return { lets, show, showFactor, showRead };
}

/** What a read sees of a state: the old value, the old value after its decay, or the new one. */
function seen(read: Reader, state: string, gate: Gate, show: (id: NodeId) => string): string {
  if (read.before) return `${state}[t-1]`;
  if (read.sees.length === 0 || read.sees.includes(true)) return state;
  return gate.kind === 'none' ? `${state}[t-1]` : `(exp(${show(gate.log)}) * ${state}[t-1])`;
}

function outputTexts(spec: Spec, scan: ScanProgram, { show }: Writer): string[] {
  return scan.roots.flatMap((root) => (root.kind === 'output' ? [`${spec.outputs[root.output].name} = ${show(root.value)}`] : []));
}

/** Segments that run at once (docs/algorithms.md: segments). */
function segmentsText(plan: Plan, sizes: CallSizes): string | undefined {
  if (!plan.programs.forward.launches.some(({ cut }) => cut !== undefined)) return undefined;
  const { segments, sequences, chunks } = extentsOf(plan, sizes);
  if (segments === sequences) return 'none: every sequence is one walk, which leaves little of the device idle or is short';
  return `${segments} of up to ${Math.ceil(chunks / segments)} chunks, which run at once when it is known where each begins`;
}

function stateText(spec: Spec, scan: ScanProgram, { show, showFactor, showRead }: Writer, stage: Stage, index: number): StateText[] {
  const names = namesOf(spec);
  const pass = passOf(scan, index);
  switch (stage.kind) {
    case 'matrix': {
      const erases = stage.sources.flatMap((source) => (source.erase === undefined ? [] : [source.erase]));
      const sign = erases.every((erase) => /^\(?-/.test(show(erase.row))) ? '-' : '+';
      const rank = `rank ${erases.length}`;
      const gate = gateName(stage.gate);
      const transition = erases.length === 0
        ? gate
        : erases[0].before && stage.gate.kind !== 'none'
        ? `(${gate} ${sign} ${rank})`
        : `(I ${sign} ${rank})${gate === 'I' ? '' : ` ∘ ${gate}`}`;
      const state = names.states[stage.state];
      const writes = stage.sources.map((source) => {
        const parts = [
          ...(source.value === undefined ? [] : [show(source.value)]),
          ...(source.erase === undefined ? [] : [
            showRead(source.erase, stage.rowAxis, seen(source.erase, state, stage.gate, show)),
          ]),
        ];
        return `outer(${[show(source.col), parts.join(' + ')].join(', ')})`;
      });
      const kept = stage.gate.kind === 'none' ? `${state}[t-1]` : `exp(${show(stage.gate.log)}) * ${state}[t-1]`;
      const inverse = erases.length === 1 ? 'C x C' : `${erases.length}C x ${erases.length}C`;
      return [{
        name: state,
        axes: [stage.rowAxis, ...stage.valueAxes],
        transition,
        writes,
        update: stage.walk > 0 || erases.some((erase) => erase.sees.includes(true)) ? undefined : [kept, ...writes].join(' + '),
        gate: gateText(stage.gate, show),
        algorithm: erases.length === 0
          ? 'chunked: scores within a chunk under a mask, the state carried from chunk to chunk'
          : `chunked, WY form: one triangular inverse of ${inverse} per chunk, then as without the erase term`,
        pass,
      }];
    }
    case 'element':
      return [{
        name: names.states[stage.state],
        axes: stage.axes,
        transition: stage.decay === undefined ? 'forgotten (a delay line)' : 'elementwise',
        writes: stage.write === undefined ? [] : [show(stage.write)],
        update: [
          ...(stage.decay === undefined ? [] : [`${showFactor(stage.decay)} * ${names.states[stage.state]}[t-1]`]),
          ...(stage.write === undefined ? [] : [show(stage.write)]),
        ].join(' + ') || undefined,
        gate: stage.decay === undefined ? 'none' : `factor ${show(stage.decay)} per entry`,
        algorithm: 'streamed: one thread per entry walks the tokens of a sequence',
        pass,
      }];
    case 'matrix-adjoint': case 'element-adjoint': return [];
  }
}

function masksOf(spec: Spec, scan: ScanProgram, { showRead }: Writer): MaskText[] {
  const { states } = namesOf(spec);
  return scan.stages.flatMap((stage) => {
    if (stage.kind !== 'matrix') return [];
    const gate = stage.gate.kind === 'scalar' && stage.gate.constant ? 'constant' : stage.gate.kind;
    const mask = (reader: Reader, erase: boolean): MaskText => {
      const text = showRead(reader, stage.rowAxis, states[stage.state]);
      return {
        title: text.length > LONGEST_TITLE ? `a read of ${states[stage.state]}` : text, erase,
        strict: erase || reader.before || !reader.sees.includes(true), before: reader.before, gate,
      };
    };
    return [
      ...stage.reads.map((read) => mask(read, false)),
      ...stage.sources.flatMap((source) => (source.erase === undefined ? [] : [mask(source.erase, true)])),
    ];
  });
}

const LONGEST_TITLE = 40;

/** Stages that feed one another run one after the other: 1 + the highest pass among those that this one reads. */
function passOf(scan: ScanProgram, index: number): number {
  const read = [...ancestorsOf(scan.nodes, stageOperands(scan.stages[index]))].map((id) => scan.nodes[id]);
  return 1 + Math.max(0, ...read.map((node) => (node.kind === 'result' ? passOf(scan, node.stage) : 0)));
}

function gateName(gate: Gate): string {
  switch (gate.kind) {
    case 'none': return 'I';
    case 'scalar': return gate.constant ? 'constant' : 'scalar';
    case 'channel': return `diag[${gate.axis}]`;
  }
}

function gateText(gate: Gate, show: (id: NodeId) => string): string {
  switch (gate.kind) {
    case 'none': return 'none: nothing is forgotten but by erasing';
    case 'scalar':
      return `log form ${show(gate.log)}${gate.constant ? ', the same at every token' : ', one per head and token'}; `
        + 'differences of its running sums stay within a chunk, so exponentials cannot overflow';
    case 'channel':
      return `log form ${show(gate.log)}, one per channel of ${gate.axis}; scores are made block by block, so that no factor exceeds 1`;
  }
}
