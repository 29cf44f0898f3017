import type { Span } from '../common/span.js';
import type { GraphNode, NodeBody } from './graph.js';
import { operandsOf } from './operands.js';
import { isTyped, typeOf } from './typing.js';
import type { Axis, ValueType } from './types.js';

/** Makes the nodes of one Graph. Equal nodes are one node, but draws and calls, each of which is one of its own; the first origin stays. */
export interface GraphBuilder {
  readonly nodes: readonly GraphNode[];
  typeOf(id: number): ValueType;
  /** `type` is asked for where it does not follow from what the node reads. */
  add(body: NodeBody, origin: Span, type?: ValueType): number;
}

export function graphBuilder(): GraphBuilder {
  const nodes: GraphNode[] = [];
  const known = new Map<string, number>();
  const typeAt = (id: number): ValueType => nodes[id].type;
  return {
    nodes,
    typeOf: typeAt,
    add(body, origin, given) {
      const type = isTyped(body) ? typeOf(body, typeAt) : given;
      if (type === undefined) throw new Error(`a ${body.kind} node is made without a type`);
      const key = keyOf(body, type);
      const same = key === undefined ? undefined : known.get(key);
      if (same !== undefined) return same;
      if (key !== undefined) known.set(key, nodes.length);
      return nodes.push({ ...body, type, origin }) - 1;
    },
  };
}

/** What tells a node from others; undefined for nodes that are never the same as another. */
function keyOf(body: NodeBody, type: ValueType): string | undefined {
  const names = (axes: readonly Axis[]): string => axes.map((axis) => axis.name).join(',');
  const key = (...more: readonly (string | number | undefined)[]): string => `${body.kind} ${operandsOf(body).join(' ')} ${more.join(' ')}`;
  switch (body.kind) {
    case 'normal': case 'uniform': case 'dropout': case 'call': return undefined;
    case 'literal': return key(Object.is(body.value, -0) ? '-0' : String(body.value), names(type.axes));
    case 'input': return key(body.input);
    case 'param': return key(body.param);
    case 'count': return key(body.of);
    case 'index': return key(body.over, names(body.axes));
    case 'map': return key(body.fn);
    case 'contract': case 'softmax': return key(names(body.axes));
    case 'fold': return key(body.op, names(body.axes), ...body.silent);
    case 'top': return key(names(body.axes), ...body.silent);
    case 'compare': case 'logic': return key(body.op);
    case 'pick': case 'past': return key(body.axis.name);
    case 'conv': return key(body.taps.name);
    case 'rope': return key(body.axis.name, body.turn.name, body.pairs);
    case 'sinkhorn': return key(body.axis.name, body.tolerance);
    case 'result': return key(body.output);
    case 'mask': case 'restrict': case 'lift': case 'number': case 'before': case 'stop': case 'f32': return key();
  }
}
