import { NO_SPAN } from '../common/span.js';
import type { Graph } from './graph.js';

/** Places in the source, and how checkpoints store params: nothing that evaluates a graph needs them. */
const LEFT_OUT: ReadonlySet<string> = new Set(['origin', 'names']);

/**
 * A graph as JSON, for hosts without the compiler. Parts that are called often are written once, before those that call them: `{"$part":
 * 3}` is the fourth of the list. Numbers that JSON lacks are `{"$number": "Infinity"}`, maps `{"$map": [[key, value], ...]}`.
 */
export function graphJson(graph: Graph): string {
  const parts: unknown[] = [];
  const places = new Map<Graph, number>();
  const place = (part: Graph): number => {
    const known = places.get(part);
    if (known !== undefined) return known;
    const instances = part.instances.map((instance) => ({
      ...instance, part: instance.part.kind === 'scan' ? instance.part : { $part: place(instance.part) },
    }));
    const text = written({ ...part, instances });
    places.set(part, parts.length);
    parts.push({ $graph: text });
    return parts.length - 1;
  };
  place(graph);
  return JSON.stringify({ format: FORMAT, parts });
}

/** Plain data as what JSON has. */
export function written(value: unknown): unknown {
  if (typeof value === 'number' && !Number.isFinite(value)) return { $number: String(value) };
  if (typeof value !== 'object' || value === null) return value;
  if (value instanceof Map) return { $map: [...value].map(written) };
  if (Array.isArray(value)) return value.map(written);
  return Object.fromEntries(Object.entries(value).flatMap(([key, field]) => (
    LEFT_OUT.has(key) || field === undefined ? [] : [[key, written(field)]]
  )));
}

/** The other way, of a value whose members are data again. */
export function restored(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if ('$number' in value) return Number(value.$number);
  if ('$map' in value && Array.isArray(value.$map)) return new Map(value.$map);
  return Array.isArray(value) || value instanceof Map ? value : { ...value, origin: NO_SPAN };
}

const FORMAT = 'lmoec-graph-1';

/** What `graphJson` wrote. Throws where the text is something else. */
export function readGraph(text: string): Graph {
  const parts: Graph[] = [];
  const read: { readonly format?: string } = JSON.parse(text, (_, value: unknown) => {
    if (typeof value !== 'object' || value === null) return value;
    if ('$part' in value) return parts[Number(value.$part)];
    if ('$graph' in value) {
      // The writer's types are the reader's.
      parts.push({ names: [], choices: [], init: undefined, ...value.$graph as object, origin: NO_SPAN } as unknown as Graph);
      return parts.at(-1);
    }
    return restored(value);
  });
  const graph = parts.at(-1);
  if (read.format !== FORMAT || graph === undefined) throw new Error(`no graph of the format ${FORMAT}`);
  return graph;
}
