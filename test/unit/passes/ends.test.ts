import { describe, expect, it } from 'vitest';
import { gradSpec } from '../../../src/interp/spec-gradient.js';
import { runTiles } from '../../../src/interp/tile.js';
import { compareTiles } from '../../property/tiles.js';
import { lowerScan } from '../../../src/passes/pipeline.js';
import { END_SCANS, setEnds } from './end-scans.js';
import { missing, NAN_SCANS, spoilt } from './nan-scans.js';
import { draw, specOf } from './scans.js';

const sizes = new Map([['K', 4], ['V', 3], ['N', 4], ['P', 3], ['D', 4]]);
const LENGTHS = [11, 6];

describe('at the ends of their functions, formulas have the gradients of the limit', () => {
  it.each(Object.entries(END_SCANS))('%s', (_, scan) => {
    const spec = specOf(scan.text);
    const drawn = draw(spec, sizes, LENGTHS, 3);
    setEnds(scan, drawn);
    const meaning = gradSpec(spec, drawn.call, drawn.given, drawn.cotangents);
    for (const [name, values] of meaning) expect(values.every(Number.isFinite), name).toBe(true);
    for (const name of scan.zero ?? []) expect(meaning.get(`d_${name}`)?.every((x) => Math.abs(x) < 1e-30), name).toBe(true);
    for (const options of [{ chunk: 4 }, { chunk: 16, exactGates: true }]) {
      const { errors } = compareTiles(spec, drawn.call, drawn.given, drawn.cotangents, options);
      expect([...errors].filter(([, error]) => !(error < 1e-10))).toEqual([]);
    }
    const { errors } = compareTiles({ ...spec, mode: 'sequential' }, drawn.call, drawn.given, drawn.cotangents);
    expect([...errors].filter(([, error]) => !(error < 1e-10))).toEqual([]);
  });

  it('to the last digit where a sigmoid has few left', () => {
    const spec = specOf(END_SCANS['a gate that is 1 where its sigmoid underflows'].text);
    const call = { sizes: new Map([['D', 1]]), heads: 1, groups: 1, lengths: [1] };
    for (const r of [-30, -60, -300]) {
      const one = (x: number) => Float64Array.of(x);
      const found = gradSpec(
        spec, call, new Map([['x', one(0.7)], ['r', one(r)], ['i', one(0)], ['lam', one(1)], ['h', one(0.3)]]), new Map([['d_o', one(1)]]),
      ).get('d_r')?.[0] ?? NaN;
      // Of 8 sigmoid(r) log sigmoid(1), which is so small that its square is nothing.
      const g = -8 * Math.exp(r) * Math.log1p(Math.exp(-1));
      const wanted = g * 0.3 - g * (0.5 * 0.7) / Math.sqrt(-2 * g);
      expect(Math.abs(found / wanted - 1)).toBeLessThan(1e-10);
    }
  });
});

describe('NaN in an input reaches what follows in tiles', () => {
  it.each(Object.entries(NAN_SCANS))('%s', (_, text) => {
    const spec = specOf(text);
    const drawn = draw(spec, sizes, [30, 7], 3);
    const { module } = lowerScan(spec, sizes, { chunk: 16 });
    const names = spec.outputs.map((output) => output.name);
    for (const [input, given] of spoilt(drawn, spec.inputs.map((x) => x.name), 37)) {
      const wanted = gradSpec(spec, drawn.call, given, new Map());
      expect(names.some((name) => wanted.get(name)?.some(Number.isNaN))).toBe(true);
      for (const program of ['forward', 'step'] as const) {
        const buffers = new Map(given);
        runTiles(module, program, { heads: 2, groups: 1, runs: { token: [[0, 30], [30, 7]] } }, buffers);
        expect(missing(wanted, (name) => buffers.get(name), names), `${program}, ${input}`).toEqual([]);
      }
    }
  });
});
