import type { Plan } from '../../../src/ir/plan/plan.js';
import type { Spec } from '../../../src/ir/spec/spec.js';
import { NO_SPAN } from '../../../src/ir/common/span.js';
import { TOKEN_ROWS } from '../rows.js';

const origin = NO_SPAN;
const ANY = { lo: -Infinity, hi: Infinity };

/** A scan with everything a binding must show: a group input, a parameter, a state named like an output, one of its own, a hidden one. */
export const spec: Spec = {
  name: 'two_faced',
  doc: 'Two states,\none of them an output.',
  mode: 'chunked',
  axes: [{ name: 'K', defaultSize: 16 }, { name: 'V', defaultSize: 32 }],
  inputs: [
    { name: 'q', axes: ['K'], scope: 'group', rounded: false, range: ANY, origin },
    { name: 'v', axes: ['V'], scope: 'head', rounded: false, range: ANY, origin },
    { name: 'g', axes: [], scope: 'head', rounded: false, range: { lo: -Infinity, hi: 0 }, origin },
  ],
  params: [{ name: 'A_log', axes: [], range: ANY, origin }],
  states: [
    { name: 'S', axes: ['K', 'V'], next: 0, range: ANY, hidden: false, origin },
    { name: 'h', axes: ['V'], next: 0, range: ANY, hidden: false, origin },
    { name: 'q_prev', axes: ['K'], next: 0, range: ANY, hidden: true, origin },
  ],
  outputs: [{ name: 'o', axes: ['V'], value: 0, origin }, { name: 'h', axes: ['V'], value: 0, origin }],
  nodes: [{ kind: 'literal', value: 0, axes: [], origin }],
  origin,
};

const NOTHING = { takes: [], gives: [], launches: [] };

export const plan: Plan = {
  format: 'lmoec-plan-4',
  scan: spec.name,
  doc: spec.doc,
  source: { hash: 'abc', compiler: '0.0.0', command: 'lmoec build x.lmoe' },
  target: 'webgpu',
  dtype: 'f32',
  sizes: { K: 16, V: 32 },
  chunk: 32,
  segmentation: { programs: 1, least: 1 },
  ...TOKEN_ROWS,
  tensors: [],
  kernels: [],
  programs: { forward: NOTHING, backward: NOTHING, step: NOTHING },
  arena: [],
};
