import { afterAll, describe, expect, it } from 'vitest';
import { DEFAULT_CAPABILITIES } from '../../src/backends/wgsl/capabilities.js';
import { emitWgsl } from '../../src/backends/wgsl/emit.js';
import { lowerScan } from '../../src/passes/pipeline.js';
import { failures } from '../conformance/webgpu.js';
import { plain } from '../unit/wgsl/templates.js';
import type { WebGpuRuntime } from '../../src/runtime/webgpu/index.js';
import { openSoftwareGpu } from '../webgpu/adapters.js';
import { PROGRAMS, programOf } from '../programs.js';
import { randomCase, seeds } from './case.js';

const opened = await openSoftwareGpu('swiftshader', 'lavapipe');
if ('why' in opened) it.skip(`WGSL of random recurrences: ${opened.why}`, () => undefined);
else describe('WGSL of random recurrences', () => recurrenceTests(opened));

function recurrenceTests(runtime: WebGpuRuntime): void {
  afterAll(() => runtime.release());

  // Little workgroup memory spills tiles; many short segments join states across them.
  const suites = [
    { lengths: [9, 0, 1, 4], workgroupBytes: DEFAULT_CAPABILITIES.workgroupBytes, programs: 256 },
    { lengths: [33], workgroupBytes: 2048, programs: 8 },
    { lengths: [40, 3], workgroupBytes: 1024, programs: 8 },
  ];
  it.each(PROGRAMS)('%s, which once showed a fault', async (name) => {
    const spec = programOf(name);
    const lowered = lowerScan(spec, new Map(spec.axes.map((axis, i) => [axis.name, [8, 16][i % 2]])), { chunk: 16 });
    const made = emitWgsl(
      lowered.module, { ...plain, dtype: 'f32', capabilities: DEFAULT_CAPABILITIES, segmentation: { programs: 8, least: 1 } },
    );
    expect(await failures(runtime, { ...lowered, ...made }, [40, 0, 3], 'f32')).toEqual([]);
  });
  it.each(suites)('sequences like $lengths.0 tokens, $workgroupBytes bytes', async ({ lengths, workgroupBytes, programs }) => {
    for (const seed of seeds(4, 1 + lengths[0])) {
      const { spec, call, recurrence } = randomCase(seed, { lengths, sizes: [2, 3, 4, 5, 8] });
      const lowered = lowerScan(spec, call.sizes, { chunk: 16 });
      const made = emitWgsl(
        lowered.module,
        { ...plain, dtype: 'f32', capabilities: { ...DEFAULT_CAPABILITIES, workgroupBytes }, segmentation: { programs, least: 1 } },
      );
      expect(await failures(runtime, { ...lowered, ...made }, lengths, 'f32'), recurrence.source).toEqual([]);
    }
  });
}
