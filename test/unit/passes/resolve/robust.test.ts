import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { lexer } from '../../../../grammar/tokens.js';
import { renderAll } from '../../../../src/diagnostics/render.js';
import { frontend } from '../../../../src/passes/frontend.js';
import { tryNormalize } from '../../../../src/passes/normalize/diagnose.js';
import { messyProgram, program } from '../../grammar/programs.js';

/** A program with one token gone, doubled or swapped with its neighbour. */
const broken = fc.tuple(program, fc.nat(), fc.constantFrom('drop', 'double', 'swap')).map(([text, where, how]) => {
  const tokens = lexer.tokenize(text).tokens.map((token) => token.image);
  const at = tokens.length === 0 ? 0 : where % tokens.length;
  if (how === 'drop') tokens.splice(at, 1);
  else if (how === 'double') tokens.splice(at, 0, ...tokens.slice(at, at + 1));
  else tokens.splice(at, 2, ...tokens.slice(at, at + 2).reverse());
  return tokens.join(' ');
});

/** Every text is understood or refused with a place in it and a remedy; nothing throws. */
function survives(text: string): void {
  const { specs, ast, diagnostics } = frontend('a.lmoe', text);
  for (const d of diagnostics) {
    for (const { span } of [d.primary, ...d.secondary]) {
      expect(span.file).toBe('a.lmoe');
      expect(span.start).toBeGreaterThanOrEqual(0);
      expect(span.end).toBeGreaterThan(span.start);
      expect(span.end).toBeLessThanOrEqual(Math.max(1, text.length));
    }
    expect(d.title).not.toMatch(/\.$|undefined/);
    expect(d.help.length, d.title).toBeGreaterThan(0);
    expect(renderAll([d], { source: () => text, colour: false })).toContain(d.title);
  }
  if (ast === undefined) expect(diagnostics.length).toBe(1);
  for (const spec of specs) if (spec.mode === 'chunked') tryNormalize(spec);
}

describe('the front end', () => {
  it('survives programs that mean nothing', () => fc.assert(fc.property(messyProgram, survives), { seed: 1, numRuns: 150 }));
  it('survives programs with a slip', () => fc.assert(fc.property(broken, survives), { seed: 1, numRuns: 200 }));
  it('survives any text', () => fc.assert(fc.property(fc.string({ unit: 'binary', maxLength: 60 }), survives), { seed: 1, numRuns: 150 }));
});
