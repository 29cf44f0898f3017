import { describe, expect, it } from 'vitest';
import { runTiles } from '../../../../src/interp/tile.js';
import { tableOf } from '../../../../src/runtime/extents.js';
import { emitWgsl } from '../../../../src/backends/wgsl/emit.js';
import { extentsOf } from '../../../../src/runtime/extents.js';
import { someCall } from '../../interp/graph/make-graph.js';
import { plain } from '../../wgsl/templates.js';
import { alike } from '../flow/judge.js';
import { mixture } from '../flow/mixtures.js';
import { EXTREMES } from './extremes.js';
import { judgeKernels, madeOf, tileCall } from './judge.js';

describe('lists of slots that kernels make', () => {
  for (const { what, one, lengths, same } of EXTREMES) {
    it(`${what}: forward and backward give what the flow gives`, () => {
      const graph = mixture(one, true);
      const call = someCall(graph, lengths, 12, { program: 'train' });
      judgeKernels(madeOf(graph), same ? alike(call, 1) : call);
    });
  }

  it('are those of the choice: each expert has its tokens in order, and each token its slots', () => {
    const graph = mixture(['softmax', 'mixtral', { D: 4, E: 5, F: 3, k: 2 }], true);
    const made = madeOf(graph);
    const { lowered: { module, bindings }, dims, buffers } = tileCall(made, someCall(graph, [6, 0, 3], 3, { program: 'train' }));
    // Tables as results, to look at them.
    const tables = new Set(bindings.flatMap(({ buffer, held }) => (held.kind === 'table' ? [buffer.name] : [])));
    const shown = {
      ...module, buffers: module.buffers.map((buffer) => (tables.has(buffer.name) ? { ...buffer, role: 'output' as const } : buffer)),
      programs: { ...module.programs, forward: { ...module.programs.forward, gives: [...module.programs.forward.gives, ...tables] } },
    };
    runTiles(shown, 'forward', dims, buffers);
    const table = (name: string): number[] => [...buffers.get(`${name}_of_slot1`) ?? []];
    const [offsets, token, slots, seats] = ['offsets', 'token', 'slots', 'seats'].map(table);
    expect(offsets).toHaveLength(6);
    expect([offsets[0], offsets[5]]).toEqual([0, 18]);
    for (let e = 0; e < 5; e++) {
      const own = token.slice(offsets[e], offsets[e + 1]);
      expect(own).toEqual([...new Set(own)].sort((a, b) => a - b));
      own.forEach((t, i) => expect(slots[2 * t + seats.slice(2 * t, 2 * t + 2).indexOf(e + 1)]).toBe(offsets[e] + i));
    }
    expect(slots.filter((slot) => slot >= 0)).toHaveLength(18);
    for (let t = 0; t < 9; t++) expect(seats[2 * t]).toBeLessThan(seats[2 * t + 1]);
  });

  it('are taken by no program, and grids are for as many rows as there may be', () => {
    const { lowered } = madeOf(mixture(['softmax', 'mixtral', { D: 4, E: 5, F: 3, k: 2 }], true));
    const { module } = lowered ?? expect.fail();
    const roles = new Map(module.buffers.map(({ name, role }) => [name, role]));
    for (const { takes } of Object.values(module.programs)) {
      for (const name of takes) expect([name, roles.get(name)]).toEqual([name, expect.stringMatching(/^(input|param)$/)]);
    }
    const { plan } = emitWgsl(module, { ...plain, dtype: 'f32' });
    const call = { heads: 1, groups: 1, lengths: [6, 0, 3] };
    const extents = extentsOf(plan, call);
    // 18 rows in chunks of 4: 5 experts may each have one that is not full.
    expect([extents.slot1s, extents.group1s, extents.span1s, extents.tile1s]).toEqual([18, 5, 5, 8]);
    expect(tableOf(plan, 'tile1s', call)).toEqual(new Int32Array(4 * 8));
    expect(() => extentsOf(plan, { ...call, lengths: [2 ** 23 + 1] })).toThrow('more than 2^24');
  });
});
