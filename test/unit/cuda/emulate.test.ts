import { readFileSync, readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { frontend } from '../../../src/passes/frontend.js';
import { lowerScan } from '../../../src/passes/pipeline.js';
import { compiler, emulate } from './emulate.js';

const only = process.env['ONLY']?.split(',');
const names = readdirSync('examples').filter((name) => name.endsWith('.lmoe')).map((name) => name.replace('.lmoe', '')).filter((name) => only === undefined || only.includes(name));

describe.skipIf(!compiler)('plain kernels, run by an emulator (skipped where g++ is missing)', () => {
  it.each(names)('%s', (name) => {
    const path = `examples/${name}.lmoe`;
    const spec = frontend(path, readFileSync(path, 'utf8'), (file) => readFileSync(file, 'utf8')).specs[0];
    const { module } = lowerScan(spec, new Map(spec.axes.map((axis, i) => [axis.name, i === 0 ? 16 : 32])), { chunk: 16 });
    const errors = emulate(module, { dtype: 'f32', plain: process.env['PLAIN'] !== '0', call: { heads: 2, groups: 1, lengths: [21, 0, 50] }, longest: 2, programs: ['forward', 'backward', 'step'] });
    expect([...errors].filter(([, error]) => !(error < 1e-4))).toEqual([]);
    expect(errors.size).toBeGreaterThan(3);
  });
});
