import type { Graph } from '../../ir/graph/graph.js';
import type { AnyTensor } from '../run/validate.js';
import { contractOf } from './contract.js';

/** Numbers, texts and names of parts in place of those of a header. */
export type Settings = ReadonlyMap<string, number | string>;

/**
 * Settings that the shapes of tensors tell: where an axis has the name and the size of a setting of `graph`, its extent is that number.
 * Axes of parts that have a size of their own (`use f = part with D = Z`) do not. What was given stays.
 */
export function settingsTold(graph: Graph, given: Settings, tensors: ReadonlyMap<string, AnyTensor>): Settings {
  const told = new Map(given);
  const { inputs, weights } = contractOf(graph);
  for (const { name: tensor, perToken, axes } of [...inputs, ...weights]) {
    const found = tensors.get(tensor)?.shape;
    const lead = perToken ? 2 : 0;
    if (found === undefined || found.length !== lead + axes.length) continue;
    axes.forEach(({ name, size }, i) => {
      if (graph.settings.get(name) === size && !told.has(name) && found[lead + i] > 0) told.set(name, found[lead + i]);
    });
  }
  return told;
}
