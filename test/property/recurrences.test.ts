import { describe, expect, it } from 'vitest';
import { parse } from '../../grammar/parser.js';
import { printAst } from '../../src/ir/ast/print.js';
import { printSpec } from '../../src/ir/spec/print.js';
import { frontend } from '../../src/passes/frontend.js';
import { normalize } from '../../src/passes/normalize/normalize.js';
import { seeds } from './case.js';
import { randomRecurrence } from './recurrences.js';

/** Every choice that the generator makes. */
const FEATURES = [
  'scan: matrix', 'scan: normalised', 'scan: chained', 'scan: elementwise', 'scan: grid', 'scan: prescan',
  'decay: none', 'decay: constant', 'decay: scalar', 'decay: channel', 'channels: axis 0 of 2', 'channels: axis 1 of 2',
  'gate: log', 'gate: bounded', 'gate: sigmoid', 'gate: softplus', 'gate: discretised', 'gate: linear', 'gate: complement', 'gate: trained',
  'gate: constant of a param', 'gate: product', 'gate: quotient', 'gate: logistic', 'gate: square', 'gate: floor',
  'erases: none', 'erases: one', 'erases: two', 'erase: delta', 'erase: apart', 'erase: channelled',
  'erase: general', 'erase reads: current', 'erase reads: undecayed',
  'read: after', 'read: before', 'read: bonus', 'read: decayed', 'two reads', 'two writes', 'key tied to the gate',
  'content: shifted', 'key: softmax', 'per group', 'param', 'skip', 'state order: columns first', 'epilogue: gate', 'epilogue: norm',
  'elementwise read: state', 'elementwise read: after', 'elementwise read: before', 'elementwise read: both', 'elementwise read: next',
];

function specText(source: string): string {
  const { specs, diagnostics } = frontend('<random>', source);
  if (diagnostics.length > 0) throw new Error(`${source}\n${diagnostics.map((d) => `${d.code} ${d.title}`).join('\n')}`);
  return specs.map(printSpec).join('');
}

function formatted(source: string): string {
  const { ast, diagnostics } = parse('<random>', source);
  if (ast === undefined) throw new Error(`${source}\n${diagnostics.map((d) => d.title).join('\n')}`);
  return printAst(ast);
}

describe('random recurrences', () => {
  it('are the same for the same seed, and differ otherwise', () => {
    const texts = seeds(100).map((seed) => randomRecurrence(seed).source);
    expect(seeds(100).map((seed) => randomRecurrence(seed).source)).toEqual(texts);
    expect(new Set(texts.map((text) => text.replace(/random_\d+/, ''))).size).toBeGreaterThan(95);
  });

  it('cover what the generator can do, with sizes for all axes', () => {
    const all = seeds(600).map((seed) => randomRecurrence(seed, { sizes: [16, 32] }));
    const found = new Set(all.flatMap((recurrence) => recurrence.features));
    expect(FEATURES.filter((feature) => !found.has(feature))).toEqual([]);
    for (const { source, sizes } of all) {
      const axes = frontend('<random>', source).specs[0].axes.map((axis) => axis.name);
      expect([...sizes.keys()].sort(), source).toEqual([...axes].sort());
      for (const size of sizes.values()) expect([16, 32]).toContain(size);
    }
  });

  it('all have a chunked form', () => {
    for (const seed of seeds(300)) {
      const { source } = randomRecurrence(seed);
      expect(() => frontend('<random>', source).specs.map((spec) => normalize(spec)), source).not.toThrow();
    }
  });

  it('mean the same after formatting, which changes nothing the second time', () => {
    for (const seed of seeds(300)) {
      const { source } = randomRecurrence(seed);
      const once = formatted(source);
      expect(formatted(once), source).toBe(once);
      expect(specText(once), source).toBe(specText(source));
    }
  });
});
