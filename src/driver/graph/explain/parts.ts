import type { Graph, ScanPart } from '../../../ir/graph/graph.js';
import { instanceCounts } from '../../../passes/graph/counts.js';
import { axesText } from './axes.js';

/** A part as it is used: what it takes and gives at these sizes. */
export interface PartText {
  readonly name: string;
  readonly kind: Graph['kind'] | 'scan';
  readonly takes: readonly string[];
  readonly gives: readonly string[];
  /** Settings besides the sizes of what it takes and gives. */
  readonly settings: readonly string[];
  /** Of one instance; of a family, of all members. */
  readonly params: number;
}

/** The parts that a graph calls, those that are used alike once, in the order of the text. */
export function partsOf(graph: Graph): readonly PartText[] {
  const found = new Map<string, PartText>();
  graph.instances.forEach(({ part }, i) => {
    const text: PartText = { ...(part.kind === 'scan' ? scanText(part) : graphText(part)), params: instanceCounts(graph, i).params };
    const key = JSON.stringify(text);
    if (!found.has(key)) found.set(key, text);
  });
  return [...found.values()];
}

function graphText({ name, kind, inputs, outputs, settings }: Graph): Omit<PartText, 'params'> {
  const axes = new Set([...inputs.flatMap(({ type }) => type.axes), ...outputs.flatMap((output) => output.axes)].map((axis) => axis.name));
  return {
    name,
    kind,
    takes: inputs.map(({ name: own, type }) => `${own}: ${type.of === undefined ? axesText(type.axes) : `one of ${type.of.name}`}`),
    gives: outputs.map(({ name: own, axes: of }) => `${own}: ${axesText(of)}`),
    settings: [...settings].filter(([key]) => !axes.has(key)).map(([key, value]) => (
      `${key}=${typeof value === 'number' ? Number(value.toPrecision(6)) : value}`
    )),
  };
}

function scanText({ name, spec, sizes, heads }: ScanPart): Omit<PartText, 'params'> {
  const sized = (axes: readonly string[]) => axesText(axes.map((axis) => ({ name: axis, size: sizes.get(axis) ?? NaN })));
  return {
    name,
    kind: 'scan',
    takes: spec.inputs.map(({ name: own, axes }) => `${own}: ${sized(axes)}`),
    gives: spec.outputs.map(({ name: own, axes }) => `${own}: ${sized(axes)}`),
    settings: heads.length === 0 ? [] : [`heads ${axesText(heads)}`],
  };
}
