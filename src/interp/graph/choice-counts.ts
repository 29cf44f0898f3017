import { below, lossPath } from '../../ir/graph/paths.js';
import { maskValue } from './choice.js';
import type { Run, Scope } from './scope.js';
import { sizeOf, type Value } from './value.js';

/**
 * How often each index was chosen, of choices with names that were computed: indices of families around them first, then axes of their own.
 * What is chosen once for a sequence counts once for it.
 */
export function chosenCounts({ choosing }: Run): ReadonlyMap<string, Float64Array> {
  const found = new Map<string, Float64Array>();
  for (const scope of choosing) {
    for (const choice of scope.graph.choices) {
      const value = scope.values[choice.value];
      if (value === undefined) continue;
      const path = below(scope.path, lossPath(choice));
      const counts = found.get(path) ?? new Float64Array(scope.lane.count * sizeOf(value.axes));
      found.set(path, counts);
      add(scope, maskValue({ tokens: scope.tokens, tape: undefined }, value), counts);
    }
  }
  return found;
}

function add({ lane }: Scope, { data, cell }: Value, counts: Float64Array): void {
  const first = lane.index * cell;
  for (let i = 0; i < data.length; i++) counts[first + (i % cell)] += data[i];
}
