import type { Spec } from '../../ir/spec/spec.js';
import { sizesFor } from '../compile.js';
import type { Problem } from '../problem.js';
import { isProblem } from '../session.js';
import { drawTensors, type DrawnTensor } from './draw.js';

const DEFAULTS = { B: 2, T: 100, H: 2 };

/**
 * Random tensors for a run without a file: inputs, params, initial states and cotangents. `sizes` may name axes and B, T, H and G;
 * without G, two heads share a group where some input is per group.
 */
export function randomTensors(spec: Spec, sizes: ReadonlyMap<string, number>, seed: number): ReadonlyMap<string, DrawnTensor> | Problem {
  const axes = sizesFor(spec, sizes);
  if (isProblem(axes)) return axes;
  const grouped = spec.inputs.some((input) => input.scope === 'group');
  const [B, T] = [sizes.get('B') ?? DEFAULTS.B, sizes.get('T') ?? DEFAULTS.T];
  const H = sizes.get('H') ?? (grouped ? 2 * (sizes.get('G') ?? DEFAULTS.H) : DEFAULTS.H);
  const G = sizes.get('G') ?? (H % 2 === 0 ? H / 2 : H);
  return drawTensors(spec, { B, T, H, G, N: B }, axes, { seed });
}
