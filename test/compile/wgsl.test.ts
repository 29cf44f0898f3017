import { create } from 'webgpu';
import { describe, expect, it } from 'vitest';
import { chunkFor, DEFAULT_CAPABILITIES, type WgslCapabilities } from '../../src/backends/wgsl/capabilities.js';
import { emitWgsl } from '../../src/backends/wgsl/emit.js';
import type { IoDtype } from '../../src/ir/common/dtype.js';
import { lowerScan } from '../../src/passes/pipeline.js';
import { exampleSpec } from '../conformance/files.js';
import { EXAMPLES, NO_EXAMPLES } from '../examples.js';
import { plain } from '../unit/wgsl/templates.js';

// Dawn's null backend checks shaders and limits as any device does, and has no driver. The instance must outlive its devices.
const gpu = create(['backend=null']);

const CONFIGURATIONS: readonly {
  readonly name: string; readonly dtype: IoDtype; readonly size: number; readonly capabilities: WgslCapabilities;
}[] = [
  { name: 'f32, size 64', dtype: 'f32', size: 64, capabilities: DEFAULT_CAPABILITIES },
  { name: 'bf16, size 256', dtype: 'bf16', size: 256, capabilities: DEFAULT_CAPABILITIES },
  { name: 'f16, size 24, with shader-f16 and subgroups', dtype: 'f16', size: 24, capabilities: {
    ...DEFAULT_CAPABILITIES, f16: true, subgroups: true,
  } },
];

/** What Dawn says of every file of an example, by file. */
async function messages(
  device: GPUDevice, name: string, { dtype, size, capabilities }: (typeof CONFIGURATIONS)[number],
): Promise<readonly string[]> {
  const spec = exampleSpec(name);
  const sizes = new Map(spec.axes.map((axis) => [axis.name, size]));
  const { module } = lowerScan(spec, sizes, { chunk: chunkFor(sizes, capabilities) });
  const { files } = emitWgsl(module, { ...plain, dtype, capabilities });
  expect(files.size).toBeGreaterThan(1);
  const found = await Promise.all([...files].map(async ([file, code]) => {
    device.pushErrorScope('validation');
    const shader = device.createShaderModule({ code });
    device.createComputePipeline({ layout: 'auto', compute: { module: shader, entryPoint: 'main' } });
    const fault = device.popErrorScope();
    const info = await shader.getCompilationInfo();
    return [
      ...info.messages.map(({ lineNum, message }) => `${file}:${lineNum}: ${message}`),
      ...((await fault) === null ? [] : [`${file}: ${(await fault)?.message}`]),
    ];
  }));
  return found.flat();
}

describe.skipIf(NO_EXAMPLES).each(CONFIGURATIONS)('WGSL of all examples compiles without a message: $name', (configuration) => {
  it('on a device of WebGPU\'s default limits', async () => {
    const adapter = await gpu.requestAdapter();
    if (adapter === null) throw new Error('Dawn has no null backend');
    const { capabilities } = configuration;
    const device = await adapter.requestDevice({ requiredFeatures: capabilities.f16 ? ['shader-f16', 'subgroups'] : [] });
    for (const name of EXAMPLES) expect(await messages(device, name, configuration), name).toEqual([]);
  });
});
