import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readSafetensors, writeSafetensors, type WritableTensor } from '../../src/driver/run/safetensors.js';
import { DECAYING, ensureBuilt, folderWith, lmoec, type Finished } from './lmoec.js';

const folder = folderWith({
  'decaying.lmoe': DECAYING,
  // The output is the state, and the state has a param.
  'leaky.lmoe': 'scan leaky(x: [D]) -> h: [D] with D = 3 {\n  param a: [D] in -inf..0\n  state h: [D]\n\n  h = exp(a) * h[t-1] + x\n}\n',
  'both.lmoe': `${DECAYING}\n${DECAYING.replace('scan decaying', 'scan other')}`,
});
beforeAll(ensureBuilt, 120_000);
afterAll(folder.remove);

const inFolder = (...args: string[]): Finished => lmoec(args, { cwd: folder.path });
const at = (name: string): string => join(folder.path, name);
const filled = (shape: readonly number[], value: (i: number) => number = (i) => Math.sin(i + 1)): WritableTensor => (
  { dtype: 'f32', shape, data: Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => value(i)) }
);
const inputs = (): Map<string, WritableTensor> => new Map([
  ['q', filled([1, 5, 2, 16])], ['k', filled([1, 5, 2, 16])], ['v', filled([1, 5, 2, 24])], [
    'g', filled([1, 5, 2, 16], (i) => -0.1 * (i % 7)),
  ],
]);
function write(name: string, tensors: ReadonlyMap<string, WritableTensor>): void {
  writeFileSync(at(name), writeSafetensors(tensors));
}
function read(name: string) {
  const tensors = readSafetensors(new Uint8Array(readFileSync(at(name))), name);
  if ('code' in tensors) throw new Error(tensors.title);
  return tensors;
}
/** A run on the oracle that must fail, and must not leave the output file. */
function refused(tensors: ReadonlyMap<string, WritableTensor>): string {
  write('bad.safetensors', tensors);
  const { code, err } = inFolder(
    'run', 'decaying.lmoe', '--backend', 'oracle', '--inputs', 'bad.safetensors', '--out', 'never.safetensors',
  );
  expect(code).toBe(1);
  expect(existsSync(at('never.safetensors'))).toBe(false);
  return err;
}
const changed = (name: string, tensor: WritableTensor | undefined) => {
  const tensors = inputs();
  if (tensor === undefined) tensors.delete(name);
  else tensors.set(name, tensor);
  return tensors;
};

describe('files in, files out', () => {
  it('gives outputs and final states, and gradients only for a cotangent', () => {
    write('in.safetensors', inputs());
    expect(inFolder('run', 'decaying.lmoe', '--backend', 'oracle', '--inputs', 'in.safetensors', '--out', 'out.safetensors').code).toBe(0);
    const forward = read('out.safetensors');
    expect([...forward.keys()].sort()).toEqual(['S', 'o']);
    expect(forward.get('o')).toMatchObject({ dtype: 'f64', shape: [1, 5, 2, 24] });
    expect(forward.get('S')).toMatchObject({ shape: [1, 2, 16, 24] });
    write('in.safetensors', new Map([...inputs(), ['d_S', filled([1, 2, 16, 24])]]));
    expect(inFolder('run', 'decaying.lmoe', '--backend', 'oracle', '--inputs', 'in.safetensors', '--out', 'out.safetensors').code).toBe(0);
    expect([...read('out.safetensors').keys()].sort()).toEqual(['S', 'd_S', 'd_g', 'd_k', 'd_q', 'd_v', 'o']);
  });

  it('starts from a given state, and cutting a sequence changes nothing', () => {
    const all = inputs();
    const part = (from: number, to: number) => new Map([...all].map(([name, { dtype, shape, data }]) => {
      const row = data.length / 5;
      return [name, { dtype, shape: [1, to - from, ...shape.slice(2)], data: Array.from(data).slice(from * row, to * row) }] as const;
    }));
    const run = (tensors: ReadonlyMap<string, WritableTensor>) => {
      write('in.safetensors', tensors);
      expect(inFolder(
        'run', 'decaying.lmoe', '--backend', 'oracle', '--inputs', 'in.safetensors', '--out', 'out.safetensors',
      ).code).toBe(0);
      return read('out.safetensors');
    };
    const whole = run(all);
    const first = run(part(0, 2));
    const state = first.get('S');
    if (state === undefined) throw new Error('no state');
    const second = run(new Map<string, WritableTensor>([...part(2, 5), ['S', state]]));
    const o = Array.from(whole.get('o')?.data ?? []);
    expect([
      ...Array.from(first.get('o')?.data ?? []), ...Array.from(second.get('o')?.data ?? []),
    ].every((x, i) => Math.abs(x - o[i]) < 1e-6)).toBe(true);
  });

  it('writes a state named like an output as the output and as final.NAME', () => {
    write('in.safetensors', new Map([
      ['x', filled([1, 4, 1, 3])], ['a', filled([1, 3], () => -0.5)], ['d_h', filled([1, 4, 1, 3])], ['d_final.h', filled([1, 1, 3])],
    ]));
    expect(inFolder(
      'run', 'leaky.lmoe', '--backend', 'oracle', '--inputs', 'in.safetensors', '--out', 'out.safetensors',
    )).toMatchObject({ code: 0 });
    const results = read('out.safetensors');
    expect(results.get('h')?.shape).toEqual([1, 4, 1, 3]);
    expect(results.get('final.h')?.shape).toEqual([1, 1, 3]);
    expect(Array.from(results.get('final.h')?.data ?? [])).toEqual(Array.from(results.get('h')?.data ?? []).slice(9));
    // The gradient of the initial state has the state's own name.
    expect(results.get('d_h')?.shape).toEqual([1, 1, 3]);
    expect(results.get('d_a')?.shape).toEqual([1, 3]);
  });

  it('takes packed sequences', () => {
    write('in.safetensors', new Map<string, WritableTensor>([...inputs(), ['cu_seqlens', { dtype: 'i64', shape: [3], data: [0, 2, 5] }]]));
    const { code, out } = inFolder('run', 'decaying.lmoe', '--backend', 'oracle', '--inputs', 'in.safetensors', '--out', 'out.safetensors');
    expect([code, out.split('\n')[0]]).toEqual([0, 'decaying on oracle, f32: B=1 T=5 H=2 K=16 V=24, 2 packed sequences']);
    expect(read('out.safetensors').get('S')?.shape).toEqual([2, 2, 16, 24]);
  });

  it('holds the oracle against expected values that the file carries', () => {
    write('in.safetensors', inputs());
    inFolder('run', 'decaying.lmoe', '--backend', 'oracle', '--inputs', 'in.safetensors', '--out', 'out.safetensors');
    const o = read('out.safetensors').get('o');
    if (o === undefined) throw new Error('no output');
    write('right.safetensors', new Map<string, WritableTensor>([...inputs(), ['expect.o', o]]));
    const right = inFolder('run', 'decaying.lmoe', '--backend', 'oracle', '--inputs', 'right.safetensors', '--check');
    expect(right).toMatchObject({ code: 0, out: expect.stringMatching(/^o +output +0\.0e\+0 +1\.0e-10 .*ok$/m) });
    write(
      'wrong.safetensors', new Map<string,
      WritableTensor>([...inputs(), ['expect.o', { ...o, data: Array.from(o.data, (x, i) => (i === 7 ? x + 1e-6 : x)) }]]),
    );
    const wrong = inFolder('run', 'decaying.lmoe', '--backend', 'oracle', '--inputs', 'wrong.safetensors', '--check', '--json');
    expect(wrong.code).toBe(1);
    expect(JSON.parse(wrong.out)).toMatchObject({ passed: false, tensors: [{ name: 'o', passed: false }] });
  });

  it('rounds io tensors, and leaves gates and states alone', () => {
    write('in.safetensors', inputs());
    const exact = inFolder('run', 'decaying.lmoe', '--backend', 'oracle', '--inputs', 'in.safetensors', '--out', 'out.safetensors');
    expect(exact.code).toBe(0);
    const f32 = read('out.safetensors').get('o');
    expect(inFolder(
      'run', 'decaying.lmoe', '--backend', 'oracle', '--dtype', 'bf16', '--inputs', 'in.safetensors', '--out', 'out.safetensors',
    ).code).toBe(0);
    const bf16 = read('out.safetensors').get('o');
    const rounded = new Map([...inputs()].map(([name, tensor]) => [
      name, name === 'g' ? tensor : { ...tensor, data: Float32Array.from(tensor.data, toBf16) },
    ] as const));
    write('in.safetensors', rounded);
    inFolder('run', 'decaying.lmoe', '--backend', 'oracle', '--inputs', 'in.safetensors', '--out', 'out.safetensors');
    expect(Array.from(bf16?.data ?? [])).toEqual(Array.from(read('out.safetensors').get('o')?.data ?? []));
    expect(Array.from(bf16?.data ?? [])).not.toEqual(Array.from(f32?.data ?? []));
  });
});

/** Round to nearest even, of finite numbers. */
function toBf16(x: number): number {
  const bits = new Uint32Array(Float32Array.of(x).buffer)[0];
  return new Float32Array(Uint32Array.of((bits + 0x7fff + ((bits >>> 16) & 1)) & 0xffff0000).buffer)[0];
}

describe('bad tensors', () => {
  it('are named, with the expected and the found shape, and nothing is written', () => {
    expect(refused(changed('v', undefined))).toMatch(/E501.*input `v` is missing: expected \[B, T, H, V\]/);
    expect(refused(changed('v', filled([1, 6, 2, 24]))))
      .toMatch(/E503.*`v` has the wrong shape: expected \[B, T, H, V\] = \[1, 5, 2, \?\], found \[1, 6, 2, 24\].*\n.*T = 5 comes from `q`/);
    expect(refused(changed(
      'g', filled([1, 5, 2, 16], (i) => (i === 40 ? NaN : 0)),
    ))).toMatch(/E504.*`g` \[1, 5, 2, 16\] has a NaN at \[0, 1, 0, 8\]/);
    expect(refused(changed('gamma', filled([1])))).toMatch(/E502.*`gamma` is no tensor of `decaying`/);
    expect(refused(changed('cu_seqlens', { dtype: 'i32', shape: [2], data: [0, 4] }))).toMatch(/E505.*ends at 4, but there are 5 tokens/);
  });

  it('are all reported at once', () => {
    const tensors = changed('v', undefined);
    tensors.set('g', filled([1, 5, 3, 16]));
    expect(refused(tensors)).toMatch(/E501[\s\S]*E503/);
  });

  it('of files that are truncated, lie, or are none', () => {
    const bytes = writeSafetensors(inputs());
    const damaged = (name: string, content: Uint8Array): string => {
      writeFileSync(at(name), content);
      const { code, err } = inFolder('run', 'decaying.lmoe', '--backend', 'oracle', '--inputs', name, '--out', 'never.safetensors');
      expect(code).toBe(1);
      expect(existsSync(at('never.safetensors'))).toBe(false);
      return err;
    };
    expect(damaged('short.safetensors', bytes.slice(0, bytes.length - 100))).toMatch(/E506.*short\.safetensors: tensor `v`.*\n.*truncated/);
    const lying = new Uint8Array(bytes);
    new DataView(lying.buffer).setBigUint64(0, 2n ** 60n, true);
    expect(damaged('lying.safetensors', lying)).toMatch(/E506.*its header should have 1152921504606846976 bytes/);
    expect(damaged('none.safetensors', new TextEncoder().encode('PK'))).toMatch(/E506.*too few/);
    expect(inFolder('run', 'decaying.lmoe', '--inputs', 'absent.safetensors')).toMatchObject({
      code: 1, err: expect.stringMatching(/E702.*absent\.safetensors does not exist/),
    });
  });

  it('warns of values outside of the declared range', () => {
    write('in.safetensors', changed('g', filled([1, 5, 2, 16], (i) => (i === 3 ? 0.5 : -1))));
    expect(inFolder('run', 'decaying.lmoe', '--backend', 'oracle', '--inputs', 'in.safetensors')).toMatchObject({
      code: 0, err: expect.stringMatching(/warning: 1 values of `g` lie outside/),
    });
  });
});

describe('random tensors', () => {
  it('are the same for a seed, and others for another', () => {
    const draw = (seed: string) => {
      expect(inFolder(
        'run', 'decaying.lmoe', '--backend', 'oracle', '--size', 'T=9', '--seed', seed, '--out', 'out.safetensors',
      ).code).toBe(0);
      return readFileSync(at('out.safetensors'));
    };
    const first = draw('1');
    expect(draw('1').equals(first)).toBe(true);
    expect(draw('2').equals(first)).toBe(false);
  });

  it('have the sizes that are asked for', () => {
    expect(inFolder('run', 'decaying.lmoe', '--backend', 'oracle', '--size', 'B=3,T=9,H=4,K=32').out).toMatch(/B=3 T=9 H=4 K=32 V=24/);
    expect(inFolder('run', 'decaying.lmoe', '--size', 'X=3')).toMatchObject({ code: 1, err: expect.stringMatching(/E403.*no axis `X`/) });
  });
});

describe('a device', () => {
  it('is held against the oracle: outputs, states, gradients and the one-token program, in every element type', (context) => {
    const { cuda, webgpu } = JSON.parse(lmoec(['doctor', '--json']).out);
    if (!cuda.available && !webgpu.available) context.skip(`no device: ${webgpu.why}`);
    for (const dtype of ['f32', 'f16', 'bf16']) {
      const { code, out } = inFolder(
        'run', 'decaying.lmoe', '--lengths', '5,1,40', '--dtype', dtype, '--check', '--json', '--out', 'out.safetensors',
      );
      const report = JSON.parse(out);
      expect([code, report.passed, report.backend, report.dtype]).toEqual([0, true, cuda.available ? 'cuda' : 'webgpu', dtype]);
      expect(report.tensors.map(({ name, role }: { name: string; role: string }) => `${role} ${name}`)).toEqual([
        'output o', 'final S', 'gradient d_q', 'gradient d_k', 'gradient d_v', 'gradient d_g', 'gradient d_S', 'step o', 'step S',
      ]);
      // No measurement is perfect: all zeros would be the oracle against itself.
      expect(report.tensors.some(({ error }: { error: number }) => error > 1e-9)).toBe(true);
      expect(read('out.safetensors').get('o')).toMatchObject({ dtype: 'f32', shape: [1, 46, 2, 24] });
    }
  });
});

describe('which scan, which device', () => {
  it('must be clear', () => {
    expect(inFolder('run', 'both.lmoe')).toMatchObject({ code: 1, err: expect.stringMatching(/E703.*several scans: decaying, other/) });
    expect(inFolder(
      'run', 'both.lmoe', '--scan', 'other', '--backend', 'oracle',
    )).toMatchObject({ code: 0, out: expect.stringMatching(/^other on oracle/) });
    expect(inFolder('run', 'absent.lmoe')).toMatchObject({ code: 1, err: expect.stringMatching(/E702.*absent\.lmoe does not exist/) });
  });

  it('says why a device does not answer', () => {
    const { cuda } = JSON.parse(lmoec(['doctor', '--json']).out);
    const { code, err } = inFolder('run', 'decaying.lmoe', '--backend', 'cuda', '--out', 'never.safetensors', '--size', 'T=3');
    if (cuda.available) expect(code).toBe(0);
    else {
      expect(code).toBe(1);
      expect(err).toMatch(/^error\[E601\]: no cuda device answers: .+\n = help: .+/);
      expect(existsSync(at('never.safetensors'))).toBe(false);
    }
  });

  it('says why an output cannot be written', () => {
    expect(inFolder(
      'run', 'decaying.lmoe', '--backend', 'oracle', '--size', 'T=3', '--out', 'decaying.lmoe/out.safetensors',
    )).toMatchObject({ code: 1, err: expect.stringMatching(/E701.*cannot be written/) });
  });
});
