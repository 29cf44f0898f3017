import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { mixtureCases, type GpuCase } from '../../../scripts/gpu-mixtures.mjs';
import { sanitized, verdict } from '../../../scripts/gpu-sanitize.mjs';

const examples = (folder: string): readonly string[] => readdirSync(`examples/${folder}`).flatMap((file) => (
  [...readFileSync(`examples/${folder}/${file}`, 'utf8').matchAll(/^(?:moe|layer) (\w+)/gm)].map((found) => found[1])
));

const cases = mixtureCases({ webgpu: true, nvrtc: true });
const wayOf = ({ way: { backend, dtype, note } }: GpuCase): string => [backend, dtype, note ?? ''].join(' ').trim();

describe('rows of npm run test:gpu', () => {
  const WAYS = ['f32', 'bf16', 'f16'].flatMap((dtype) => ['', ' sm80', ' sm86'].map((note) => `cuda ${dtype}${note}`));

  it('are there for every mixture of the examples, in every dtype and by the kernels for every architecture', () => {
    for (const name of examples('moe')) {
      const own = cases.filter((one) => one.name === name && one.args.includes('--training') && one.args.includes('--check'));
      const ways = [...new Set(own.map(wayOf))];
      expect([name, ways]).toEqual([name, expect.arrayContaining([...WAYS, 'webgpu f32', 'cuda f32 nvrtc', 'cuda bf16 nvrtc'])]);
      expect([name, own.some(({ label }) => label === 'B=1,T=1')]).toEqual([name, true]);
    }
  });

  it('are there for every layer of the examples that has kernels', () => {
    const names = new Set(cases.map(({ name }) => name));
    const without = [
      'gqa', 'gated_gqa', 'sink_gqa', 'mla', 'gdn', 'kimi_kda', 'gla_mixer', 'seed_gla', 'lightning_mixer', 'mamba2', 'mom', 'time_mix',
    ];
    expect(examples('layers').filter((name) => !names.has(name)).sort()).toEqual([...without].sort());
  });

  it('leave out what does not answer', () => {
    const few = mixtureCases({ webgpu: false, nvrtc: false });
    expect(few.some(({ way }) => way.backend === 'webgpu' || way.note === 'nvrtc')).toBe(false);
  });
});

describe('compute-sanitizer', () => {
  it('looks at mixtures in bf16 first', () => {
    const few = sanitized(cases);
    expect(few.length).toBeGreaterThan(10);
    expect(wayOf(few[0])).toBe('cuda bf16');
    expect(new Set(few.map((one) => `${one.name} ${wayOf(one)}`)).size).toBe(few.length);
  });

  it.each([
    ['ok', { code: 0, out: '{}', text: '========= COMPUTE-SANITIZER\n========= ERROR SUMMARY: 0 errors\n' }],
    ['ok', { code: 0, out: '', text: '========= RACECHECK SUMMARY: 0 hazards displayed (0 errors, 0 warnings)\n' }],
    ['FOUND Invalid __global__ write of size 4 bytes (SUMMARY: 3 errors)', {
      code: 86, out: '', text: '========= COMPUTE-SANITIZER\n========= Invalid __global__ write of size 4 bytes\n'
        + '========= ERROR SUMMARY: 3 errors\n',
    }],
    // Hazards that are warnings do not make the exit status.
    ['FOUND Warning: Race reported (SUMMARY: 1 hazard displayed (0 errors, 1 warning))', {
      code: 0, out: '', text: '========= COMPUTE-SANITIZER\n========= Warning: Race reported\n'
        + '========= RACECHECK SUMMARY: 1 hazard displayed (0 errors, 1 warning)\n',
    }],
    ['nothing was checked (no device)', { code: 0, out: 'no device\n', text: '' }],
    ['exit status 1: beyond', { code: 1, out: 'a\nbeyond', text: '========= ERROR SUMMARY: 0 errors' }],
    ['out of time', { code: null, out: '', text: '' }],
  ])('%s', (said, ended) => expect(verdict(ended)).toBe(said));
});
