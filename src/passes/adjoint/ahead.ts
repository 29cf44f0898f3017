import type { ScanBuilder } from '../../ir/scan/build.js';
import { nodeArguments, type NodeId, type Root, type ScanNode } from '../../ir/scan/scan.js';

/**
 * Cotangents at later tokens: what a value gets back from those who read it at tokens after its own. Other chunks work these out, so they
 * are left in memory and loaded; factors that are the same at every token are applied after that, so that several readers share one tensor.
 */
export interface Ahead {
  /** `cotangent` so many tokens later, 0 beyond the sequence; it belongs to `from`. */
  later(cotangent: NodeId, by: number, from: NodeId): NodeId;
  /** `value` with loads in the place of what is left in memory, if it reads any of that: then it is for kernels that come after. */
  settled(value: NodeId): NodeId;
  /** What has to be left. */
  roots(): readonly Root[];
}

export function aheadOf(b: ScanBuilder): Ahead {
  const kept = new Map<NodeId, NodeId>();
  const statics = new Map<NodeId, boolean>();
  const isStatic = (id: NodeId): boolean => {
    const known = statics.get(id);
    if (known !== undefined) return known;
    const node = b.nodes[id];
    const leaf = ['input', 'past', 'ahead', 'last', 'cotangent', 'result'].includes(node.kind);
    const made = !leaf && nodeArguments(node).every(isStatic);
    statics.set(id, made);
    return made;
  };
  /** The argument that changes from token to token, if the others only scale it. */
  const scaled = (node: ScanNode): number | undefined => {
    if (node.kind !== 'map' || (node.fn !== 'mul' && node.fn !== 'div' && node.fn !== 'neg')) return undefined;
    const moving = node.args.flatMap((arg, i) => (isStatic(arg) ? [] : [i]));
    return moving.length === 1 && !(node.fn === 'div' && moving[0] === 1) ? moving[0] : undefined;
  };
  const isSum = (node: ScanNode): boolean => node.kind === 'map' && (node.fn === 'add' || node.fn === 'sub');
  const inMemory = (id: NodeId): boolean => {
    const node = b.nodes[id];
    if (node.kind === 'ahead' || node.kind === 'last' || node.kind === 'cotangent' || kept.has(id)) return true;
    if (isSum(node)) return nodeArguments(node).every(inMemory);
    const moving = scaled(node);
    return node.kind === 'map' && moving !== undefined && inMemory(node.args[moving]);
  };
  const load = (id: NodeId, by: number): NodeId => b.node({
    kind: 'ahead', of: id, ahead: by, axes: b.axesOf(id), origin: b.nodes[id].origin,
  });

  const later = (id: NodeId, by: number, from: NodeId): NodeId => {
    const node = b.nodes[id];
    if (node.kind === 'ahead') return load(node.of, node.ahead + by);
    if (node.kind === 'last') return b.node({ ...node, back: node.back + by });
    if (node.kind === 'cotangent') return load(id, by);
    const moving = scaled(node);
    if (node.kind === 'map' && moving !== undefined) return b.map(
      node.fn, ...node.args.map((arg, i) => (i === moving ? later(arg, by, from) : arg))
    );
    if (node.kind === 'map' && isSum(node) && node.args.some(inMemory)) return b.map(
      node.fn, ...node.args.map((arg) => later(arg, by, from))
    );
    if (!kept.has(id)) kept.set(id, from);
    return load(id, by);
  };

  const settled = (value: NodeId): NodeId => {
    const known = new Map<NodeId, NodeId>();
    const reads = (id: NodeId, seen = new Set<NodeId>()): boolean => {
      if (seen.has(id)) return false;
      seen.add(id);
      return b.nodes[id].kind === 'ahead' || nodeArguments(b.nodes[id]).some((arg) => reads(arg, seen));
    };
    const rewrite = (id: NodeId): NodeId => {
      const found = known.get(id);
      if (found !== undefined) return found;
      const node = b.nodes[id];
      const made = kept.has(id) ? load(id, 0)
        : node.kind === 'map' ? b.map(node.fn, ...node.args.map(rewrite))
          : node.kind === 'reduce' ? b.reduce(node.op, node.axis, rewrite(node.arg)) : id;
      known.set(id, made);
      return made;
    };
    return reads(value) ? rewrite(value) : value;
  };

  return { later, settled, roots: () => [...kept].map(([value, from]): Root => ({ kind: 'kept', value, from })) };
}
