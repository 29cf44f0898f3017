import type { Graph } from '../../ir/graph/graph.js';
import { signatureOf } from '../../ir/graph/signature.js';
import type { Settings } from '../parts.js';
import type { AnyTensor } from '../run/validate.js';

/**
 * Settings that the shapes of tensors tell: where an axis has the name and the size of a setting of `graph`, its extent is that number.
 * Axes of parts that have a size of their own (`use f = part with D = Z`) do not. What was given stays.
 */
export function settingsTold(graph: Graph, given: Settings, tensors: ReadonlyMap<string, AnyTensor>): Settings {
  const told = new Map(given);
  for (const { name: tensor, leading, axes, sizes } of signatureOf(graph).required) {
    const found = tensors.get(tensor)?.shape;
    const lead = leading.length;
    if (found === undefined || found.length !== lead + axes.length) continue;
    axes.forEach((name, i) => {
      if (graph.settings.get(name) === sizes?.[i] && !told.has(name) && found[lead + i] > 0) told.set(name, found[lead + i]);
    });
  }
  return told;
}
