import type { Span } from '../common/span.js';
import type { GraphNode, NodeBody } from './graph.js';
import { isTyped, typeOf } from './typing.js';
import type { ValueType } from './types.js';

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

/** Undefined for nodes that are never the same as another. */
function keyOf(body: NodeBody, type: ValueType): string | undefined {
  switch (body.kind) {
    case 'normal': case 'uniform': case 'dropout': case 'call': return undefined;
    case 'literal': return JSON.stringify(['literal', Object.is(body.value, -0) ? '-0' : String(body.value), type.axes]);
    default: return JSON.stringify(body);
  }
}
