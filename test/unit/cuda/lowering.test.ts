import { describe, expect, it } from 'vitest';
import { emitCuda } from '../../../src/backends/cuda/emit.js';
import { lowerTensorCores } from '../../../src/backends/cuda/tensor-cores/lower.js';
import { sharedLimit, type CudaTarget } from '../../../src/backends/cuda/lowered.js';
import { eachStatement } from '../../../src/backends/cuda/uses.js';
import { isRefused } from '../../../src/backends/cuda/refused.js';
import { lowerRegisters } from '../../../src/backends/cuda/registers/lower.js';
import { lowerFor, type Compiled } from '../../../src/driver/scan/compile.js';
import { IO_DTYPES, type IoDtype } from '../../../src/ir/common/dtype.js';
import type { PlanArg } from '../../../src/ir/plan/plan.js';
import type { TileModule } from '../../../src/ir/tile/tile.js';
import { lowerScan } from '../../../src/passes/pipeline.js';
import { randomCase, seeds } from '../../property/case.js';
import { DELAYS } from '../passes/delay-scans.js';
import { specOf } from '../passes/scans.js';
import { EXAMPLES, NO_EXAMPLES } from '../../examples.js';
import { compileExample } from './compiled.js';
import { templates } from './templates.js';

const TARGETS: readonly CudaTarget[] = ['cuda.sm80', 'cuda.sm86', 'cuda.sm90'];
/** With shared memory enough for tensor cores at any size. */
const LARGE: readonly CudaTarget[] = ['cuda.sm80', 'cuda.sm90'];

/** Checks what a plan and its text must agree on. */
function checkText({ module, plan, files }: Pick<Compiled, 'module' | 'plan' | 'files'>, target: CudaTarget): void {
  const text = [...files.values()].join('\n');
  expect(plan.kernels.map((kernel) => kernel.name)).toEqual(module.kernels.map((kernel) => kernel.name));
  for (const kernel of plan.kernels) {
    expect(kernel.sharedBytes, kernel.name).toBeLessThanOrEqual(sharedLimit(target));
    expect(kernel.block % 32).toBe(0);
    const found = new RegExp(`__launch_bounds__\\((\\d+)[^)]*\\) ${kernel.entry}\\(([^)]*)\\)`).exec(text);
    expect(found, kernel.name).not.toBeNull();
    expect(Number(found?.[1])).toBe(kernel.block);
    // One parameter per argument, of the kind that the argument is.
    const parameters = (found?.[2] ?? '').split(', ');
    expect(parameters.map((parameter) => parameter.replace(/.*[ *]/, '')), kernel.name).toEqual(kernel.args.map(parameterName));
    kernel.args.forEach((arg, i) => {
      if (arg.kind !== 'tensor') return;
      const tensor = plan.tensors.find((candidate) => candidate.name === arg.tensor);
      expect(parameters[i], arg.tensor).toContain(
        tensor?.dtype === 'f32' ? (/\bfloat|f32\b/.exec(parameters[i])?.[0] ?? 'f32') : `${tensor?.dtype}*`
      );
      expect(parameters[i].startsWith('const')).toBe(arg.access === 'read');
    });
  }
}

function parameterName(arg: PlanArg): string {
  switch (arg.kind) {
    case 'tensor': return `p_${arg.tensor.replace(/\W/g, '_')}`;
    case 'table': return arg.table;
    case 'dims': return 'd';
    case 'strides': return `s_${arg.tensor.replace(/\W/g, '_')}`;
    case 'tensorMap': return `m_${arg.tensor.replace(/\W/g, '_')}`;
    case 'arena': throw new Error(`${arg.kind} in a plan of this back end`);
  }
}

describe('vectors', () => {
  // As loops, which nobody can see to end at once, compilers write them four times: kernels outgrew the instruction cache.
  it.each(EXAMPLES)('of no more elements than threads are written without loops: %s', async (name) => {
    for (const dtype of ['bf16', 'f16'] as const) {
      for (const text of (await compileExample(name, 64, dtype, 'cuda.sm90')).files.values()) {
        const loops = [...text.matchAll(/for \(int i = t; i < (\d+); i \+= (\d+)\)/g)];
        for (const [loop, size, threads] of loops) expect(Number(size), loop).toBeGreaterThan(Number(threads));
      }
    }
  });
});

describe('every kernel has a lowering', () => {
  it.each(EXAMPLES)('%s', async (name) => {
    for (const dtype of IO_DTYPES) {
      for (const size of [64, 128]) {
        for (const target of TARGETS) checkText(await compileExample(name, size, dtype, target), target);
      }
    }
  });

  it('of random recurrences, with sizes of all kinds', () => {
    for (const seed of seeds(25, 500)) {
      const { spec, call } = randomCase(seed, { lengths: [4], sizes: [1, 5, 16, 24, 64, 128] });
      const dtype = IO_DTYPES[seed % 3];
      const { module } = lowerScan(spec, call.sizes, { chunk: [16, 32, 64, 128][seed % 4] });
      for (const target of TARGETS) checkText(
        { module, ...emitCuda(module, { target, dtype, source: { hash: '', compiler: '', command: '' }, doc: '', templates }) }, target,
      );
    }
  });

  it.skipIf(NO_EXAMPLES)('and its text names no variant of the field', async () => {
    const { module } = await compileExample('gated_delta', 64, 'bf16', 'cuda.sm90');
    const { files } = emitCuda(
      { ...module, name: 'x' }, { target: 'cuda.sm90', dtype: 'bf16', source: { hash: '', compiler: '', command: '' }, doc: '', templates },
    );
    expect([...files.values()].join('\n')).not.toMatch(/delta|mamba|rwkv|hgrn|retention|\bgla\b|\bkda\b/i);
  });
});

/** Which lowering takes a kernel of an example with axes of 128. */
async function lowerings(name: string, target: CudaTarget, dtype: IoDtype): Promise<Record<string, string>> {
  const { module } = await compileExample(name, 128, dtype, target);
  const cx = { module, target, dtype };
  const kind = (kernel: TileModule['kernels'][number]) => (
    !isRefused(lowerRegisters(cx, kernel)) ? 'registers' : !isRefused(lowerTensorCores(cx, kernel)) ? 'tensor cores' : 'plain'
  );
  return Object.fromEntries(module.kernels.map((kernel) => [kernel.name, kind(kernel)]));
}

describe('plans say which lowering each kernel got', () => {
  const plainOf = async (name: string, target: CudaTarget) => {
    const { plan } = await compileExample(name, 128, 'bf16', target);
    return plan.kernels.filter(({ lowering }) => lowering === 'plain').map((kernel) => [kernel.name, kernel.plainWhy]);
  };

  it.each(EXAMPLES)('%s: as the lowerings themselves say', async (name) => {
    for (const target of TARGETS) {
      const { plan } = await compileExample(name, 128, 'bf16', target);
      expect(Object.fromEntries(plan.kernels.map((kernel) => [kernel.name, kernel.lowering])))
        .toEqual(await lowerings(name, target, 'bf16'));
      for (const kernel of plan.kernels) expect(kernel.plainWhy !== undefined, kernel.name).toBe(kernel.lowering === 'plain');
    }
  });

  it.skipIf(NO_EXAMPLES)('small shared memory is the only reason for a plain kernel', async () => {
    for (const name of EXAMPLES) {
      for (const [kernel, why] of await plainOf(name, 'cuda.sm86')) expect(why, `${name} ${kernel}`).toMatch(/bytes of shared memory/);
    }
  });
});

/** Has it a product of matrices, or what is made of such? */
function multiplies(kernel: TileModule['kernels'][number]): boolean {
  let found = false;
  eachStatement(kernel.body, (stmt) => {
    if (stmt.kind !== 'let') return;
    const { op } = stmt;
    found ||= op.op === 'dscore' || op.op === 'dscoreRow' || op.op === 'dscoreCol' || op.op === 'inverse' || op.op === 'compose';
    found ||= op.op === 'contract'
      && kernel.tiles[stmt.tile].axes.length === 2
      && kernel.tiles[op.a].axes.length === 2
      && kernel.tiles[op.b].axes.length === 2;
  });
  return found;
}

describe('in bf16 nothing is left to the plain lowering', () => {
  it.each(EXAMPLES)('%s', async (name) => {
    for (const target of LARGE) {
      const { module } = await compileExample(name, 128, 'bf16', target);
      const wanted = Object.fromEntries(module.kernels.map((kernel) => [kernel.name, multiplies(kernel) ? 'tensor cores' : 'registers']));
      expect(await lowerings(name, target, 'bf16')).toEqual(wanted);
    }
  });

  it.each([64, 128])('walks with three erases beyond 1: nine blocks of T, and nine rests, K = V = %i', (size) => {
    const erase = (from: string, i: number) => `${from} + outer(k${i}, beta${i} * (v - k${i} @ ${from}))`;
    const spec = specOf(`scan s(q, k1, k2, k3: [K], v: [V], beta1, beta2, beta3: [] in 0..2) -> o: [V] {
      state S: [K, V]  let P = ${erase('S[t-1]', 1)}  let Q = ${erase('P', 2)}  S = ${erase('Q', 3)}  o = q @ S }`);
    const { module } = lowerScan(spec, new Map([['K', size], ['V', size]]), { chunk: 64, inlineScores: 'diagonal', halfOperands: true });
    const walks = module.kernels.filter((kernel) => kernel.split !== undefined && multiplies(kernel) && kernel.name !== 'step');
    expect(walks.map(({ name }) => name)).toEqual([
      'ends', 'maps', 'join', 'walk', 'states', 'reverse_ends', 'reverse_join', 'reverse',
    ].map((name) => `S_${name}`));
    expect(walks.filter((kernel) => isRefused(lowerTensorCores({ module, target: 'cuda.sm90', dtype: 'bf16' }, kernel)))).toEqual([]);
  });

  it('walks that split a gate which the scan computes', () => {
    const spec = specOf('scan s(q, k: [K], v, a: [V]) -> o: [V] { '
      + 'param bias: [V]  state S: [K, V]  S = sigmoid(a + bias) * S[t-1] + outer(k, v)  o = q @ S }');
    const { module } = lowerScan(spec, new Map([['K', 64], ['V', 64]]), { chunk: 64, inlineScores: 'diagonal' });
    const walks = module.kernels.filter((kernel) => kernel.split === 'V' && multiplies(kernel) && kernel.name !== 'step');
    expect(walks.length).toBeGreaterThan(3);
    expect(walks.filter((kernel) => isRefused(lowerTensorCores({ module, target: 'cuda.sm90', dtype: 'bf16' }, kernel)))).toEqual([]);
  });

  it('a convolution: the walk that makes it takes its rows from one tile, and what sums over them takes each row once', () => {
    const spec = specOf(DELAYS['a convolution of four taps']);
    const made = lowerFor(spec, { target: 'cuda.sm90', dtype: 'bf16', sizes: new Map([['N', 64], ['P', 64]]) }, 64);
    if (!('module' in made)) throw new Error('does not compile');
    const { module } = made;
    const kernelOf = (name: string) => module.kernels.find((kernel) => kernel.name === name) ?? module.kernels[0];
    const mapped = (name: string) => {
      const lowered = lowerTensorCores({ module, target: 'cuda.sm90', dtype: 'bf16' }, kernelOf(name));
      if (isRefused(lowered)) throw new Error(`${name}: ${lowered.why}`);
      const boxes = lowered.args.flatMap((arg) => (
        arg.kind === 'tensorMap' && /^x$|^ws.value/.test(arg.tensor) ? [[arg.tensor.replace(/[0-9]+$/, ''), arg.box[2], arg.access]] : []
      ));
      return { text: lowered.text, boxes };
    };
    const ends = mapped('h_ends');
    expect(ends.boxes).toEqual([['x', 72, undefined], ['ws.value', 64, 'write']]);
    expect(ends.text.match(/tile_bulk<72, 1>\([^;]*m_x\b[^;]*;/g)).toHaveLength(1);
    for (const name of ['h_walk', 'h_states']) expect(mapped(name).boxes, name).toEqual([['ws.value', 64, undefined]]);
    const sums = lowerRegisters({ module, target: 'cuda.sm90', dtype: 'bf16' }, kernelOf('gradients'));
    if (isRefused(sums)) throw new Error(sums.why);
    expect(sums.block).toBe(32);
    expect(sums.text).toContain('for (int turn = 0; turn < 8; ++turn)');
  });

  it.skipIf(NO_EXAMPLES)('f32 has no tensor cores', async () => {
    expect(await lowerings('gla', 'cuda.sm90', 'f32')).toMatchObject({
      S_prepare: 'plain', S_spans: 'registers', S_walk: 'plain', S_join: 'registers', S_gradients: 'plain',
    });
  });
});
