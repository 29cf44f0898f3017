import { rising } from './intervals.js';
import { unary } from './record.js';

const UNIT = { lo: -1, hi: 1 };

export const circular = {
  sin: unary('sin', {
    f64: Math.sin, slope: (b, x) => b.map('cos', x),
    range: (x) => (x.lo >= -Math.PI / 2 && x.hi <= Math.PI / 2 ? rising(Math.sin)(x) : UNIT),
    cuda: 'sinf', wgsl: 'm_sin', torch: 'torch.sin',
  }),

  cos: unary('cos', {
    f64: Math.cos, slope: (b, x) => b.map('neg', b.map('sin', x)), range: () => UNIT,
    cuda: 'cosf', wgsl: 'm_cos', torch: 'torch.cos',
  }),
};
