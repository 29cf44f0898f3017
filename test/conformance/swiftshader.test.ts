import { DEFAULT_CAPABILITIES } from '../../src/backends/wgsl/capabilities.js';
import { EXAMPLES } from '../examples.js';
import { describeConformance } from './webgpu.js';

// The plans of `lmoec build`: the limits that every adapter has. 16-bit tensors as halves of words, for want of shader-f16.
await describeConformance('swiftshader', [
  { dtype: 'f32', capabilities: DEFAULT_CAPABILITIES, names: EXAMPLES },
  { dtype: 'bf16', capabilities: DEFAULT_CAPABILITIES, names: ['gated_delta', 'gla', 'mamba2'], calls: [[37]] },
]);
