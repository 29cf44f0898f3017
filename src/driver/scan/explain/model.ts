import type { Plan } from '../../../ir/plan/plan.js';
import { ancestorsOf, type Gate, type NodeId, type Reader, type ScanProgram, type Stage, stageOperands } from '../../../ir/scan/scan.js';
import type { Spec } from '../../../ir/spec/spec.js';
import { KEPT } from '../../../ir/plan/kept.js';
import { extentsOf, type CallSizes } from '../../../runtime/extents.js';
import { H200, programCost, type Machine, type ProgramCost } from './costs.js';
import { namesOf, writerOf, type Writer } from './writer.js';

export interface StateText {
  readonly name: string;
  readonly axes: readonly string[];
  /** `(I - rank 1) ∘ diag[K]` */
  readonly transition: string;
  readonly writes: readonly string[];
  /** Its new value as a formula of the language; undefined where another walk has it, or it is any function. */
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

function stateText(
  spec: Spec, scan: ScanProgram, { show, showFactor, writesOf, updated }: Writer, stage: Stage, index: number,
): StateText[] {
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
      const writes = writesOf(stage);
      const inverse = erases.length === 1 ? 'C x C' : `${erases.length}C x ${erases.length}C`;
      return [{
        name: names.states[stage.state],
        axes: [stage.rowAxis, ...stage.valueAxes],
        transition,
        writes,
        update: stage.walk > 0 ? undefined : updated(stage),
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
      const text = showRead(reader, stage, states[stage.state]);
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

/**
 * Stages that feed one another, and walks over the same state, run one after the other: 1 + the highest pass among those that this one
 * reads and the walks before.
 */
function passOf(scan: ScanProgram, index: number): number {
  const stage = scan.stages[index];
  const read = [...ancestorsOf(scan.nodes, stageOperands(stage))].map((id) => scan.nodes[id]);
  const walks = scan.stages.flatMap((other, at) => (
    stage.kind === 'matrix' && other.kind === 'matrix' && other.state === stage.state && other.walk < stage.walk ? [passOf(scan, at)] : []
  ));
  return 1 + Math.max(0, ...walks, ...read.map((node) => (node.kind === 'result' ? passOf(scan, node.stage) : 0)));
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
