import { DEFAULT_CAPABILITIES } from '../../src/backends/wgsl/capabilities.js';
import { emitWgsl } from '../../src/backends/wgsl/emit.js';
import { nodeHost } from '../../src/driver/host.js';
import { runOnDevice } from '../../src/driver/scan/run/device.js';
import { isProblem } from '../../src/driver/session.js';
import { gradSpec } from '../../src/interp/spec-gradient.js';
import type { SpecCall, Tensors } from '../../src/interp/spec-machine.js';
import type { Spec } from '../../src/ir/spec/spec.js';
import { lowerScan } from '../../src/passes/pipeline.js';
import type { WebGpuRuntime } from '../../src/runtime/webgpu/index.js';
import { plain } from '../unit/wgsl/templates.js';
import { grossFault } from './gross.js';

/** What WGSL kernels in f32 on an adapter make grossly different from their meaning; undefined for nothing. */
export async function adapterFault(
  runtime: WebGpuRuntime, spec: Spec, call: SpecCall, given: Tensors, cotangents: Tensors,
): Promise<string | undefined> {
  const lowered = lowerScan(spec, call.sizes, { chunk: 16, exactGates: true });
  const compiled = { ...lowered, ...emitWgsl(lowered.module, { ...plain, dtype: 'f32', capabilities: DEFAULT_CAPABILITIES }) };
  const tokens = call.lengths.reduce((sum, length) => sum + length, 0);
  const shape = {
    batch: 1, tokens, heads: call.heads, groups: call.groups, lengths: call.lengths, cuSeqlens: undefined, sizes: call.sizes,
  };
  const made = await runOnDevice(nodeHost(), runtime, compiled, shape, new Map([...given, ...cotangents]), { step: true });
  if (isProblem(made)) return `the adapter refuses it: ${made.code} ${made.title}`;
  const wanted = gradSpec(spec, call, given, cotangents);
  for (const [program, tensors] of Object.entries(made)) {
    if (!(tensors instanceof Map)) continue;
    const odd = grossFault(`WGSL, ${program}`, tensors, wanted);
    if (odd !== undefined) return odd;
  }
  return undefined;
}
