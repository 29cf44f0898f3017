import type { Axis } from '../../../ir/common/axes.js';
import { CONTRACTED, formula, type ScanNames } from '../../../ir/scan/print.js';
import {
  type Gate, type MatrixStage, nodeArguments, type NodeId, type Reader, type ScanNode, type ScanProgram, stageOperands,
} from '../../../ir/scan/scan.js';
import type { Spec } from '../../../ir/spec/spec.js';
import { idiomOf } from './idioms.js';
import { letNames } from './lets.js';

export interface Writer {
  /** Definitions of what is used more than once, each before its users. */
  readonly lets: readonly string[];
  show(id: NodeId): string;
  /** A factor of a product. */
  showFactor(id: NodeId): string;
  /** `q @ S`, of what the read sees of the state; a row without the axis that is folded has no `@`. */
  showRead(read: Reader, stage: MatrixStage, state?: string): string;
  /** What a token writes, one source after the other. */
  writesOf(stage: MatrixStage): readonly string[];
  /** The state with all of that. */
  updated(stage: MatrixStage): string;
}

/** Operations that are written out again rather than named. */
const SHORT = 2;

/**
 * Writes the values of a scan: results of stages as what they are (`q @ S`, `h`), and what is long and used more than once under a name of
 * its own.
 */
export function writerOf(spec: Spec, scan: ScanProgram): Writer {
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
  const partials = partialStates(scan, names, taken);
  const partial = (state: number, count: number): string => partials.get(`${state} ${count}`) ?? names.states[state];
  const written = (id: NodeId): string => readText(id) ?? formula(
    scan.nodes, names, id, (other) => (other === id ? undefined : stop(other)),
  );
  const stop = (id: NodeId): string | undefined => given.get(id) ?? readText(id);
  const show = (id: NodeId): string => formula(scan.nodes, names, id, stop);
  const showFactor = (id: NodeId): string => formula(scan.nodes, names, id, stop, CONTRACTED);
  const showRead = (read: Reader, stage: MatrixStage, state = seen(read, stage)): string => {
    const { row } = read;
    const { rowAxis: axis } = stage;
    const { axes: own } = spec.states[stage.state];
    const axes: readonly Axis[] = scan.nodes[row].axes;
    if (axes.includes(axis) && own[0] === axis) return `${showFactor(row)} @ ${state}`;
    if (axes.includes(axis) && own.at(-1) === axis) return `${state} @ ${showFactor(row)}`;
    return `sum[${axis}](${showFactor(row)} * ${state})`;
  };
  /** What a read sees of a state: the old value, the old value after its decay, some of what its token writes, or the new one. */
  const seen = (read: Reader, stage: MatrixStage): string => {
    const state = names.states[stage.state];
    const count = writesSeen(read);
    if (read.before) return `${state}[t-1]`;
    if (count === read.sees.length) return state;
    if (count > 0) return partial(stage.state, count);
    return stage.gate.kind === 'none' ? `${state}[t-1]` : `(${decayed(state, stage.gate)})`;
  };
  const decayed = (state: string, gate: Gate): string => (
    gate.kind === 'none' ? `${state}[t-1]` : `exp(${show(gate.log)}) * ${state}[t-1]`
  );
  const writesOf = (stage: MatrixStage): readonly string[] => stage.sources.map(({ col, value, erase }) => {
    const parts = [...(value === undefined ? [] : [show(value)]), ...(erase === undefined ? [] : [showRead(erase, stage)])];
    return `outer(${[show(col), parts.join(' + ')].join(', ')})`;
  });
  /** The state with the first writes of a token, from the last of such that has a name. */
  const writtenSo = (stage: MatrixStage, count: number): string => {
    const writes = writesOf(stage);
    const from = [...partials.keys()].map((key) => key.split(' ').map(Number))
      .filter(([state, own]) => state === stage.state && own < count).map(([, own]) => own).sort((a, b) => a - b).at(-1);
    const base = from === undefined ? decayed(names.states[stage.state], stage.gate) : partial(stage.state, from);
    return [base, ...writes.slice(from ?? 0, count)].join(' + ');
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
        const text = showRead(read, stage);
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
  for (const stage of scan.stages) if (stage.kind === 'matrix' && stage.walk === 0) {
    for (let count = 1; count < stage.sources.length; count++) {
      const name = partials.get(`${stage.state} ${count}`);
      if (name !== undefined) lets.push(`${name} = ${writtenSo(stage, count)}`);
    }
  }
  return { lets, show, showFactor, showRead, writesOf, updated: (stage) => writtenSo(stage, stage.sources.length) };
}

/** How many of the writes of its token a read sees. */
const writesSeen = ({ sees }: Reader): number => sees.filter((own) => own).length;

/** Names for states in the midst of a token's writes, where something reads them: by state and number of writes. */
function partialStates(scan: ScanProgram, names: ScanNames, taken: Set<string>): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  const fresh = (state: string, count: number): string => {
    const name = `${state}${count}`;
    return taken.has(name) ? fresh(`${state}_`, count) : name;
  };
  for (const stage of scan.stages) {
    if (stage.kind !== 'matrix') continue;
    const erases = stage.sources.flatMap(({ erase }) => erase ?? []);
    for (const reader of [...erases, ...stage.reads]) {
      const [count, key] = [writesSeen(reader), `${stage.state} ${writesSeen(reader)}`];
      if (count === 0 || count === reader.sees.length || found.has(key)) continue;
      const name = fresh(names.states[stage.state], count);
      taken.add(name);
      found.set(key, name);
    }
  }
  return found;
}

/** What the text calls inputs, params, outputs and states. */
export function namesOf(spec: Spec): ScanNames {
  const names = (list: readonly { readonly name: string }[]) => list.map(({ name }) => name);
  return { inputs: names(spec.inputs), params: names(spec.params), outputs: names(spec.outputs), states: names(spec.states) };
}
