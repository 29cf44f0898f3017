import { describe, expect, it } from 'vitest';
import { sumsInTurn } from '../../../src/backends/cuda/tensor-cores/sums-in-turn.js';
import { lowerTensorCores } from '../../../src/backends/cuda/tensor-cores/lower.js';
import { isRefused } from '../../../src/backends/cuda/refused.js';
import { lowerScan } from '../../../src/passes/pipeline.js';
import { operandsOf } from '../../../src/ir/tile/facts.js';
import type { TileId, TileKernel, TileModule, TileStmt } from '../../../src/ir/tile/tile.js';
import { specOf } from '../passes/scans.js';

const erase = (from: string, i: number) => `${from} + outer(k${i}, beta${i} * (v - k${i} @ (${from})))`;
const module = (erases: number, gated = false): TileModule => {
  const ids = Array.from({ length: erases }, (_, n) => n + 1);
  const start = gated ? 'exp(g) * S[t-1]' : 'S[t-1]';
  const steps = ids.map((i) => (i === erases ? `S = ${erase(i === 1 ? start : `P${i - 1}`, i)}`
    : `let P${i} = ${erase(i === 1 ? start : `P${i - 1}`, i)}`));
  const [keys, strengths] = ['k', 'beta'].map((name) => ids.map((i) => `${name}${i}`).join());
  const spec = specOf(`scan s(q, ${keys}: [K], v: [V], ${strengths}: [] in 0..2${gated ? ', g: [] in -inf..0' : ''}) -> o: [V] {
    state S: [K, V]  ${steps.join('  ')}  o = q @ S }`);
  return lowerScan(spec, new Map([['K', 128], ['V', 128]]), { chunk: 64, inlineScores: 'diagonal', halfOperands: true }).module;
};
const kernelOf = ({ kernels }: TileModule, name: string): TileKernel => kernels.find((kernel) => kernel.name === name) ?? kernels[0];
const textOf = (made: TileModule, name: string): string => {
  const lowered = lowerTensorCores({ module: made, target: 'cuda.sm90', dtype: 'bf16' }, kernelOf(made, name));
  if (isRefused(lowered)) throw new Error(lowered.why);
  return lowered.text;
};

describe('walks that hold more than registers', () => {
  const three = module(3);

  it('have sums of products in turn: x + (p + q) is (x + p) + q', () => {
    const kernel = kernelOf(three, 'S_ends');
    const bodyOf = ({ body }: TileKernel): readonly TileStmt[] => body.flatMap((stmt) => (stmt.kind === 'loop' ? stmt.body : []));
    const made = bodyOf(sumsInTurn(kernel, true));
    const defined = new Map(made.flatMap((stmt) => (stmt.kind === 'let' ? [[stmt.tile, stmt.op] as const] : [])));
    const adds = [...defined].flatMap(([tile, op]) => (
      op.op === 'map' && op.fn === 'add' && kernel.tiles[tile].axes.length === 2 ? [op.args] : []
    ));
    // No statement is lost, none stands before what it reads, and what is added second is a product wherever it was a sum of them.
    expect([...defined.keys()].sort((a, b) => a - b)).toEqual(
      bodyOf(kernel).flatMap((stmt) => (stmt.kind === 'let' ? [stmt.tile] : [])).sort((a, b) => a - b),
    );
    const places = [...defined.keys()];
    for (const [tile, op] of defined) if (op.op === 'map') for (const arg of op.args) {
      if (defined.has(arg)) expect(places.indexOf(arg)).toBeLessThan(places.indexOf(tile));
    }
    const sums = adds.filter(([, second]) => {
      const op = defined.get(second);
      return op?.op === 'map' && op.fn === 'add';
    });
    expect(sums).toEqual([]);
    expect(adds.length).toBeGreaterThan(20);
  });

  it('keep p + q apart where x waits for products itself, unless all are asked for', () => {
    const kernel = kernelOf(module(2, true), 'S_reverse');
    const opsOf = ({ body }: TileKernel) => new Map(
      body.flatMap((stmt) => (stmt.kind === 'loop' ? stmt.body : []))
        .flatMap((stmt) => (stmt.kind === 'let' ? [[stmt.tile, stmt.op] as const] : [])),
    );
    const apart = (waiting: boolean) => {
      const ops = opsOf(sumsInTurn(kernel, waiting));
      const isSum = (tile: TileId) => {
        const op = ops.get(tile);
        return op?.op === 'map' && op.fn === 'add' && kernel.tiles[tile].axes.length === 2;
      };
      const afterProduct = (tile: TileId): boolean => {
        const op = ops.get(tile);
        return op !== undefined && (op.op === 'contract' || operandsOf(op).some(afterProduct));
      };
      const firsts = [...ops].flatMap(([tile, op]) => (isSum(tile) && op.op === 'map' && isSum(op.args[1]) ? [op.args[0]] : []));
      return { firsts, late: firsts.filter((tile) => afterProduct(tile) && ops.get(tile)?.op !== 'contract') };
    };
    const { firsts, late } = apart(false);
    expect(firsts.length).toBeGreaterThan(0);
    expect(late).toEqual(firsts);
    expect(apart(true).firsts).toEqual([]);
  });

  it('add products to the registers of their sum, without a wait between them', () => {
    const text = textOf(three, 'S_ends');
    // 3 x 3 blocks of T and what rounding left of them: nine products a sum, of which the first begins it.
    const sums = [...text.matchAll(/mma<64, 4, 64, false, (true|false)>\((\w+),/g)];
    const names = [...new Set(sums.map(([, , name]) => name))];
    expect(names.map((name) => sums.filter(([, , one]) => one === name).map(([, fresh]) => fresh))).toEqual(
      names.map(() => ['true', ...Array.from({ length: 8 }, () => 'false')]),
    );
    expect(names).toHaveLength(3);
    // Left operands are packed once.
    const packs = [...text.matchAll(/pack<\d>\(\w+, (\w+)\)/g)].map(([, from]) => from);
    expect(new Set(packs).size).toBe(packs.length);
  });

  it('are those alone: a walk of one erase is as it was', () => {
    expect(textOf(module(1), 'S_ends')).not.toContain('unpack<');
    expect(textOf(three, 'S_walk')).toContain('unpack<');
  });
});
