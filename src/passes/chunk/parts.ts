import type { Axis } from '../../ir/common/axes.js';
import type { Gate, MatrixStage, NodeId, Reader } from '../../ir/scan/scan.js';
import { needed, type Context, type Site } from './context.js';
import { factored, type Factored, type Graph } from './graph.js';

/** A vector over the row axis: numbers per token (`scalars`, `literal`) times a tensor. */
export interface Vector extends Factored {
  readonly node: NodeId;
}

export interface ReadPart {
  readonly row: Vector;
  readonly before: boolean;
  /** Sources of the same token that it sees. */
  readonly sees: readonly boolean[];
}

export interface SourcePart {
  readonly col: Vector;
  readonly value: NodeId | undefined;
  readonly erase: ReadPart | undefined;
}

/** A matrix stage as the chunk kernels see it. */
export interface Parts {
  readonly stage: MatrixStage;
  readonly row: Axis;
  /** V; undefined for a state that is a vector. */
  readonly value: Axis | undefined;
  readonly gate: Gate;
  /** Does the gate run along the row axis, so that decays are inside the scores? */
  readonly channels: boolean;
  readonly reads: readonly ReadPart[];
  readonly sources: readonly SourcePart[];
  /** Sources that erase: unknowns of the chunk's triangular system. */
  readonly erasing: readonly number[];
  /** Sources that only write. */
  readonly pure: readonly number[];
}

export function partsOf(graph: Graph, stage: MatrixStage): Parts {
  const vector = (node: NodeId): Vector => ({ ...factored(graph, node), node });
  const ungated = stage.gate.kind === 'none';
  const read = (reader: Reader): ReadPart => ({ row: vector(reader.row), before: reader.before && !ungated, sees: reader.sees });
  const sources = stage.sources.map((source): SourcePart => ({
    col: vector(source.col), value: source.value, erase: source.erase && read(source.erase),
  }));
  const indices = sources.map((_, i) => i);
  return {
    stage, sources,
    row: stage.rowAxis,
    value: stage.valueAxes[0],
    gate: stage.gate,
    channels: stage.gate.kind === 'channel' && stage.gate.axis === stage.rowAxis,
    reads: stage.reads.map(read),
    erasing: indices.filter((i) => sources[i].erase !== undefined),
    pure: indices.filter((i) => sources[i].erase === undefined && sources[i].value !== undefined),
  };
}

/** The walks of a stage. */
export function walkSite(parts: Parts): Site {
  return { kind: 'walk', allowed: parts.stage.valueAxes, split: parts.value };
}

/** Values that the walks of a stage read: vectors (but not where scaled ones are stored), their factors, written values, the gate. */
export function walkOperands(parts: Parts): readonly NodeId[] {
  const vectors = [...parts.reads.map((read) => read.row), ...parts.sources.flatMap((source) => [source.col, ...(source.erase ? [source.erase.row] : [])])];
  return [
    ...vectors.flatMap((v) => [...(parts.channels || v.base === undefined ? [] : [v.base]), ...v.scalars]),
    ...parts.sources.flatMap((source) => (source.value === undefined ? [] : [source.value])),
    ...(parts.gate.kind === 'none' || parts.channels ? [] : [parts.gate.log]),
  ];
}

/** Values that a chunk kernel has to store for the walks of stage `index`, besides `more`. */
export function storedFor(cx: Context, parts: Parts, index: number, more: readonly NodeId[]): readonly NodeId[] {
  return needed(cx, walkSite(parts), [...walkOperands(parts), ...more], [index]);
}

