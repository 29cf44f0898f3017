import type { GraphNode, NodeBody } from './graph.js';

/** The nodes that a node reads, in order. Choices that restrict its value are in its type. */
export function operandsOf(node: NodeBody): readonly number[] {
  switch (node.kind) {
    case 'literal': case 'input': case 'param': case 'count': case 'index': case 'normal': case 'uniform': return [];
    case 'map': case 'logic': case 'call': return node.args;
    case 'contract': case 'compare': return [node.left, node.right];
    case 'fold': case 'lift': case 'number': case 'before': case 'past': case 'sinkhorn': case 'dropout': case 'stop':
    case 'f32': return [node.arg];
    case 'softmax': return node.sink === undefined ? [node.arg] : [node.arg, node.sink];
    case 'top': return [node.arg, node.count];
    case 'mask': return [node.choice];
    case 'restrict': return [node.arg, node.choice];
    case 'pick': return [node.arg, node.index];
    case 'conv': return [node.arg, node.weight];
    case 'rope': return [node.arg, node.frequency];
    case 'result': return [node.call];
  }
}

/** The node with what it reads in other places. */
export function movedNode(node: GraphNode, to: (id: number) => number): GraphNode {
  const type = { ...node.type, restricted: node.type.restricted.map(to) };
  switch (node.kind) {
    case 'literal': case 'input': case 'param': case 'count': case 'index': case 'normal': case 'uniform': return { ...node, type };
    case 'map': case 'logic': case 'call': return { ...node, type, args: node.args.map(to) };
    case 'contract': case 'compare': return { ...node, type, left: to(node.left), right: to(node.right) };
    case 'fold': case 'lift': case 'number': case 'before': case 'past': case 'sinkhorn': case 'dropout': case 'stop':
    case 'f32': return { ...node, type, arg: to(node.arg) };
    case 'softmax': return { ...node, type, arg: to(node.arg), sink: node.sink === undefined ? undefined : to(node.sink) };
    case 'top': return { ...node, type, arg: to(node.arg), count: to(node.count) };
    case 'mask': return { ...node, type, choice: to(node.choice) };
    case 'restrict': return { ...node, type, arg: to(node.arg), choice: to(node.choice) };
    case 'pick': return { ...node, type, arg: to(node.arg), index: to(node.index) };
    case 'conv': return { ...node, type, arg: to(node.arg), weight: to(node.weight) };
    case 'rope': return { ...node, type, arg: to(node.arg), frequency: to(node.frequency) };
    case 'result': return { ...node, type, call: to(node.call) };
  }
}
