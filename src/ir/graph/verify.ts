import type { Graph, GraphNode } from './graph.js';
import { operandsOf } from './operands.js';
import type { ValueType } from './types.js';
import { includes, isTyped, sameAxes, typeOf } from './typing.js';

/**
 * What is wrong with a Graph, one sentence each; [] if nothing. Every complaint is a mistake of ours, not of a user. Parts below are
 * verified on their own.
 */
export function verifyGraph(graph: Graph): readonly string[] {
  const problems: string[] = [];
  const check = (ok: boolean, text: string): void => {
    if (!ok) problems.push(`${graph.name}: ${text}`);
  };
  const size = graph.nodes.length;
  const names = [...graph.inputs, ...graph.params].map((tensor) => tensor.name);
  check(new Set(names).size === names.length, 'two tensors have the same name');
  const paths = graph.instances.map(({ name, turns }) => [name, ...turns].join('.'));
  check(new Set(paths).size === paths.length, 'two instances have the same path');
  graph.nodes.forEach((node, id) => nodeProblems(graph, node, id).forEach((text) => check(false, `node ${id} (${node.kind}) ${text}`)));
  for (const output of graph.outputs) {
    const type: ValueType | undefined = graph.nodes[output.value]?.type;
    check(type?.kind === 'number' && type.restricted.length === 0 && sameAxes(type.axes, output.axes),
      `output ${output.name} does not have the value that is declared`);
  }
  for (const loss of graph.losses) {
    const type: ValueType | undefined = graph.nodes[loss.value]?.type;
    check(type?.kind === 'number' && type.axes.length === 0 && type.level !== 'token', `loss ${loss.name} is not one number`);
  }
  for (const update of graph.updates) {
    const param = graph.params[update.param];
    check(param?.buffer && update.value < size && sameAxes(graph.nodes[update.value].type.axes, param.axes),
      'an update does not fit its buffer');
  }
  return problems;
}

function nodeProblems(graph: Graph, node: GraphNode, id: number): readonly string[] {
  const reads = [...operandsOf(node), ...node.type.restricted];
  if (!reads.every((arg) => Number.isInteger(arg) && arg >= 0 && arg < id)) return ['reads a node that is not before it'];
  const type = (arg: number): ValueType => graph.nodes[arg].type;
  const problems: string[] = [];
  const check = (ok: boolean, text: string): void => {
    if (!ok) problems.push(text);
  };
  const { axes } = node.type;
  check(new Set(axes.map((axis) => axis.name)).size === axes.length, 'has an axis twice');
  check((node.type.kind === 'index') === (node.type.of !== undefined), 'is an index of no axis');
  check(node.type.restricted.every((choice) => type(choice).kind === 'choice'), 'is restricted by what is no choice');
  if (isTyped(node)) check(sameType(node.type, typeOf(node, type)), 'does not have the type that follows from what it reads');
  const numbers = (...args: readonly number[]): void => check(args.every((arg) => type(arg).kind === 'number'),
    'computes with what is no number');
  switch (node.kind) {
    case 'input': check(node.input < graph.inputs.length, 'reads an input that there is not'); break;
    case 'param': check(node.param < graph.params.length, 'reads a param that there is not'); break;
    case 'map': numbers(...node.args); break;
    case 'contract':
      numbers(node.left, node.right);
      check(node.axes.length > 0 && node.axes.every((axis) => includes(type(node.left).axes, axis)
        && includes(type(node.right).axes, axis)), 'sums over an axis that one side lacks');
      break;
    case 'fold': case 'softmax': case 'top': numbers(node.arg); check(node.axes.every((axis) => includes(type(node.arg).axes, axis)),
      'runs along an axis that its argument lacks'); break;
    case 'compare': numbers(node.left, node.right); break;
    case 'logic': check(node.args.every((arg) => type(arg).kind === 'choice'), 'is logic of what is no choice'); break;
    case 'mask': check(type(node.choice).kind === 'choice', 'masks what is no choice'); break;
    case 'restrict': check(type(node.choice).kind === 'choice', 'is restricted by what is no choice'); break;
    case 'pick': check(type(node.index).kind === 'index' && includes(type(node.arg).axes, node.axis),
      'picks along an axis that its argument lacks'); break;
    case 'number': check(type(node.arg).kind === 'index', 'is the number of what is no index'); break;
    case 'conv': check(includes(type(node.weight).axes, node.taps), 'has a weight without taps'); break;
    case 'rope': check(includes(type(node.arg).axes, node.axis) && 2 * node.turn.size <= node.axis.size, 'turns what it cannot'); break;
    case 'past': check(node.axis.past, 'sees along an axis that is no past'); break;
    case 'sinkhorn': check(includes(type(node.arg).axes, node.axis), 'scales along an axis that its argument lacks'); break;
    case 'dropout': check(graph.training, 'drops outside training'); break;
    case 'call': {
      const instance = graph.instances[node.instance];
      const inputs = instance?.part.kind === 'scan' ? instance.part.spec.inputs.length : instance?.part.inputs.length;
      check(inputs === node.args.length, 'hands in another number of arguments than its part has');
      break;
    }
    case 'result': {
      const call = graph.nodes[node.call];
      const part = call.kind === 'call' ? graph.instances[call.instance]?.part : undefined;
      const outputs = part?.kind === 'scan' ? part.spec.outputs.length : part?.outputs.length ?? 0;
      check(node.output < outputs, 'reads an output that there is not');
      break;
    }
    case 'literal': case 'count': case 'index': case 'lift': case 'before': case 'normal': case 'uniform': case 'stop': case 'f32': break;
  }
  return problems;
}

function sameType(a: ValueType, b: ValueType): boolean {
  return a.kind === b.kind && sameAxes(a.axes, b.axes) && a.level === b.level && a.of?.name === b.of?.name
    && a.restricted.join() === b.restricted.join();
}
