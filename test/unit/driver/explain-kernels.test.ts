import { describe, expect, it } from 'vitest';
import { kernelsText } from '../../../src/driver/graph/explain/kernels.js';
import { compileGraph } from '../../../src/driver/graph/kernels.js';
import { nodeHost } from '../../../src/driver/host.js';
import { sourceOf } from '../../../src/driver/session.js';
import { sizeIn } from '../../../src/ir/common/axes.js';
import { factsOf } from '../../../src/ir/tile/facts.js';
import { programOf, type TileKernel, type TileModule, type TileStmt } from '../../../src/ir/tile/tile.js';
import { extentsOf } from '../../../src/runtime/extents.js';

const [D, F, E, T] = [16, 32, 3, 200];
const TEXT = `
layer two(x: [D]) -> y: [D] with D = ${D}, F = ${F} { param up: [D, F], down: [F, D]   y = relu(x @ up) @ down }
moe mixture(x: [D]) -> y: [D] with D = ${D}, E = ${E}, k = ${E}, F = ${F} {
  param gate: [D, E]
  use expert[E] = two with F
  let p = softmax[E](x @ gate)
  let chosen = top[E, k](p)
  y = sum[E](p[chosen] * expert(x))
  loss z = mean[tokens](logsumexp[E](x @ gate)^2)
}
`;

/** How often the statements of a body run in a call where every token has a slot of each expert. */
type Times = Readonly<Record<'chunk' | 'segment' | 'run' | 'row' | 'once', number>>;

function timesOf({ chunk }: TileModule, { domain }: TileKernel, segments: number): Times {
  const runs = domain.made === undefined ? 1 : E;
  return { chunk: runs * Math.ceil(T / chunk), segment: domain.made === undefined ? segments : E, run: runs, row: runs * T, once: 1 };
}

/** Operations of a kernel, op by op: what a loop goes over says how often its body runs in all. */
function operations(module: TileModule, kernel: TileKernel, segments: number): number {
  const times = timesOf(module, kernel, segments);
  const elements = (axes: readonly string[]): number => axes.reduce((n, axis) => n * (sizeIn(module.sizes, module.chunk, axis) ?? NaN), 1);
  const axesOf = (tile: number): readonly string[] => kernel.tiles[tile].axes;
  const walk = (body: readonly TileStmt[], often: number): number => body.reduce((sum, stmt) => {
    if (stmt.kind === 'let') return sum + often * (factsOf(stmt.op).flops?.(stmt.op, axesOf(stmt.tile), axesOf, elements) ?? 0);
    if (stmt.kind === 'store') return sum;
    const all = { chunks: times.chunk, segments: times.segment, runs: times.run, rows: times.row, members: often, rounds: often };
    return sum + walk(stmt.body, stmt.only === undefined ? all[stmt.over] : often);
  }, 0);
  return walk(kernel.body, times[kernel.outer]);
}

describe('what explain says of the kernels of a mixture', () => {
  const host = nodeHost();
  const source = sourceOf(host, 'mixture.lmoe', TEXT);
  const graph = source.parts.elaborate('mixture', new Map(), true).graph;
  if (graph === undefined) throw new Error('no graph');

  it('has all operations of its tiles, and no more', async () => {
    const made = await compileGraph(host, source, graph, { target: 'cuda.sm90', dtype: 'f32', backward: true, command: 'test' });
    if (!('plan' in made)) throw new Error('no kernels');
    const { plan, lowered: { module } } = made;
    const { kernels, slots } = kernelsText(made, { batch: 1, tokens: T });
    const { segments } = extentsOf(plan, { heads: 1, groups: 1, lengths: [T] });
    for (const program of ['forward', 'backward'] as const) {
      const own = kernels.filter((kernel) => kernel.program === program);
      expect(own.flatMap(({ launches }) => launches).sort()).toEqual(plan.programs[program].launches.map(({ kernel }) => kernel).sort());
      const { launches } = programOf(module, program);
      // Those for few rows are launched in calls of one chunk.
      const wanted = module.kernels.filter(({ name, few }) => launches.includes(name) && few !== 'only')
        .reduce((sum, kernel) => sum + operations(module, kernel, segments), 0);
      const found = own.reduce((sum, { flops }) => sum + flops, 0);
      expect(Math.abs(found / wanted - 1)).toBeLessThan(1e-9);
    }
    // Every row of a tile that some slot fills.
    const rows = E * Math.ceil(T / plan.chunk) * plan.chunk;
    const [up] = kernels.filter(({ text }) => text.startsWith('product of slot1 [expert.F]'));
    expect(up.flops).toBeGreaterThanOrEqual(2 * rows * D * F);
    expect(up.flops).toBeLessThan(1.2 * 2 * rows * D * F);
    // x, weights of all experts; of each slot the product (for backward), what is made of it, its token and its weight.
    expect(up.bytes).toBe(4 * (T * D + E * D * F + E * T * (2 * F + 2)));
    expect(slots).toMatchObject([{ count: E, perToken: E, mean: T, fullest: T }]);
  });

  it('counts tiles as choices by lot fill them', async () => {
    const small = source.parts.elaborate('mixture', new Map([['k', 1]]), true).graph;
    const made = small && await compileGraph(host, source, small, { target: 'cuda.sm90', dtype: 'f32', backward: false, command: 'test' });
    if (made === undefined || !('plan' in made)) throw new Error('no kernels');
    const { kernels, slots: [{ filled, mean }] } = kernelsText(made, { batch: 2, tokens: T });
    const [up] = kernels.filter(({ text }) => text.startsWith('product of slot1 [expert.F]'));
    const rows = E * mean / filled;
    expect(E * mean).toBeCloseTo(2 * T, 6);
    expect(up.flops / (2 * rows * D * F)).toBeGreaterThanOrEqual(1);
    expect(up.flops / (2 * rows * D * F)).toBeLessThan(1.2);
  });
});
