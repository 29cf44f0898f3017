import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { renderAll } from '../../../../src/diagnostics/render.js';
import { frontend } from '../../../../src/passes/frontend.js';
import { randomSource } from '../../../../src/support/random.js';
import { FILES } from './files.js';

const ROOT = join(import.meta.dirname, '../../../..');
const TOKENS = /[A-Za-z_]\w*|\d[\w.]*|"[^"]*"|\s+|[^\s\w]/g;
const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');

/** A text with a few tokens changed for others of the same text, mostly of the same sort. */
function mutant(text: string, seed: number): string {
  const random = randomSource(seed, 'mutants');
  const tokens = text.match(TOKENS) ?? [];
  const pick = <T>(of: readonly T[]): T => of[random.below(of.length)];
  const sort = (token: string): string => (/^[A-Za-z_]/.test(token) ? 'name' : /^\d/.test(token) ? 'number' : /^\s/.test(token)
    ? 'space' : 'sign');
  for (let i = 0; i < 1 + random.below(3); i++) {
    const at = random.below(tokens.length);
    if (sort(tokens[at]) === 'space') continue;
    const chance = random.uniform();
    if (chance < 0.05) tokens[at] = '';
    else tokens[at] = pick(chance < 0.9
      ? tokens.filter((token) => sort(token) === sort(tokens[at])) : tokens.filter((token) => sort(token) !== 'space'));
  }
  return tokens.join('');
}

describe.skipIf(FILES.length === 0)('mutated examples', () => {
  // Small files, so that a mutant is checked in milliseconds.
  const files = FILES.filter((file) => file.includes('/moe/') || file.includes('/layers/'));
  it.each(files)('%s: an answer in words, whatever is changed', (file) => {
    let refused = 0;
    for (let seed = 0; seed < 6; seed++) {
      const text = mutant(read(file), seed);
      const { diagnostics } = frontend(file, text, (path) => (path === file ? text : read(path)));
      refused += diagnostics.some((d) => d.severity === 'error') ? 1 : 0;
      for (const d of diagnostics) expect(d.help.length, d.title).toBeGreaterThan(0);
      expect(renderAll(diagnostics, { source: () => text, colour: false })).not.toMatch(/undefined|\[object/);
    }
    expect(refused).toBeGreaterThan(0);
  });
});
