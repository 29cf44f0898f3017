import { isAny } from '../../../ir/common/range.js';
import { scanBuilder, type ScanBuilder } from '../../../ir/scan/build.js';
import type { NodeId } from '../../../ir/scan/scan.js';
import type { Spec } from '../../../ir/spec/spec.js';
import { normalize } from '../../../passes/normalize/normalize.js';
import { rangeOf } from '../../../passes/normalize/ranges.js';
import { isRefusal } from '../../../passes/normalize/refusal.js';

/** Two inputs of one shape: what a state holds along the first is written along the second, times a number of this sign. */
export interface ErasePair {
  readonly erases: string;
  readonly writes: string;
  readonly sign: 1 | -1;
}

/**
 * Sources whose erase row and write column are two inputs as they come, but for numbers in front. An input is in one pair at most, and none
 * where a scan has no normal form.
 */
export function erasePairs(spec: Spec): readonly ErasePair[] {
  const { nodes, stages } = formOf(spec);
  const b = scanBuilder(nodes);
  const pairs: ErasePair[] = [];
  const paired = new Set<string>();
  for (const { col, erase } of stages.flatMap((stage) => (stage.kind === 'matrix' ? stage.sources : []))) {
    const [from, to] = [erase && rawInput(b, spec, erase.row), rawInput(b, spec, col)];
    if (from === undefined || to === undefined || from.input === to.input || from.input.scope !== to.input.scope) continue;
    const [erases, writes] = [from.input.name, to.input.name];
    if (paired.has(erases) || paired.has(writes)) continue;
    paired.add(erases).add(writes);
    pairs.push({ erases, writes, sign: from.sign === to.sign ? 1 : -1 });
  }
  return pairs;
}

function formOf(spec: Spec): Pick<ReturnType<typeof normalize>, 'nodes' | 'stages'> {
  if (spec.mode === 'sequential') return { nodes: [], stages: [] };
  try {
    return normalize(spec);
  } catch (error) {
    if (isRefusal(error)) return { nodes: [], stages: [] };
    throw error;
  }
}

interface RawInput {
  readonly input: Spec['inputs'][number];
  readonly sign: 1 | -1;
}

/** The unbounded vector that a node is, times numbers; those of unknown sign count as positive. */
function rawInput(b: ScanBuilder, spec: Spec, id: NodeId): RawInput | undefined {
  const node = b.nodes[id];
  if (node.kind === 'input') {
    const input = spec.inputs[node.input];
    return input.axes.length === 1 && isAny(input.range) ? { input, sign: 1 } : undefined;
  }
  if (node.kind !== 'map') return undefined;
  const [x, y] = node.args;
  const times = (vector: NodeId, number: NodeId): RawInput | undefined => {
    const found = b.axesOf(number).length === 0 ? rawInput(b, spec, vector) : undefined;
    return found && { ...found, sign: rangeOf(b, spec, number).hi <= 0 ? flipped(found.sign) : found.sign };
  };
  if (node.fn === 'neg') return times(x, b.literal(-1));
  if (node.fn === 'div') return times(x, y);
  return node.fn === 'mul' ? times(x, y) ?? times(y, x) : undefined;
}

function flipped(sign: 1 | -1): 1 | -1 {
  return sign === 1 ? -1 : 1;
}
