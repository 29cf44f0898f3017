import { describe, expect, it } from 'vitest';
import { runSpec } from '../../../src/interp/spec.js';
import type { Axis } from '../../../src/ir/common/axes.js';
import type { Spec } from '../../../src/ir/spec/spec.js';
import { paddingChange } from '../../../src/passes/padding.js';
import { draw, specOf } from './scans.js';

const scan = (body: string): Spec => specOf(`scan f(q, k: [K], v: [V], a: [K] in 0..1) -> o: [V] {\n  state S: [K, V]\n  S = ${body}\n}`);
const SIZES = new Map([['K', 3], ['V', 4], ['D', 3]]);
const MORE = 2;

/** The tensor of another size along one axis: entries beyond the old end are zero, or cut off. */
function resized(data: Float64Array, axes: readonly Axis[], from: ReadonlyMap<Axis, number>, to: ReadonlyMap<Axis, number>): Float64Array {
  const count = (sizes: ReadonlyMap<Axis, number>) => axes.reduce((n, axis) => n * (sizes.get(axis) ?? 0), 1);
  const lead = data.length / count(from);
  const out = new Float64Array(lead * count(to));
  for (let i = 0; i < out.length; i++) {
    let rest = i;
    let at = 0;
    let stride = 1;
    let inside = true;
    for (const axis of [...axes].reverse()) {
      const [old, now] = [from.get(axis) ?? 0, to.get(axis) ?? 0];
      inside &&= rest % now < old;
      at += (rest % now) * stride;
      stride *= old;
      rest = Math.floor(rest / now);
    }
    if (inside) out[i] = data[rest * stride + at];
  }
  return out;
}

/** Largest difference between the outputs of a scan and those of the padded one. */
function effect(spec: Spec, axis: Axis): number {
  const padded = new Map(SIZES).set(axis, (SIZES.get(axis) ?? 0) + MORE);
  const { call, given } = draw(spec, SIZES, [4, 2], 7);
  const axesOf = new Map([...spec.inputs, ...spec.params, ...spec.states].map((t) => [t.name, t.axes]));
  const larger = new Map([...given].map(([name, data]) => [name, resized(data, axesOf.get(name) ?? [], SIZES, padded)]));
  const plain = runSpec(spec, call, given);
  const after = runSpec(spec, { ...call, sizes: padded }, larger);
  return Math.max(...spec.outputs.map(({ name, axes }) => {
    const cut = resized(after.get(name) ?? new Float64Array(), axes, padded, SIZES);
    return Math.max(...[...(plain.get(name) ?? [])].map((x, i) => Math.abs(x - cut[i])));
  }));
}

describe('zeros along an axis', () => {
  it.each([
    ['a product over it', 'S[t-1] + outer(k, v)\n  o = q @ S', undefined],
    ['a gate per channel', 'a * S[t-1] + outer(k, v)\n  o = q @ S', undefined],
    ['an erase', 'S[t-1] + outer(k, v - k @ S[t-1])\n  o = q @ S', undefined],
    ['l2norm', 'S[t-1] + outer(l2norm[K](k), v)\n  o = silu(q) @ S', undefined],
    ['its size', 'S[t-1] + outer(k, v)\n  o = q @ S / sqrt(K)', 'size'],
    ['a mean', 'S[t-1] + outer(rmsnorm[K](k), v)\n  o = q @ S', 'size'],
    ['softmax', 'S[t-1] + outer(softmax[K](k), v)\n  o = q @ S', 'fold'],
    ['a function that is not 0 at 0', 'S[t-1] + outer(sigmoid(k), v)\n  o = sigmoid(q) @ S', 'fold'],
    ['a maximum', 'S[t-1] + outer(k, v)\n  o = (q - max[K](-abs(q))) @ S', 'fold'],
  ])('%s', (_, body, change) => {
    const spec = scan(body);
    expect(paddingChange(spec, 'K')?.kind).toBe(change);
    if (change === undefined) expect(effect(spec, 'K')).toBeLessThan(1e-14);
    else expect(effect(spec, 'K')).toBeGreaterThan(1e-6);
  });

  it('in a state that does not stay zero there', () => {
    const kept = (write: string) => specOf(`scan f(x: [D]) -> o: [] {\n  state h: [D]\n  h = 0.5 * h[t-1] + ${write}\n  o = sum[D](h)\n}`);
    expect(paddingChange(kept('x'), 'D')).toBeUndefined();
    expect(effect(kept('x'), 'D')).toBeLessThan(1e-14);
    expect(paddingChange(kept('exp(x)'), 'D')?.kind).toBe('fold');
    expect(effect(kept('exp(x)'), 'D')).toBeGreaterThan(1e-6);
  });
});
