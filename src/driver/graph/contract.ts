import { ANY, type Range } from '../../ir/common/range.js';
import type { Graph } from '../../ir/graph/graph.js';
import { lossPathsOf, paramsOf } from '../../ir/graph/paths.js';
import type { Axis } from '../../ir/graph/types.js';

/** One tensor of the file contract of a layer, mixture or model. */
export interface GraphTensor {
  /** In a file: an input's or output's name, a path of a param or buffer, `d_` before it for gradients and cotangents. */
  readonly name: string;
  readonly role: 'input' | 'param' | 'buffer' | 'output' | 'cotangent' | 'loss weight';
  /** Has it one value per token? Its extents begin with [B, T] then. */
  readonly perToken: boolean;
  readonly axes: readonly Axis[];
  /** The axis that its numbers are indices of. */
  readonly of: Axis | undefined;
  readonly range: Range;
}

/** What a graph takes (README: files in, files out). */
export interface GraphContract {
  readonly inputs: readonly GraphTensor[];
  /** Params and buffers by path. */
  readonly weights: readonly GraphTensor[];
  /** `d_OUT` of outputs, and `d_loss.PATH`, one number, of every loss. */
  readonly cotangents: readonly GraphTensor[];
}

export function contractOf(graph: Graph): GraphContract {
  return {
    inputs: graph.inputs.map(({ name, type, range }) => ({ name, role: 'input', perToken: true, axes: type.axes, of: type.of, range })),
    weights: paramsOf(graph).map(({ path, axes, buffer, range }) => ({
      name: path, role: buffer ? 'buffer' : 'param', perToken: false, axes, of: undefined, range,
    })),
    cotangents: [
      ...graph.outputs.map(
        ({ name, axes }) : GraphTensor => ({ name: `d_${name}`, role: 'cotangent', perToken: true, axes, of: undefined, range: ANY })
      ),
      ...[...new Set(lossPathsOf(graph))].map(
        (path) : GraphTensor => ({ name: `d_loss.${path}`, role: 'loss weight', perToken: false, axes: [], of: undefined, range: ANY })
      ),
    ],
  };
}

/** `[B, T, D]`, as messages list extents. */
export function extentNames({ perToken, axes }: GraphTensor): readonly string[] {
  return [...(perToken ? ['B', 'T'] : []), ...axes.map(({ name }) => name)];
}

export function extents({ perToken, axes }: GraphTensor, call: { readonly batch: number; readonly tokens: number }): readonly number[] {
  return [...(perToken ? [call.batch, call.tokens] : []), ...axes.map(({ size }) => size)];
}
