import { ANY } from '../common/range.js';
import { makeSignature, type Signature, type SignatureRole, type SignatureTensor } from '../common/signature.js';
import type { Graph } from './graph.js';
import { lossPathsOf, paramsOf } from './paths.js';
import type { Axis } from './types.js';

/** Of a layer, mixture or model: params and buffers by path, losses as `loss.PATH`. */
export function signatureOf(graph: Graph): Signature {
  return makeSignature({
    name: graph.name,
    doc: graph.doc,
    axes: [...graph.settings].flatMap(([name, value]) => (typeof value === 'number' ? [{ name, defaultSize: value }] : [])),
    inputs: graph.inputs.map(({ name, type, range }) => ({ ...tensor('input', name, type.axes, true), indices: type.of, range })),
    params: paramsOf(graph).map(({ path, axes, buffer, range, f32 }) => (
      { ...tensor('param', path, axes), buffer, range, dtype: f32 ? 'f32' : 'io' }
    )),
    initial: [],
    outputs: graph.outputs.map(({ name, axes }) => tensor('output', name, axes, true)),
    finals: [],
    losses: [...new Set(lossPathsOf(graph))].map((path) => (
      { ...tensor('output', `loss.${path}`, []), of: path }
    )),
    countsHeads: false,
  });
}

function tensor(role: SignatureRole, name: string, axes: readonly Axis[], perToken = false): SignatureTensor {
  return {
    name, of: name, role, leading: perToken ? ['B', 'T'] : [], axes: axes.map((axis) => axis.name), sizes: axes.map(({ size }) => size),
    dtype: 'io', indices: undefined, range: ANY, buffer: false, hidden: false,
  };
}
