import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from '../../../grammar/parser.js';
import { CONTEXTUAL, KEYWORDS, Reserved } from '../../../grammar/tokens.js';
import { renderAll } from '../../../src/diagnostics/render.js';
import { printAst } from '../../../src/ir/ast/print.js';
import { frontend } from '../../../src/passes/frontend.js';
import { FIXED } from '../../../src/passes/graph/fixed.js';
import { tryNormalize } from '../../../src/passes/normalize/diagnose.js';
import { FUNCTIONS } from '../../../src/passes/resolve/names.js';

const text = readFileSync(join(import.meta.dirname, '../../../docs/language.md'), 'utf8');
const blocks = [...text.matchAll(/```lmoe\n(.*?)```/gs)].map(([, block]) => block);

describe('docs/language.md', () => {
  it.each(blocks)('%#: %s', (block) => {
    const { specs, diagnostics } = frontend('language.md', block);
    const refused = specs.filter((spec) => spec.mode === 'chunked').flatMap((spec) => tryNormalize(spec).refused ?? []);
    expect(renderAll([...diagnostics, ...refused], { source: () => block, colour: false })).toBe('');
    const { ast } = parse('language.md', block);
    expect(ast && printAst(ast)).toBe(block);
  });

  it('shows something', () => expect(blocks.length).toBeGreaterThan(8));

  it('names every function and every word', () => {
    const words = [
      Reserved, ...KEYWORDS, ...CONTEXTUAL
    ].flatMap(({ PATTERN }) => (PATTERN instanceof RegExp ? PATTERN.source.split('|') : []));
    expect([...FUNCTIONS, ...FIXED.keys(), ...words].filter((name) => !new RegExp(`\`[^\`]*\\b${name}\\b`).test(text))).toEqual([]);
  });
});
