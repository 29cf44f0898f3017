import { describe, expect, it } from 'vitest';
import { queuesOf } from '../../../../src/ir/plan/queues.js';
import type { PlanKernel } from '../../../../src/ir/plan/plan.js';

const kernel = (name: string, reads: readonly string[], writes: readonly string[]): PlanKernel => ({
  name, doc: '', file: '', entry: name, block: 1, sharedBytes: 0, lowering: 'plain', grid: [[1], [1], [1]],
    flops: [], bytes: [], singles: [],
  args: [
    ...reads.map((tensor) => ({ kind: 'tensor', tensor, access: 'read' } as const)),
    ...writes.map((tensor) => ({ kind: 'tensor', tensor, access: 'write' } as const)),
    { kind: 'dims', domain: 'token' },
  ],
});

describe('queues of a program', () => {
  it('keeps a chain of kernels in one queue', () => {
    const launches = queuesOf([kernel('a', [], ['x']), kernel('b', ['x'], ['y']), kernel('c', ['y'], ['z'])]);
    expect(launches).toEqual([
      { kernel: 'a', queue: 0, waits: [] }, { kernel: 'b', queue: 0, waits: [] }, { kernel: 'c', queue: 0, waits: [] },
    ]);
  });

  it('runs two walks side by side and joins them', () => {
    const launches = queuesOf([
      kernel('prepare', [], ['x']), kernel('states', ['x'], ['h']), kernel('reverse', ['x'], ['d']), kernel('gradients', ['h', 'd'], ['g']),
    ]);
    expect(launches.map(({ queue, waits }) => [queue, waits])).toEqual([[0, []], [0, []], [1, [0]], [0, [2]]]);
  });

  it('leaves the queue to the longest chain', () => {
    const launches = queuesOf([
      kernel('scores', [], ['x']), kernel('losses', ['x'], ['l']), kernel('counts', ['x'], ['c']), kernel('lists', ['c'], ['s']),
      kernel('tables', ['c'], ['t']), kernel('products', ['s', 't'], ['y']), kernel('sum', ['y'], ['z']),
    ]);
    expect(launches.map(({ queue, waits }) => [queue, waits])).toEqual([[0, []], [1, [0]], [0, []], [0, []], [1, [2]], [0, [4]], [0, []]]);
  });

  it('starts independent work at once', () => {
    const launches = queuesOf([kernel('ends', [], ['e']), kernel('other', [], ['f']), kernel('both', ['e', 'f'], ['g'])]);
    expect(launches.map(({ queue, waits }) => [queue, waits])).toEqual([[0, []], [1, []], [0, [1]]]);
  });

  it('orders writers after readers, and everything that shares an arena', () => {
    const overwrite = queuesOf([kernel('read', ['x'], ['a']), kernel('write', [], ['x'])]);
    expect(overwrite[1]).toEqual({ kernel: 'write', queue: 0, waits: [] });
    const shared = { ...kernel('k', [], []), args: [{ kind: 'arena', tensors: [] } as const] };
    expect(queuesOf([shared, shared]).map(({ queue }) => queue)).toEqual([0, 0]);
  });
});
