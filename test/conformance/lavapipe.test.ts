import { EXAMPLES } from '../examples.js';
import { describeConformance } from './webgpu.js';

// What `lmoec run` does: kernels for all that the adapter has.
await describeConformance('lavapipe', [
  { dtype: 'f32', names: EXAMPLES },
  { dtype: 'f16', names: ['gated_delta', 'gla', 'mamba2'], calls: [[37]] },
]);
