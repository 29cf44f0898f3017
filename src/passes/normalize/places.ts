import type { ScanNode } from '../../ir/scan/scan.js';
import type { Pairs } from '../../support/pairs.js';

/** Where results of stages are found: by stage and slot as they were, the stage and slot that they have now. */
export type Places = Pairs<readonly [stage: number, slot: number]>;

/** Nodes whose results are found where `places` says; those that it does not name stay. */
export function placed(nodes: readonly ScanNode[], places: Places): readonly ScanNode[] {
  return nodes.map((node) => {
    const place = node.kind === 'result' ? places.get(node.stage, node.slot) : undefined;
    return node.kind === 'result' && place !== undefined ? { ...node, stage: place[0], slot: place[1] } : node;
  });
}
