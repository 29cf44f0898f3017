import type { Axis } from '../../ir/common/axes.js';
import type { Range } from '../../ir/common/range.js';
import { gateAxes, nodeArguments, type Gate, type MatrixAdjoint, type MatrixStage, type NodeId, type Reader } from '../../ir/scan/scan.js';
import { LEAST_LOG_DECAY } from '../../ir/tile/tile.js';
import { needed, type Context, type Site } from './context.js';
import { factored, type Factored, type Graph } from './graph.js';
import { costlyNumbers } from './once.js';

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

/**
 * What one decay is for: nothing decays; the whole state; the state at one place of the row axis, so that decays are inside the scores; at
 * one of a value axis.
 */
export type Reach = 'none' | 'state' | 'rows' | 'values';

function reachOf({ gate, rowAxis }: MatrixStage): Reach {
  switch (gate.kind) {
    case 'none': return 'none';
    case 'scalar': return 'state';
    case 'channel': return gate.axis === rowAxis ? 'rows' : 'values';
  }
}

/** A matrix stage as the chunk kernels see it. */
export interface Parts {
  readonly stage: MatrixStage;
  readonly row: Axis;
  /** V; undefined for a state that is a vector. */
  readonly value: Axis | undefined;
  readonly gate: Gate;
  readonly reach: Reach;
  /** The value axis that decays differ along. */
  readonly alongValue: Axis | undefined;
  /** Do they along the row axis? */
  readonly channels: boolean;
  /** Is a log gate made of tensors rather than one of them, and may be less than what running sums clamp it to? */
  readonly clampedGate: boolean;
  /**
   * Must the pairs of a chunk cancel in the gradient of the gate to the last digit, though products round their operands
   * (docs/algorithms.md: the chunk)?
   */
  readonly exactGate: boolean;
  readonly reads: readonly ReadPart[];
  readonly sources: readonly SourcePart[];
  /** Sources that erase: unknowns of the chunk's triangular system. */
  readonly erasing: readonly number[];
  /** Sources that only write. */
  readonly pure: readonly number[];
}

/** `range`: where a value lies, as far as declared ranges tell. */
export function partsOf(graph: Graph, stage: MatrixStage, range: (id: NodeId) => Range): Parts {
  const reach = reachOf(stage);
  const channels = reach === 'rows';
  const several = stage.sources.filter((source) => source.erase !== undefined).length > 1;
  const isLog = stage.gate.kind !== 'none' && stage.gate.factor === undefined;
  const computedGate = isLog && isComputed(graph, stage.gate.log);
  // A gate without a lower bound has a function without one before it, whose slope is steepest where the decay leaves least to a gradient.
  // Along the value axis that takes more tiles than a block has room for where 163 KB are all.
  const steep = reach !== 'values' && isLog && range(stage.gate.log).lo === -Infinity;
  const exactGate = isLog && (several || computedGate || steep);
  const vector = (node: NodeId): Vector => {
    const found = factored(graph, node);
    // A number per token in front of a score would round it differently for who reads and for who writes.
    const whole = exactGate && channels && found.base !== undefined && !found.scalars.every(graph.isStatic);
    return { ...(whole ? { literal: 1, scalars: [], base: node } : found), node };
  };
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
    reach,
    alongValue: reach === 'values' ? gateAxes(stage.gate)[0] : undefined,
    channels,
    clampedGate: computedGate && range(stage.gate.log).lo <= LEAST_LOG_DECAY,
    exactGate,
    reads: stage.reads.map(read),
    erasing: indices.filter((i) => sources[i].erase !== undefined),
    pure: indices.filter((i) => sources[i].erase === undefined && sources[i].value !== undefined),
  };
}

/** Is a gate made of tensors rather than one of them? What it is made of may sum its gradient over all tokens, or divide it by little. */
function isComputed(graph: Graph, log: NodeId): boolean {
  const reaches = (id: NodeId): boolean => ['input', 'param', 'result'].includes(graph.node(id).kind)
    || nodeArguments(graph.node(id)).some(reaches);
  return graph.node(log).kind !== 'input' && reaches(log);
}

const vectorsOf = (parts: Parts): readonly Vector[] => [
  ...parts.reads.map((read) => read.row), ...parts.sources.flatMap((source) => [source.col, ...(source.erase ? [source.erase.row] : [])]),
];

/**
 * Are there numbers per token in front of scores, or vectors that are not in memory as products see them? Then reading and writing sides
 * round apart.
 */
export function isUneven(graph: Graph, parts: Parts): boolean {
  return vectorsOf(parts).some(({ scalars, base }) => !scalars.every(graph.isStatic) || (base !== undefined && !isTensor(graph, base)));
}

/** Does a tensor in memory have the values? */
export function isTensor(graph: Graph, id: NodeId): boolean {
  return ['input', 'cotangent', 'result'].includes(graph.node(id).kind);
}

/**
 * Values that meet themselves in the gradient of an exact gate, once as the operand of a product and once element by element: they are
 * stored, so that both are the same 16 bits. `adjoint`: those that its cotangents bring, else those of the stage itself.
 */
export function roundedFor(graph: Graph, parts: Parts, adjoint?: MatrixAdjoint): readonly NodeId[] {
  if (!parts.exactGate || parts.reach === 'none' || parts.reach === 'state') return [];
  const ids = ((): readonly (NodeId | undefined)[] => {
    if (parts.channels) return adjoint === undefined ? vectorsOf(parts).map((vector) => vector.base) : [];
    return adjoint === undefined ? parts.sources.map((source) => source.value) : adjoint.given;
  })();
  return ids.filter((id) => id !== undefined).filter((id) => !graph.isStatic(id) && graph.axesOf(id).length > 0 && !isTensor(graph, id));
}

/** The walks of a stage. */
export function walkSite(parts: Parts): Site {
  return { kind: 'walk', allowed: parts.stage.valueAxes, split: parts.value };
}

/** Values that the walks of a stage read: vectors (but not where scaled ones are stored), their factors, written values, the gate. */
export function walkOperands(parts: Parts): readonly NodeId[] {
  return [
    ...vectorsOf(parts).flatMap((v) => [...(parts.channels || v.base === undefined ? [] : [v.base]), ...v.scalars]),
    ...parts.sources.flatMap((source) => (source.value === undefined ? [] : [source.value])),
    ...(parts.gate.kind === 'none' || parts.channels ? [] : [parts.gate.log]),
  ];
}

/**
 * Values that a chunk kernel has to store for the walks of stage `index`, besides `more`; and numbers that walks, or other kernels that
 * read `also`, would have to work out again, where there is such a kernel anyway.
 */
export function storedFor(
  cx: Context, parts: Parts, index: number, more: readonly NodeId[], also: readonly NodeId[] = [],
): readonly NodeId[] {
  const { gate } = parts;
  // Running sums along the tokens of a computed gate that walks split: better of a tensor than of every block's own values.
  const split = gate.kind !== 'none' && parts.reach === 'values' && isComputed(cx.graph, gate.log) && cx.graph.home(gate.log) < index
    ? [gate.log]
    : [];
  const operands = [...walkOperands(parts), ...more];
  const numbers = parts.channels || parts.erasing.length > 0 ? costlyNumbers(cx, [...operands, ...also], index) : [];
  return [...new Set([...needed(cx, walkSite(parts), operands, [index]), ...split, ...numbers])];
}

