import { create } from 'webgpu';
import { describe, expect, it } from 'vitest';
import { chunkFor, DEFAULT_CAPABILITIES } from '../../../src/backends/wgsl/capabilities.js';
import { emitWgsl } from '../../../src/backends/wgsl/emit.js';
import { ROW } from '../../../src/ir/common/axes.js';
import { buildKernel } from '../../../src/ir/tile/build.js';
import type { Plan } from '../../../src/ir/plan/plan.js';
import type { TileBuffer, TileModule } from '../../../src/ir/tile/tile.js';
import { OPERATION_MODULES } from './modules.js';
import { panels } from './panel-module.js';
import { plain, templates } from './templates.js';
import { scanPrograms, TOKENS } from '../../../src/passes/chunk/programs.js';

// Dawn's null backend takes any shader that is valid. The instance must outlive its devices, and is collected unless a function has it.
const gpu = create(['backend=null']);
const openDevice = async () => (await gpu.requestAdapter())?.requestDevice();
const device = await openDevice();

const launched = (plan: Plan) => plan.programs.forward.launches.map(({ kernel }) => kernel);

const emitted = OPERATION_MODULES.flatMap((module) => (['f32', 'bf16', 'f16'] as const).map((dtype) => ({
  module, dtype, ...emitWgsl(module, { ...plain, dtype }),
})));
const files = emitted.flatMap(({ module, dtype, files: made }) => [...made].map(([name, text]) => ({
  name: `${module.name} ${dtype} ${name}`, text,
})));

describe('emitted WGSL', () => {
  it('binds no more storage buffers than every adapter allows', () => {
    const most = Math.max(...files.map(({ text }) => [...text.matchAll(/var<storage/g)].length));
    expect(most).toBe(DEFAULT_CAPABILITIES.storageBuffers);
  });

  it('stays within workgroup memory and invocations', () => {
    for (const { name, text } of files) {
      const floats = Number(/var<workgroup> near: array<f32, (\d+)>/.exec(text)?.[1] ?? 0);
      const vectors = Number(/var<workgroup> panels: array<vec4<f32>, (\d+)>/.exec(text)?.[1] ?? 0);
      expect(4 * floats + 16 * vectors, name).toBeLessThanOrEqual(DEFAULT_CAPABILITIES.workgroupBytes);
      expect(Number(/@workgroup_size\((\d+)\)/.exec(text)?.[1]), name).toBeLessThanOrEqual(DEFAULT_CAPABILITIES.invocations);
    }
  });

  it('brings operands of products of layers to workgroup memory, and keeps what they give in registers', () => {
    const made = Object.fromEntries(emitWgsl(panels, { ...plain, dtype: 'f32' }).files);
    const held = Object.entries(made).filter(([, text]) => text.includes('var<workgroup> panels')).map(([name]) => name);
    expect(held).toEqual(['gate.wgsl', 'choose.wgsl', 'both.wgsl', 'sums.wgsl', 'parts.wgsl']);
    expect(made['sums.wgsl']).toContain('let block2 = ');
    // What does not fit is made as before.
    const small = emitWgsl(panels, {
      ...plain, dtype: 'f32', capabilities: { ...DEFAULT_CAPABILITIES, workgroupBytes: 512 },
    });
    for (const { name, sharedBytes } of small.plan.kernels) expect(sharedBytes, name).toBeLessThanOrEqual(512);
  });

  it('never returns early, and has no native halves unless asked', () => {
    for (const { name, text } of files) {
      const body = text.slice(text.indexOf('fn main('));
      expect(body, name).not.toMatch(/\breturn\b/);
      expect(text, name).not.toMatch(/enable f16|: f16/);
    }
  });

  it('is the same each time', () => {
    for (const { module, dtype, files: made } of emitted) expect(emitWgsl(module, { ...plain, dtype }).files).toEqual(made);
  });

  it('compiles without a message, with the limits that every adapter has', async () => {
    if (device === undefined) throw new Error('Dawn has no null backend');
    for (const { name, text } of files) {
      const module = device.createShaderModule({ code: text });
      device.pushErrorScope('validation');
      device.createComputePipeline({ layout: 'auto', compute: { module, entryPoint: 'main' } });
      const messages = (await module.getCompilationInfo()).messages.map(({ message, lineNum }) => `${lineNum}: ${message}`);
      expect([...messages, (await device.popErrorScope())?.message], name).toEqual([undefined]);
    }
  });

  it('brings the helpers it calls and no others', () => {
    const scalar = (name: string) => emitted.find(
      ({ module, dtype }) => module.name === 'scalars' && dtype === 'f32'
    )?.files.get(`map_${name}.wgsl`) ?? '';
    const defined = (text: string) => [...text.matchAll(/^fn (m_\w+)/gm)].map(([, name]) => name);
    expect(defined(scalar('add'))).toEqual([]);
    expect(defined(scalar('softplus'))).toEqual(['m_exp', 'm_log_far', 'm_log1p', 'm_softplus', 'm_is_nan', 'm_no_number']);
    expect(defined(scalar('gelu'))).toEqual(['m_chain', 'm_erfc', 'm_normal_cdf', 'm_gelu', 'm_is_nan']);
  });

  it('has helpers that compile on their own', async () => {
    for (const name of Object.keys(templates).filter((path) => path.startsWith('rt/'))) {
      const code = name === 'rt/math.wgsl' ? `${templates[name]}${templates['rt/number.wgsl']}` : templates[name];
      const info = await device?.createShaderModule({ code }).getCompilationInfo();
      expect(info?.messages.map(({ message }) => message), name).toEqual([]);
    }
  });
});

describe('staging', () => {
  const wide = emitted.find(({ module, dtype }) => module.name === 'pressure' && dtype === 'f32');

  it('copies the smallest of too many tensors, before their reader and after their writer', () => {
    expect(wide && launched(wide.plan)).toEqual([
      'copy_in_w0', 'copy_in_w1', 'copy_in_w2', 'copy_in_w3', 'copy_in_w4', 'copy_in_s', 'copy_in_x', 'everything',
    ]);
    expect(wide?.plan.arena).toContain('w0.copy');
  });

  it('copies nothing where an adapter binds enough', () => {
    const [module] = OPERATION_MODULES.filter(({ name }) => name === 'pressure');
    const { plan } = emitWgsl(module, { ...plain, dtype: 'f32', capabilities: { ...DEFAULT_CAPABILITIES, storageBuffers: 16 } });
    expect(launched(plan)).toEqual(['everything']);
  });

  it('writes 16-bit results by whole words, unless the adapter has halves', () => {
    const half = (
      name: string, role: TileBuffer['role'],
    ): TileBuffer => ({ name, outer: 'row', domain: TOKENS, inner: 'head', axes: ['K'], dtype: 'io', role });
    const [from, to] = [half('x', 'input'), half('y', 'output')];
    const copy = buildKernel(
      { name: 'copy', doc: 'Copies.', outer: 'chunk', domain: TOKENS, inner: 'head' }, (k) => k.store(to, k.load(from)),
    );
    const module: TileModule = {
      name: 'copy', chunk: 16, sizes: new Map([['K', 3]]), domains: [TOKENS], buffers: [from, to], kernels: [copy],
      programs: scanPrograms([from, to], { forward: ['copy'] }),
    };
    const words = emitWgsl(module, { ...plain, dtype: 'f16' });
    expect(launched(words.plan)).toEqual(['copy', 'copy_out_y']);
    expect(words.files.get('copy_out_y.wgsl')).toContain('p_y[i] = rt_pack_f16(low, high);');
    const native = emitWgsl(module, { ...plain, dtype: 'f16', capabilities: { ...DEFAULT_CAPABILITIES, f16: true } });
    expect(launched(native.plan)).toEqual(['copy']);
    expect(native.files.get('copy.wgsl')).toMatch(/enable f16;[^]*p_y\[.*\] = f16\(/);
  });
});

describe('one kernel, in full', () => {
  it('fuses the product, the scale and the store of a read', async () => {
    const buffer = (
      name: string, outer: TileBuffer['outer'], axes: readonly string[], role: TileBuffer['role'],
    ): TileBuffer => ({ name, outer, domain: TOKENS, inner: 'head', axes, dtype: 'f32', role });
    const [q, S, o] = [
      buffer('q', 'row', ['K'], 'input'), buffer('S', 'run', ['K', 'V'], 'initial'), buffer('o', 'row', ['V'], 'output'),
    ];
    const read = buildKernel({ name: 'read', doc: 'Reads the state.', outer: 'chunk', domain: TOKENS, inner: 'head' }, (k) => {
      k.store(o, k.mul(k.contract(k.load(q), k.load(S), 'K'), k.literal(0.125)));
      expect(k.axesOf(k.load(q))).toEqual([ROW, 'K']);
    });
    const module: TileModule = {
      name: 'read', chunk: 16, sizes: new Map([['K', 64], ['V', 64]]), domains: [TOKENS], buffers: [q, S, o], kernels: [read],
      programs: scanPrograms([q, S, o], { forward: ['read'] }),
    };
    const text = emitWgsl(module, { ...plain, dtype: 'f32' }).files.get('read.wgsl') ?? '';
    await expect(text.slice(text.indexOf('// Reads'))).toMatchFileSnapshot('golden/read.wgsl');
  });
});

describe('chunkFor', () => {
  it('takes 32 tokens where three tiles fit, else 16', () => {
    expect(chunkFor(new Map([['K', 16], ['V', 24]]))).toBe(32);
    expect(chunkFor(new Map([['K', 64], ['V', 64]]))).toBe(16);
    expect(chunkFor(new Map([['K', 64], ['V', 64]]), { ...DEFAULT_CAPABILITIES, workgroupBytes: 32768 })).toBe(32);
    expect(chunkFor(new Map([['K', 256], ['V', 256]]), { ...DEFAULT_CAPABILITIES, workgroupBytes: 32768 })).toBe(16);
  });
});
