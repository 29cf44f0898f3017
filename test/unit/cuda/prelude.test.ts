import { describe, expect, it } from 'vitest';
import { loadKernels, type ModuleLoader } from '../../../src/runtime/cuda/kernels.js';
import { NO_EXAMPLES } from '../../examples.js';
import { compileExample } from './compiled.js';
import { templates } from './templates.js';

/** Lines of the runtime text that no kernel could have by chance; those that make tables are kernels. */
const lines = new Set(
  Object.entries(templates).filter(([name]) => !/tables|rows/.test(name)).flatMap(([, text]) => text.split('\n')).filter(
    (line) => /^(DEV|struct|template|extern)/.test(line)
  ),
);

const OF_HEADERS = /\b(INFINITY|NAN|HUGE_VALF?|FLT_\w+|U?INT(?:8|16|32|64)?_MAX|assert|u?int\d+_t|printf)\b/g;

describe.skipIf(NO_EXAMPLES)('what kernels have in common (skipped without examples)', () => {
  it('is a file that the plan names and kernels include', async () => {
    const { plan, files } = await compileExample('gated_delta', 64, 'bf16', 'cuda.sm90');
    const { prelude = '' } = plan;
    const names = [...new Set(plan.kernels.map(({ file }) => file))];
    expect([...files.keys()]).toEqual([prelude, ...names]);
    expect(names).toEqual(['gated_delta.bf16.sm90a.1.cu', 'gated_delta.bf16.sm90a.2.cu']);
    for (const name of names) {
      const text = files.get(name) ?? '';
      expect(text.split('\n').filter((line) => line === `#include "${prelude}"`)).toHaveLength(1);
      expect(text.split('\n').filter((line) => lines.has(line))).toEqual([]);
      expect(text).toContain(`// By hand: nvcc -cubin -std=c++17 -arch=sm_90a ${name}`);
    }
    expect(files.get(prelude)?.split('\n').filter((line) => lines.has(line)).length).toBeGreaterThan(50);
    // Each kernel is where the plan says, once; tables are made by one kernel of one file.
    const places = [
      ...plan.kernels.map(({ entry, file }) => [entry, file] as const),
      ...Object.values(plan.tableKernels ?? {}).map(({ entry, file }) => [entry, file] as const),
    ];
    const having = (entry: string) => names.filter((name) => new RegExp(`__global__ [^\\n]*\\b${entry}\\(`).test(files.get(name) ?? ''));
    expect(places.map(([entry]) => having(entry))).toEqual(places.map(([, file]) => [file]));
  });

  it('is the same for scans and sizes that use the same of it', async () => {
    const scans = [['gla', 64, 'cuda.sm90'], ['gla', 128, 'cuda.sm90'], ['gla', 64, 'cuda.sm80'], ['simple_gla', 64, 'cuda.sm90']] as const;
    const made = await Promise.all(scans.map(([name, size, target]) => compileExample(name, size, 'bf16', target)));
    expect(new Set(made.map(({ files }) => files.get('prelude.cuh'))).size).toBe(1);
  });

  // NVRTC brings no headers of the C library.
  it('names no macro of a header', () => {
    const odd = Object.entries(templates).flatMap(([file, text]) => (
      [...text.replaceAll(/\/\/.*/g, '').matchAll(OF_HEADERS)].map(([name]) => `${file}: ${name}`)
    ));
    expect(odd).toEqual([]);
  });

  it('is given to NVRTC by its name, and asked for', async () => {
    const { plan, files } = await compileExample('gla', 64, 'bf16', 'cuda.sm90');
    const [file, ...others] = new Set(plan.kernels.map((kernel) => kernel.file));
    expect(others).toEqual([]);
    const seen: (readonly [string, Readonly<Record<string, string>>])[] = [];
    const native: ModuleLoader = {
      compile: async (source, name, options, folders, includes) => {
        seen.push([source, includes]);
        return { ok: true, value: { cubin: new Uint8Array(1), log: '' } };
      },
      loadModule: () => ({ ok: false, error: 'CUDA_ERROR_NO_BINARY_FOR_GPU', call: '', message: '' }),
      getFunction: () => { throw new Error('nothing was loaded'); },
      unloadModule: () => undefined,
    };
    const load = (given: ReadonlyMap<string, string>) => loadKernels(native, { major: 9, minor: 0 }, plan, given);
    await expect(load(files)).rejects.toThrow('NO_BINARY');
    expect(seen).toEqual([[files.get(file), { 'prelude.cuh': files.get('prelude.cuh') }]]);
    await expect(load(new Map([...files].filter(([name]) => name !== 'prelude.cuh')))).rejects.toThrow('prelude.cuh of gla was not given');
  });
});
