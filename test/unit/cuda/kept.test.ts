import { describe, expect, it } from 'vitest';
import { KEPT } from '../../../src/ir/plan/kept.js';
import type { CallSizes } from '../../../src/runtime/extents.js';
import { NO_EXAMPLES } from '../../examples.js';
import { compileExample } from './compiled.js';
import { compiler, runKernels } from './emulate.js';

/** Tokens that fill no chunk, sequences without any, one that is cut. */
const call: CallSizes = { heads: 2, groups: 1, lengths: [5, 0, 130] };

/** An example; one whose forward makes more than backward in one kernel; one whose backward makes more. */
const CASES: readonly (readonly [name: string, size: number])[] = [['gated_delta', 64], ['kda', 32], ['rwkv6', 32], ['hgrn2', 32]];

describe.skipIf(!compiler || NO_EXAMPLES)('kernels of a backward that takes workspaces (skipped where g++ or examples are missing)', () => {
  it.each(CASES)('give the same bits: %s', async (name, size) => {
    const { module } = await compileExample(name, size, 'bf16', 'cuda.sm90');
    const common = { dtype: 'bf16', target: 'cuda.sm90', plain: false, call, longest: 1, orders: ['0', '1'] } as const;
    const { forward, backward, [KEPT.forward]: leaves } = module.programs;
    const kept = leaves.gives.filter((tensor) => !forward.gives.includes(tensor));
    const left: Map<string, Float64Array>[] = [];
    const outputs: string[] = [];
    runKernels(module, { ...common, programs: ['forward', KEPT.forward] }, (program, _, results) => {
      const of = (names: readonly string[]) => new Map(names.map((tensor) => [tensor, results.get(tensor) ?? new Float64Array()]));
      outputs.push(JSON.stringify([...of(forward.gives)].map(([tensor, values]) => [tensor, ...values])));
      if (program === KEPT.forward) left.push(of(kept));
    });
    expect(new Set(outputs).size).toBe(1);
    const gradients: string[] = [];
    runKernels(module, { ...common, programs: ['backward', KEPT.backward], given: left[0] }, (_program, _given, results) => {
      const all = backward.gives.map((tensor) => [tensor, ...results.get(tensor) ?? []]);
      expect(all.flat().some((x) => typeof x === 'number' && x !== 0)).toBe(true);
      gradients.push(JSON.stringify(all));
    });
    expect(gradients).toHaveLength(4);
    expect(new Set(gradients).size).toBe(1);
  });
});
