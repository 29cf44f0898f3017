import { readFileSync, readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { emitCuda } from '../../../src/backends/cuda/emit.js';
import { lowerFragments } from '../../../src/backends/cuda/frag/lower.js';
import { sharedLimit, type CudaTarget } from '../../../src/backends/cuda/lowered.js';
import { lowerStream } from '../../../src/backends/cuda/stream/lower.js';
import { cudaChunks } from '../../../src/backends/cuda/chunk.js';
import { IO_DTYPES, type IoDtype } from '../../../src/ir/common/dtype.js';
import type { PlanArg } from '../../../src/ir/plan/plan.js';
import type { Spec } from '../../../src/ir/spec/spec.js';
import type { TileModule } from '../../../src/ir/tile/tile.js';
import { frontend } from '../../../src/passes/frontend.js';
import { lowerScan } from '../../../src/passes/pipeline.js';
import { randomCase, seeds } from '../../property/case.js';
import { templates } from './templates.js';

const TARGETS: readonly CudaTarget[] = ['cuda.sm80', 'cuda.sm90'];
const names = readdirSync('examples').filter((name) => name.endsWith('.lmoe')).map((name) => name.replace('.lmoe', ''));

function specOf(name: string): Spec {
  const path = `examples/${name}.lmoe`;
  return frontend(path, readFileSync(path, 'utf8'), (file) => readFileSync(file, 'utf8')).specs[0];
}

function moduleOf(spec: Spec, size: number, dtype: IoDtype): TileModule {
  const sizes = new Map(spec.axes.map((axis) => [axis.name, size]));
  const { scan } = lowerScan(spec, sizes);
  return lowerScan(spec, sizes, { chunk: cudaChunks(scan, dtype)[0] }).module;
}

/** Lowers everything, and checks what a plan and its text must agree on. */
function checkText(module: TileModule, target: CudaTarget, dtype: IoDtype): void {
  const { plan, files } = emitCuda(module, { target, dtype, source: { hash: '', compiler: '', command: '' }, doc: '', templates });
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
      expect(parameters[i], arg.tensor).toContain(tensor?.dtype === 'f32' ? (/\bfloat|f32\b/.exec(parameters[i])?.[0] ?? 'f32') : `${tensor?.dtype}*`);
      expect(parameters[i].startsWith('const')).toBe(arg.access === 'read');
    });
  }
}

function parameterName(arg: PlanArg): string {
  switch (arg.kind) {
    case 'tensor': return `p_${arg.tensor.replace(/\W/g, '_')}`;
    case 'sequences': case 'segments': case 'chunks': return arg.kind;
    case 'dims': return 'd';
    case 'arena': case 'tensorMap': throw new Error(`${arg.kind} in a plan of this back end`);
  }
}

describe('every kernel has a lowering', () => {
  it.each(names)('%s', (name) => {
    const spec = specOf(name);
    for (const dtype of IO_DTYPES) {
      for (const size of [64, 128]) {
        const module = moduleOf(spec, size, dtype);
        for (const target of TARGETS) checkText(module, target, dtype);
      }
    }
  });

  it('of random recurrences, with sizes of all kinds', () => {
    for (const seed of seeds(25, 500)) {
      const { spec, call } = randomCase(seed, { lengths: [4], sizes: [1, 5, 16, 24, 64, 128] });
      const dtype = IO_DTYPES[seed % 3];
      const { module } = lowerScan(spec, call.sizes, { chunk: [16, 32, 64, 128][seed % 4] });
      for (const target of TARGETS) checkText(module, target, dtype);
    }
  });

  it('and its text names no variant of the field', () => {
    const module = { ...moduleOf(specOf('gated_delta'), 64, 'bf16'), name: 'x' };
    const text = [...emitCuda(module, { target: 'cuda.sm90', dtype: 'bf16', source: { hash: '', compiler: '', command: '' }, doc: '', templates }).files.values()].join('\n');
    expect(text).not.toMatch(/delta|mamba|rwkv|hgrn|retention|\bgla\b|\bkda\b/i);
  });
});

/** Which lowering takes a kernel of an example with axes of 128. */
function lowerings(name: string, target: CudaTarget, dtype: IoDtype): Record<string, string> {
  const module = moduleOf(specOf(name), 128, dtype);
  const cx = { module, target, dtype };
  const kind = (kernel: TileModule['kernels'][number]) => (lowerStream(cx, kernel) !== undefined ? 'registers' : lowerFragments(cx, kernel) !== undefined ? 'tensor cores' : 'plain');
  return Object.fromEntries(module.kernels.map((kernel) => [kernel.name, kind(kernel)]));
}

/** Kernels without products of matrices. */
const STREAMED = /_(spans|join|join_2|scan|scan_2|given)$|^(step|sum_groups|sum_params|gradients|n_reverse)$/;

describe('lowerings that the examples get', () => {
  it.each(['delta_net', 'gated_delta', 'gla', 'hgrn', 'hgrn2', 'kda', 'lightning', 'mamba2', 'mlstm', 'retention', 'rg_lru', 'rwkv6', 'simple_gla'])('%s', (name) => {
    const elementwise = name === 'hgrn' || name === 'rg_lru';
    for (const [kernel, kind] of Object.entries(lowerings(name, 'cuda.sm90', 'bf16'))) {
      expect(`${kernel}: ${kind}`).toBe(`${kernel}: ${elementwise || STREAMED.test(kernel) ? 'registers' : 'tensor cores'}`);
    }
  });

  it('f32 has no tensor cores', () => {
    expect(lowerings('gla', 'cuda.sm90', 'f32')).toMatchObject({ S_prepare: 'plain', S_spans: 'registers', S_walk: 'plain', S_join: 'registers', S_gradients: 'plain' });
  });
});
