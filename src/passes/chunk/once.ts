import type { NodeId, Root, ScanNode } from '../../ir/scan/scan.js';
import { nodeArguments } from '../../ir/scan/scan.js';
import { math } from '../../math/index.js';
import type { Cost } from '../../math/math.js';
import { pairs } from '../../support/pairs.js';
import type { Context } from './context.js';

/** What a function costs for each element, in instructions of a kernel that has no register to spare. */
export const WEIGHTS: Readonly<Record<Cost, number>> = { simple: 1, root: 6, series: 10 };
/** A sum along a row, for each of its elements: the product that is summed, and threads that meet. */
const FOLD = 4;
/**
 * Gradients that cost more than this per channel are better made by a kernel of their own, which reads what the scan yields in f32: 8 bytes
 * more per channel. Solves of what a scan erases leave fewer registers.
 */
const LIGHT = { erasing: 32, plain: 64 };
/** Where there is such a kernel, it is given what costs more than this, too. */
const FEATHER = 12;

/** Is it a number per token that takes more than simple arithmetic? */
function isCostlyNumber(cx: Context, id: NodeId): boolean {
  if (cx.graph.axesOf(id).length > 0 || cx.graph.isStatic(id)) return false;
  const costly = (node: ScanNode): boolean => node.kind === 'reduce' || (node.kind === 'map' && math[node.fn].cost !== 'simple');
  const seen = new Set<NodeId>();
  const reaches = (at: NodeId): boolean => {
    if (seen.has(at) || cx.graph.isStatic(at)) return false;
    seen.add(at);
    const node = cx.graph.node(at);
    return costly(node) || nodeArguments(node).some(reaches);
  };
  return reaches(id);
}

/**
 * The numbers per token among what values are made of that are worth keeping: one kernel works them out for all that come, at 4 bytes a
 * token. Of what simple arithmetic makes of one such number, that number.
 */
export function costlyNumbers(cx: Context, ids: readonly NodeId[], before: number): readonly NodeId[] {
  const found = new Set<NodeId>();
  const seen = new Set<NodeId>();
  const visit = (id: NodeId): void => {
    if (seen.has(id) || cx.graph.isStatic(id)) return;
    seen.add(id);
    const node = cx.graph.node(id);
    const moving = nodeArguments(node).filter((arg) => !cx.graph.isStatic(arg));
    const passes = node.kind === 'map' && math[node.fn].cost === 'simple' && moving.length === 1;
    if (!passes && cx.graph.home(id) < before && isCostlyNumber(cx, id)) found.add(id);
    else moving.forEach(visit);
  };
  ids.forEach(visit);
  return [...found];
}

/** What the gradient takes besides the results of the scan, for each channel of a token. */
function weightOf(cx: Context, root: Root): number {
  const seen = new Set<NodeId>();
  const weigh = (id: NodeId): number => {
    if (seen.has(id) || cx.graph.isStatic(id)) return 0;
    seen.add(id);
    const node = cx.graph.node(id);
    const own = node.kind === 'map' && cx.graph.axesOf(id).length > 0 ? WEIGHTS[math[node.fn].cost] : node.kind === 'reduce' ? FOLD : 0;
    return nodeArguments(node).reduce((sum, arg) => sum + weigh(arg), own);
  };
  return root.value === undefined ? 0 : weigh(root.value);
}

/**
 * Gradients that a kernel of their own makes of what the scans yield, and not the kernels that yield it: those that cost much per channel,
 * and with them what is some work and reads no other vectors.
 */
export function heavyRoots(cx: Context): ReadonlySet<Root> {
  const roots = cx.program.roots.filter((root) => !cx.cuts.isAfter(root));
  const weights = new Map(roots.map((root) => [root, weightOf(cx, root)]));
  const isHeavier = (root: Root, than: number) => (weights.get(root) ?? 0) > than;
  const vectors = pairs<true>();
  for (const node of cx.graph.builder.nodes) if (node.kind === 'result' && node.axes.length > 0) vectors.set(node.stage, node.slot, true);
  const readBy = (root: Root) => cx.graph.results(root.value === undefined ? [] : [root.value]).keys()
    .filter(([stage, slot]) => vectors.has(stage, slot));
  const erases = (root: Root) => readBy(root).some(([at]) => {
    const stage = cx.program.stages[at];
    return stage.kind === 'matrix-adjoint' && stage.of.sources.some(({ erase }) => erase !== undefined);
  });
  const heavy = roots.filter((root) => isHeavier(root, erases(root) ? LIGHT.erasing : LIGHT.plain));
  const stored = pairs<true>();
  for (const [stage, slot] of heavy.flatMap(readBy)) stored.set(stage, slot, true);
  const joining = heavy.length === 0 ? []
    : roots.filter((root) => isHeavier(root, FEATHER) && readBy(root).every(([stage, slot]) => stored.has(stage, slot)));
  return new Set([...heavy, ...joining]);
}
