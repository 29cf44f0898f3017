import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { checkScan } from '../../src/driver/scan/compile.js';
import { writeSafetensors, type WritableTensor } from '../../src/driver/run/safetensors.js';
import { signatureOf as pythonSignature, type Member } from '../../src/emit/torch/signature.js';
import { signatureOf } from '../../src/ir/spec/signature.js';
import { gradSpec } from '../../src/interp/spec-gradient.js';
import { finalName } from '../../src/ir/spec/names.js';
import type { Spec } from '../../src/ir/spec/spec.js';
import { frontend } from '../../src/passes/frontend.js';
import { EXAMPLES, EXAMPLES_FOLDER } from '../examples.js';
import { generate } from '../fuzz/generate.js';
import { printProgram } from '../fuzz/program.js';
import { PROGRAMS } from '../programs.js';
import { SCANS } from '../unit/passes/corpus.js';
import { draw } from '../unit/passes/scans.js';
import { emptyFolder, packageIn, python } from './package.js';
import { NO_TORCH } from './python.js';

const LENGTHS = [37, 0, 1, 70];
const LANES = { heads: 4, groups: 2 };
const AXIS = 16;

/** Random programs: those that have chunks, or run step by step. */
const RANDOM = Array.from({ length: 30 }, (_, i) => i + 80).flatMap((seed) => {
  const text = printProgram(generate(seed));
  const { specs: [spec], diagnostics } = frontend('random.lmoe', text);
  if (spec === undefined || diagnostics.some(({ code }) => code.startsWith('E'))) return [];
  return 'module' in checkScan(spec, new Map(spec.axes.map(({ name }) => [name, AXIS]))) ? [[`random_${seed}`, text] as const] : [];
});

/** Every scan that the tests have, under a name of its own. */
function corpus(): ReadonlyMap<string, string> {
  const read = (path: string) => readFileSync(path, 'utf8');
  const named = (text: string, name: string) => text.replace(/^scan \w+/m, `scan ${name}`);
  return new Map([
    ...EXAMPLES.map((name) => [`example_${name}`, read(join(EXAMPLES_FOLDER, `${name}.lmoe`))] as const),
    ...PROGRAMS.map((name) => [`program_${name}`, read(join(import.meta.dirname, '../programs', `${name}.lmoe`))] as const),
    ...Object.values(SCANS).map((text, i) => [`scan_${i}`, text] as const),
    ...RANDOM,
  ].map(([name, text]) => [name, named(text, name)]));
}

/** What the oracle is given and what it gives, by the names that oracle.py looks up. */
function vectors(spec: Spec, seed: number): ReadonlyMap<string, WritableTensor> {
  const sizes = new Map(spec.axes.map(({ name }) => [name, AXIS]));
  const { call, given, cotangents } = draw(spec, sizes, LENGTHS, seed, LANES);
  const results = gradSpec(spec, call, given, cotangents);
  const signature = pythonSignature(signatureOf(spec), () => false);
  const tokens = LENGTHS.reduce((a, b) => a + b, 0);
  const tensors = new Map<string, WritableTensor>();
  const put = (name: string, outer: readonly number[], axes: readonly string[], data: Float64Array | undefined) => {
    const shape = [...outer, ...axes.map(() => AXIS)];
    tensors.set(`${spec.name}/${name}`, { dtype: 'f64', shape, data: data ?? new Float64Array(shape.reduce((n, size) => n * size, 1)) });
  };
  const lane = (member: Member) => (member.group ? LANES.groups : LANES.heads);
  signature.inputs.forEach((x, i) => {
    for (const [prefix, name, from] of [['', spec.inputs[i].name, given], ['expect.d_', `d_${spec.inputs[i].name}`, results]] as const) {
      put(`${prefix}${x.python}`, [1, tokens, lane(x)], x.axes, from.get(name));
    }
  });
  signature.params.forEach((x, i) => {
    put(x.python, [LANES.heads], x.axes, given.get(spec.params[i].name));
    put(`expect.d_${x.python}`, [LANES.heads], x.axes, results.get(`d_${spec.params[i].name}`));
  });
  signature.states.forEach((x, i) => {
    const { name } = spec.states[i];
    const outer = [LENGTHS.length, LANES.heads];
    put(`initial.${x.python}`, outer, x.axes, given.get(name));
    put(`expect.final.${x.python}`, outer, x.axes, results.get(finalName(spec, name)));
    put(`d_final.${x.python}`, outer, x.axes, cotangents.get(`d_${finalName(spec, name)}`));
    put(`expect.d_initial.${x.python}`, outer, x.axes, results.get(`d_${name}`));
  });
  signature.outputs.forEach((x, i) => {
    const { name } = spec.outputs[i];
    put(`expect.${x.python}`, [1, tokens, LANES.heads], x.axes, results.get(name));
    put(`d_out.${x.python}`, [1, tokens, LANES.heads], x.axes, cotangents.get(`d_${name}`));
  });
  const offsets = LENGTHS.reduce<readonly number[]>((ends, length) => [...ends, ends[ends.length - 1] + length], [0]);
  tensors.set(`${spec.name}/cu_seqlens`, { dtype: 'i64', shape: [offsets.length], data: offsets });
  return tensors;
}

describe.skipIf(NO_TORCH !== undefined)(`the PyTorch reference against the oracle${NO_TORCH === undefined ? '' : `: ${NO_TORCH}`}`, () => {
  const folder = emptyFolder();
  const texts = corpus();
  let found: Readonly<Record<string, Readonly<Record<string, number>>>>;
  beforeAll(async () => {
    const text = [...texts.values()].join('\n');
    const { specs } = frontend('corpus.lmoe', text);
    const axes = new Map(specs.flatMap((spec) => spec.axes.map(({ name }) => [name, AXIS] as const)));
    const at = await packageIn(folder.path, 'corpus', text, axes);
    const file = join(folder.path, 'vectors.safetensors');
    writeFileSync(file, writeSafetensors(new Map(specs.flatMap((spec, i) => [...vectors(spec, i + 1)]))));
    found = JSON.parse(python([join(import.meta.dirname, 'oracle.py'), at, 'corpus', file], folder.path));
  });
  afterAll(() => folder.remove());

  it.each([...texts.keys()])('%s', (scan) => {
    const errors = Object.entries(found[scan] ?? {});
    expect(errors).toHaveLength(4);
    for (const [way, error] of errors) expect(error, way).toBeLessThan(1e-10);
  });
});
