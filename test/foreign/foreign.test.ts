import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readSafetensors, writeSafetensors, type WritableTensor } from '../../src/driver/run/safetensors.js';
import { evaluate, gradients, type GraphCall } from '../../src/interp/graph/machine.js';
import { update } from '../../src/interp/graph/update.js';
import type { Graph } from '../../src/ir/graph/graph.js';
import { paramsOf } from '../../src/ir/graph/paths.js';
import { frontend } from '../../src/passes/frontend.js';
import { randomSource } from '../../src/support/random.js';

/**
 * Programs that nobody wrote for the examples, from papers and public models, with references in plain torch (references.py). The files of
 * data are written anew by LMOEC_WRITE_REFERENCE=1, with a Python that has torch in LMOEC_PYTHON.
 */
const HERE = import.meta.dirname;
const DATA = join(HERE, 'data');
const LENGTHS = [5, 1, 3];
const NAMES = readdirSync(join(HERE, 'programs')).map((file) => file.replace('.lmoe', '')).sort();
const WRITE = process.env['LMOEC_WRITE_REFERENCE'] === '1';

function graphOf(name: string, training: boolean): Graph {
  const file = `${name}.lmoe`;
  const { parts, diagnostics } = frontend(file, readFileSync(join(HERE, 'programs', file), 'utf8'));
  expect(diagnostics.filter(({ severity }) => severity === 'error').map(({ title }) => title)).toEqual([]);
  const { graph } = parts.elaborate(name, new Map(), training);
  if (graph === undefined) throw new Error(`${name} has no graph`);
  return graph;
}

/** Inputs, params and buffers, and cotangents of the outputs. */
function given(graph: Graph): ReadonlyMap<string, WritableTensor> {
  const random = randomSource(7, graph.name);
  const rows = LENGTHS.reduce((a, b) => a + b);
  const draw = (shape: readonly number[]): WritableTensor => {
    const size = shape.reduce((a, b) => a * b, 1);
    return { dtype: 'f32', shape, data: Float64Array.from({ length: size }, () => Math.fround(2 * random.uniform() - 1)) };
  };
  const sizes = (axes: readonly { readonly size: number }[]): number[] => axes.map(({ size }) => size);
  let at = 0;
  const offsets = [0, ...LENGTHS.map((length) => (at += length))];
  return new Map<string, WritableTensor>([
    ['cu_seqlens', { dtype: 'i32', shape: [offsets.length], data: offsets }],
    ...graph.inputs.map(({ name, type }): [string, WritableTensor] => {
      const { of } = type;
      if (of === undefined) return [name, draw([rows, ...sizes(type.axes)])];
      const data = Array.from({ length: rows }, (_, i) => (name === 'labels' && i === 2 ? -1 : random.below(of.size)));
      return [name, { dtype: 'i32', shape: [rows], data }];
    }),
    ...paramsOf(graph).map(({ path, axes }): [string, WritableTensor] => [path, draw(sizes(axes))]),
    ...graph.outputs.map(({ name, axes }): [string, WritableTensor] => [`d_${name}`, draw([rows, ...sizes(axes)])]),
  ]);
}

if (WRITE) {
  for (const name of NAMES) writeFileSync(join(DATA, `${name}.safetensors`), writeSafetensors(given(graphOf(name, true))));
  const { status, stderr } = spawnSync(process.env['LMOEC_PYTHON'] ?? 'python3', [join(HERE, 'references.py'), DATA], { encoding: 'utf8' });
  if (status !== 0) throw new Error(stderr);
}

function read(name: string): Map<string, Float64Array> {
  const path = join(DATA, `${name}.safetensors`);
  const tensors = readSafetensors(readFileSync(path), path);
  if ('code' in tensors) throw new Error(tensors.title);
  return new Map([...tensors].map(([tensor, { data }]) => [tensor, Float64Array.from(data)]));
}

/** The largest difference beside the size of what is expected. */
function away(found: ArrayLike<number> | undefined, expected: ArrayLike<number>): number {
  if (found?.length !== expected.length) return Infinity;
  let most = 0;
  for (let i = 0; i < expected.length; i++) {
    const one = Math.abs(found[i] - expected[i]) / Math.max(1, Math.abs(expected[i]));
    if (!(one <= most)) most = one;
  }
  return most;
}

function compare(found: ReadonlyMap<string, ArrayLike<number>>, tensors: ReadonlyMap<string, Float64Array>, prefix: string): number {
  for (const [name, values] of found) {
    const expected = tensors.get(`${prefix}${name}`);
    expect(expected, `${prefix}${name}`).toBeDefined();
    expect(away(values, expected ?? []), name).toBeLessThan(1e-9);
  }
  return found.size;
}

const single = (values: ReadonlyMap<string, number>): Map<string, number[]> => new Map([...values].map(([name, x]) => [name, [x]]));

describe.each(NAMES)('%s', (name) => {
  const tensors = read(name);
  const call: GraphCall = { program: 'train', params: tensors, inputs: tensors, lengths: LENGTHS };

  it('gives outputs, losses, counts, updates and gradients of its reference in training', () => {
    const made = evaluate(graphOf(name, true), call);
    const compared = compare(made.outputs, tensors, 'expect.') + compare(single(made.losses), tensors, 'expect.loss.')
      + compare(made.counts, tensors, 'expect.count.') + compare(update([made], tensors), tensors, 'expect.update.')
      + compare(gradients(made, tensors), tensors, 'expect.');
    // A buffer's gradient is nobody's business.
    const buffers = graphOf(name, true).params.filter(({ buffer }) => buffer).length;
    const expected = [...tensors.keys()].filter((key) => key.startsWith('expect.') && !key.startsWith('expect.eval'));
    expect(compared).toBe(expected.length - buffers);
  });

  it('gives its outputs outside of training, sequences packed, alone and token by token', () => {
    const graph = graphOf(name, false);
    compare(evaluate(graph, { ...call, program: 'eval' }).outputs, tensors, 'expect.eval.');
    const rows = LENGTHS.reduce((a, b) => a + b);
    const part = (values: Float64Array, from: number, to: number): Float64Array => {
      return values.slice(from * values.length / rows, to * values.length / rows);
    };
    const own = (from: number, to: number): GraphCall => ({ ...call, program: 'eval', lengths: [to - from],
      inputs: new Map(graph.inputs.map((input) => [input.name, part(tensors.get(input.name) ?? new Float64Array(), from, to)])) });
    const expected = (from: number, to: number): Map<string, Float64Array> => new Map([...tensors].flatMap(([key, values]) =>
      (key.startsWith('expect.eval.') ? [[key, part(values, from, to)] as const] : [])));
    let start = 0;
    for (const length of LENGTHS) {
      compare(evaluate(graph, own(start, start + length)).outputs, expected(start, start + length), 'expect.eval.');
      let { state } = evaluate(graph, own(start, start + 1));
      // What knows all tokens has no step.
      if (!STEPLESS.includes(name)) for (let t = start + 1; t < start + length; t++) {
        const made = evaluate(graph, { ...own(t, t + 1), program: 'step', state });
        compare(made.outputs, expected(t, t + 1), 'expect.eval.');
        ({ state } = made);
      }
      start += length;
    }
  });
});

const STEPLESS = ['depths', 'recursions', 'soft'];
