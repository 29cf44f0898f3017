import type { Graph, Law, LawNode } from '../../ir/graph/graph.js';
import { paramsOf, type PathParam } from '../../ir/graph/paths.js';
import type { Axis } from '../../ir/graph/types.js';
import { scalarFunction } from './map.js';
import { fillDraws, keyOf, type NoiseKey } from '../../support/noise.js';
import { elementMap, hasAxis, sizeOf } from './value.js';

/** What a param without any law starts from. */
const DEFAULT: Law = { nodes: [{ kind: 'normal', std: 0.02 }], value: 0, origin: { file: '<builtin>', start: 0, end: 0 } };

/** All params and buffers at their start, by path. Each has draws of its own, keyed by seed and path. */
export function initial(graph: Graph, seed: number): Map<string, Float64Array> {
  return new Map(paramsOf(graph).map((param) => [param.path, start(param, seed)]));
}

function start({ path, axes, family, law = DEFAULT }: PathParam, seed: number): Float64Array {
  const values: Float64Array[] = [];
  law.nodes.forEach((node, id) => values.push(lawValue(node, { axes, family, key: keyOf(seed, path, id), values })));
  return values[law.value];
}

interface Place {
  readonly axes: readonly Axis[];
  readonly family: readonly Axis[];
  readonly key: NoiseKey;
  readonly values: readonly Float64Array[];
}

/** One number for every element of the param: a law without axes is repeated, with draws of their own. */
function lawValue(node: LawNode, { axes, family, key, values }: Place): Float64Array {
  const size = sizeOf(axes);
  const drawn = (draw: 'normal' | 'uniform'): Float64Array => {
    const out = new Float64Array(size);
    fillDraws(draw, key, [0, 0, 0], out, 0, size);
    return out;
  };
  switch (node.kind) {
    case 'literal': return new Float64Array(size).fill(node.value);
    case 'index': return Float64Array.from(elementMap(axes, node.axes));
    case 'map': {
      const f = scalarFunction(node.fn);
      const [x, y = x] = node.args.map((arg) => values[arg]);
      return x.map((value, i) => f(value, y[i]));
    }
    case 'normal': return drawn('normal').map((x) => node.std * x);
    case 'uniform': return drawn('uniform').map((x) => node.lo + (node.hi - node.lo) * x);
    case 'orthogonal': {
      const own = axes.filter((axis) => !hasAxis(family, axis));
      const rows = own.length === 0 ? 1 : own[0].size;
      const matrices = drawn('normal');
      const one = sizeOf(own);
      for (let at = 0; at < size; at += one) orthonormalize(matrices.subarray(at, at + one), rows, one / rows);
      return matrices.map((x) => node.gain * x);
    }
  }
}

/**
 * Makes the rows of a matrix orthonormal, or its columns where there are fewer of them, one after the other. What is taken off is taken
 * off twice, since once leaves what rounding adds. Normal draws have no direction, and neither has the result.
 */
function orthonormalize(matrix: Float64Array, rows: number, columns: number): void {
  const [count, length, step, along] = rows <= columns ? [rows, columns, columns, 1] : [columns, rows, 1, columns];
  const dot = (a: number, b: number): number => {
    let sum = 0;
    for (let i = 0; i < length; i++) sum += matrix[a * step + i * along] * matrix[b * step + i * along];
    return sum;
  };
  for (let v = 0; v < count; v++) {
    for (let pass = 0; pass < 2; pass++) {
      for (let u = 0; u < v; u++) {
        const share = dot(u, v);
        for (let i = 0; i < length; i++) matrix[v * step + i * along] -= share * matrix[u * step + i * along];
      }
    }
    const norm = Math.sqrt(dot(v, v));
    for (let i = 0; i < length; i++) matrix[v * step + i * along] /= norm;
  }
}
