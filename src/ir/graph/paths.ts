import type { Range } from '../common/range.js';
import type { Span } from '../common/span.js';
import type { Graph, GraphLoss, GraphParam, Instance, Law } from './graph.js';
import type { Axis } from './types.js';

/** A param or buffer of a graph or of a part below it, as native files store it. */
export interface PathParam {
  /** `la.0.Wq`, `ffn.3.expert.gate`. */
  readonly path: string;
  /** Axes of the families around it, outermost first, and then its own. */
  readonly axes: readonly Axis[];
  /** Of the families alone: each index of them is a param of its own. */
  readonly family: readonly Axis[];
  readonly buffer: boolean;
  readonly f32: boolean;
  readonly decay: boolean;
  readonly range: Range;
  /** Its own, or the `init` of the nearest part around it; undefined: nobody says. */
  readonly law: Law | undefined;
  /** Where it is declared. */
  readonly origin: Span;
}

/** `la`, or `la.3` in a turn of a `repeat`. */
export function instancePath({ name, turns }: Pick<Instance, 'name' | 'turns'>): string {
  return [name, ...turns].join('.');
}

/** `balance`, or `balance.3` of a loss that stands in a `repeat`. */
export function lossPath({ name, turns }: Pick<GraphLoss, 'name' | 'turns'>): string {
  return [name, ...turns].join('.');
}

/** What a part's path puts in front of the names in it. */
export function below(path: string, name: string): string {
  return path === '' ? name : `${path}.${name}`;
}

/** All params and buffers, those of a part before those of the parts that it calls. */
export function paramsOf(graph: Graph, path = '', family: readonly Axis[] = [], init?: Law): PathParam[] {
  const law = graph.init ?? init;
  const own = graph.params.map((param) => placed(param, below(path, param.name), family, law));
  return own.concat(graph.instances.flatMap((instance) => {
    const place = below(path, instancePath(instance));
    const around = [...family, ...instance.family];
    const { part } = instance;
    if (part.kind !== 'scan') return paramsOf(part, place, around, law);
    const heads = part.heads.filter((head) => !instance.family.some((axis) => axis.name === head.name));
    return part.spec.params.map(({ name, axes, range }): PathParam => {
      const own = [...heads, ...axes.map((axis): Axis => ({ name: axis, size: part.sizes.get(axis) ?? NaN, past: false }))];
      const stored = { buffer: false, f32: true, decay: own.length > 1, range, law, origin: part.origin };
      return { path: below(place, name), axes: [...around, ...own], family: around, ...stored };
    });
  }));
}

function placed(param: GraphParam, path: string, family: readonly Axis[], init: Law | undefined): PathParam {
  const { axes, buffer, f32, decay, range, law, origin } = param;
  return { path, axes: [...family, ...axes], family, buffer, f32, decay, range, law: law ?? init, origin };
}

/** Paths of all losses, those of a part before those of the parts that it calls. */
export function lossPathsOf(graph: Graph, path = ''): readonly string[] {
  return [
    ...graph.losses.map((loss) => below(path, lossPath(loss))),
    ...graph.instances.flatMap((instance) => (
      instance.part.kind === 'scan' ? [] : lossPathsOf(instance.part, below(path, instancePath(instance)))
    )),
  ];
}
