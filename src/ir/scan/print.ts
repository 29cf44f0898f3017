import type { Axis } from '../common/axes.js';
import {
  nodeArguments, stageResults, type Gate, type NodeId, type Reader, type ScanNode, type ScanProgram, type Source, type Stage,
} from './scan.js';

/** Names that the nodes refer to by number; a Spec has all four lists. */
export interface ScanNames {
  readonly inputs: readonly string[];
  readonly params: readonly string[];
  readonly outputs: readonly string[];
  readonly states: readonly string[];
}

const INFIX: Readonly<Partial<Record<string, { readonly sign: string; readonly level: number }>>> = {
  add: { sign: '+', level: 1 }, sub: { sign: '-', level: 1 }, mul: { sign: '*', level: 2 }, div: { sign: '/', level: 2 },
  pow: { sign: '^', level: 4 },
};

/** What binds as tightly as an operand of `@`. */
export const CONTRACTED = 3;

const hasAxis = (axes: readonly Axis[], axis: Axis): boolean => axes.includes(axis);

/** Have both axes, and none that the other has? `*` wants those of one side among those of the other. */
const apart = (a: readonly Axis[], b: readonly Axis[]): boolean => a.length > 0 && b.length > 0 && !a.some((axis) => hasAxis(b, axis));

/** Formula of a node, written out down to the leaves (or to where `stop` gives a name). */
export function formula(
  nodes: readonly ScanNode[], names: ScanNames, id: NodeId, stop: (id: NodeId) => string | undefined = () => undefined, within = 0,
): string {
  const write = (node: NodeId, level: number): string => {
    const named = stop(node);
    if (named !== undefined) return named;
    const n = nodes[node];
    switch (n.kind) {
      case 'literal': return n.value < 0 && level > 0 ? `(${n.value})` : String(n.value);
      case 'size': return n.axis;
      case 'head': return 'head';
      case 'heads': return 'heads';
      case 'input': return names.inputs[n.input];
      case 'param': return names.params[n.param];
      case 'cotangent': return `d_${names.outputs[n.output]}`;
      case 'past': return `${names.states[n.states[n.states.length - 1]]}[t-1]`;
      case 'ahead': return n.ahead === 0 ? `%${n.of}` : `%${n.of}[t+${n.ahead}]`;
      case 'last': return `d_final.${names.states[n.state]}[T-${n.back + 1}]`;
      case 'result': return `stage${n.stage}.${n.slot}`;
      case 'reduce': {
        // A product summed over an axis is how a contraction is written out; `@` reads better.
        const arg = nodes[n.arg];
        if (
          n.op === 'sum' && arg.kind === 'map' && arg.fn === 'mul' && stop(n.arg) === undefined
          && arg.args.every((a) => hasAxis(nodes[a].axes, n.axis))
        ) {
          // Which axis it is has to be said where the two share another.
          const [x, y] = arg.args.map((a) => nodes[a].axes);
          const axis = x.every((own) => own === n.axis || !hasAxis(y, own)) ? '' : `[${n.axis}]`;
          const text = `${write(arg.args[0], 3)} @${axis} ${write(arg.args[1], 4)}`;
          return level > 3 ? `(${text})` : text;
        }
        return `${n.op}[${n.axis}](${write(n.arg, 0)})`;
      }
      case 'map': {
        const infix = INFIX[n.fn];
        if (infix === undefined) {
          if (n.fn === 'neg') return level > 2 ? `(-${write(n.args[0], 3)})` : `-${write(n.args[0], 3)}`;
          return `${n.fn}(${n.args.map((arg) => write(arg, 0)).join(', ')})`;
        }
        if (n.fn === 'mul' && apart(nodes[n.args[0]].axes, nodes[n.args[1]].axes)) {
          return `outer(${write(n.args[0], 0)}, ${write(n.args[1], 0)})`;
        }
        // Operators group to the left, powers to the right: what groups otherwise keeps its parentheses.
        const [left, right] = n.fn === 'pow' ? [infix.level + 1, infix.level] : [infix.level, infix.level + 1];
        const text = `${write(n.args[0], left)} ${infix.sign} ${write(n.args[1], right)}`;
        return level > infix.level ? `(${text})` : text;
      }
    }
    n satisfies never;
    return '';
  };
  return write(id, within);
}

/** The program as text, for `--emit=scan` and golden files: shared nodes get names, stages follow, then what is left behind. */
export function printScan(program: ScanProgram, names: ScanNames): string {
  const { nodes } = program;
  const uses = nodes.map(() => 0);
  for (const node of nodes) for (const arg of nodeArguments(node)) uses[arg]++;
  const wanted = new Set<NodeId>();
  const shared = (id: NodeId): string | undefined => (uses[id] > 1 && nodeArguments(nodes[id]).length > 0 ? `%${id}` : undefined);
  const show = (id: NodeId | undefined): string => (id === undefined ? '0' : (mark(id), formula(nodes, names, id, shared)));
  const mark = (id: NodeId): void => {
    if (wanted.has(id)) return;
    wanted.add(id);
    nodeArguments(nodes[id]).forEach(mark);
  };

  const stages = program.stages.map((stage, i) => stageText(stage, i, names, show));
  const roots = program.roots.map((root) => {
    switch (root.kind) {
      case 'output': return `${names.outputs[root.output]} = ${show(root.value)}`;
      case 'input-gradient': return `d_${names.inputs[root.input]} = ${show(root.value)}`;
      case 'param-gradient': return `d_${names.params[root.param]} = ${show(root.value)}`;
      case 'final': return `final.${names.states[root.state]} = ${show(root.value)}`;
      case 'initial-gradient': return `d_${names.states[root.state]} = ${show(root.value)} at token ${root.at}`;
      case 'kept': return `keep %${root.value} = ${show(root.value)}`;
    }
  });
  const lets = nodes.flatMap((node, id) => (
    wanted.has(id) && shared(id) !== undefined
      ? [`%${id}: [${node.axes.join(', ')}] = ${formula(nodes, names, id, (other) => (other === id ? undefined : shared(other)))}`]
      : []
  ));
  return [...lets, ...stages, ...roots].join('\n') + '\n';
}

function stageText(stage: Stage, index: number, names: ScanNames, show: (id: NodeId | undefined) => string): string {
  const lines: string[] = [];
  switch (stage.kind) {
    case 'matrix': {
      const axes = [stage.rowAxis, ...stage.valueAxes].join(', ');
      lines.push(`stage ${index}: ${names.states[stage.state]} [${axes}] matrix${stage.walk === 0 ? '' : `, walk ${stage.walk + 1}`}`);
      lines.push(`  gate ${gateText(stage.gate, show)}`);
      stage.sources.forEach((source) => lines.push(`  write ${sourceText(source, show)}`));
      stage.reads.forEach((read, slot) => lines.push(`  stage${index}.${slot} = ${readerText(read, show)}`));
      break;
    }
    case 'element':
      lines.push(`stage ${index}: ${names.states[stage.state]} [${stage.axes.join(', ')}] elementwise`);
      lines.push(`  decay ${show(stage.decay)}`, `  write ${show(stage.write)}`);
      break;
    case 'matrix-adjoint': case 'element-adjoint':
      lines.push(`stage ${index}: adjoint of ${names.states[stage.of.state]}, against time`);
      stage.given.forEach((given, slot) => lines.push(`  cotangent of result ${slot} = ${show(given)}`));
      lines.push(`  results ${stageResults(stage).map((axes, slot) => `stage${index}.${slot} [${axes.join(', ')}]`).join(', ')}`);
      break;
  }
  return lines.join('\n');
}

const byFactor = (
  { factor }: Exclude<Gate, { kind: 'none' }>, show: (id: NodeId) => string,
) => (factor === undefined ? '' : `, differentiated as ${show(factor)}`);

function gateText(gate: Gate, show: (id: NodeId) => string): string {
  switch (gate.kind) {
    case 'none': return 'none';
    case 'scalar': return `${gate.constant ? 'constant' : 'scalar'} exp(${show(gate.log)})${byFactor(gate, show)}`;
    case 'channel': return `per ${gate.axis} exp(${show(gate.log)})${byFactor(gate, show)}`;
  }
}

function sourceText(source: Source, show: (id: NodeId | undefined) => string): string {
  const erase = source.erase === undefined ? '' : ` + ${readerText(source.erase, show)}`;
  return `outer(${show(source.col)}, ${show(source.value)}${erase})`;
}

function readerText(reader: Reader, show: (id: NodeId) => string): string {
  const seen = reader.sees.flatMap((sees, i) => (sees ? [i] : []));
  const when = seen.length === 0 ? 'before all writes' : `after writes ${seen.join(', ')}`;
  return `(${show(reader.row)}) @ S ${reader.before ? 'before' : 'after'} the decay, ${when}`;
}
