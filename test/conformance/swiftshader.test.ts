import { DEFAULT_CAPABILITIES } from '../../src/backends/wgsl/capabilities.js';
import { describeConformance, examples } from './webgpu.js';

// The plans of `lmoec build`: the limits that every adapter has. 16-bit tensors as halves of words, for want of shader-f16.
await describeConformance('swiftshader', [
  { dtype: 'f32', capabilities: DEFAULT_CAPABILITIES, names: examples },
  { dtype: 'bf16', capabilities: DEFAULT_CAPABILITIES, names: ['gated_delta', 'gla', 'mamba2'], calls: [[37]] },
]);
