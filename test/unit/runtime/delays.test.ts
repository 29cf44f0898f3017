import { afterAll, describe, expect, it } from 'vitest';
import { DEFAULT_CAPABILITIES } from '../../../src/backends/wgsl/capabilities.js';
import { emitWgsl } from '../../../src/backends/wgsl/emit.js';
import { lowerScan } from '../../../src/passes/pipeline.js';
import type { WebGpuRuntime } from '../../../src/runtime/webgpu/index.js';
import { failures } from '../../conformance/webgpu.js';
import { openSoftwareGpu } from '../../webgpu/adapters.js';
import { DELAYS } from '../passes/delay-scans.js';
import { specOf } from '../passes/scans.js';
import { plain } from '../wgsl/templates.js';

const opened = await openSoftwareGpu('swiftshader', 'lavapipe');
if ('why' in opened) it.skip(`tokens before, in WGSL: ${opened.why}`, () => undefined);
else describe('tokens before, in WGSL', () => delayTests(opened));

function delayTests(runtime: WebGpuRuntime): void {
  afterAll(() => runtime.release());
  it.each(Object.entries(DELAYS))('%s', async (_, text) => {
    const spec = specOf(text);
    const lowered = lowerScan(spec, new Map(spec.axes.map(({ name }, i) => [name, [4, 5, 3][i]])), { chunk: 16 });
    for (const programs of [1, 256]) {
      const made = emitWgsl(
        lowered.module, { ...plain, dtype: 'f32', capabilities: DEFAULT_CAPABILITIES, segmentation: { programs, least: 1 } },
      );
      expect(await failures(runtime, { ...lowered, ...made }, [17, 0, 1, 2, 33, 3, 16], 'f32')).toEqual([]);
    }
  });
}
