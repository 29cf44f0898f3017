import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { printAst } from '../../../src/ir/ast/print.js';
import { frontend } from '../../../src/passes/frontend.js';
import { EXAMPLE_FILES, EXAMPLES_FOLDER, NO_EXAMPLES } from '../../examples.js';
import { meaning, parsed } from './meaning.js';

const read = (path: string): string | undefined => (
  existsSync(join(EXAMPLES_FOLDER, path)) ? readFileSync(join(EXAMPLES_FOLDER, path), 'utf8') : undefined
);
const parts = EXAMPLE_FILES.flatMap((path) => parsed(read(path) ?? '').items.flatMap((item) => (
  item.kind === 'import' ? [] : [{ path, item }]
)));

describe.skipIf(NO_EXAMPLES)('the examples', () => {
  it.each(EXAMPLE_FILES)('%s is in canonical form and reads back as it was', (path) => {
    const text = read(path) ?? '';
    const ast = parsed(text);
    const formatted = printAst(ast);
    expect(formatted).toBe(text);
    expect(meaning(parsed(formatted))).toBe(meaning(ast));
    expect(text.split('\n').filter((line) => /^(layers|moe|models)\W/.test(path) && line.length > 120)).toEqual([]);
  });

  it.each(EXAMPLE_FILES)('%s finds what it imports', (path) => {
    expect(frontend(path, read(path) ?? '', read).diagnostics.map((d) => d.title)).toEqual([]);
  });

  it('say what they are', () => {
    expect(parts.filter(({ item }) => !item.leading.some(({ text }) => text.startsWith('/// ')))
      .map(({ item }) => item.name.text)).toEqual([]);
  });

  it('name a model like its file', () => {
    for (const { path, item } of parts) if (item.kind === 'model') expect(path).toBe(join('models', `${item.name.text}.lmoe`));
  });

  it('cover every kind of declaration', () => {
    const counts = (kind: string): number => parts.filter(({ item }) => item.kind === kind).length;
    expect([counts('moe'), counts('layer'), counts('model')]).toEqual([21, 24, 14]);
  });
});
