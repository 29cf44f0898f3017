import type { Graph, Instance, ScanPart } from '../../ir/graph/graph.js';
import { below, instancePath } from '../../ir/graph/paths.js';
import type { Axis } from '../../ir/graph/types.js';
import { groupBy } from '../../support/group.js';

/** A part where it stands in a model. */
export interface Place {
  readonly part: Graph | ScanPart;
  /** `ffn.3.expert`; '' for the model itself. */
  readonly path: string;
  /** Axes of the families around it. */
  readonly family: readonly Axis[];
  /** Loop variables around it: `i` is 3. */
  readonly turns: ReadonlyMap<string, number | string>;
}

export function wholeOf(graph: Graph): Place {
  return { part: graph, path: '', family: [], turns: new Map() };
}

/** The parts below a place, by their names. */
export type Below = (place: Place, name: string) => readonly Place[];

/** Instances are looked up once for every part, however often it stands in a model. */
export function findsBelow(): Below {
  const known = new Map<Graph, ReadonlyMap<string, readonly Instance[]>>();
  const byName = (graph: Graph): ReadonlyMap<string, readonly Instance[]> => {
    const found = known.get(graph) ?? groupBy(graph.instances, ({ name }) => name);
    known.set(graph, found);
    return found;
  };
  return ({ part, path, family, turns }, name) => (part.kind === 'scan' ? [] : byName(part).get(name) ?? []).map((instance) => ({
    part: instance.part,
    path: below(path, instancePath(instance)),
    family: [...family, ...instance.family],
    turns: new Map([...turns, ...instance.loops]),
  }));
}
