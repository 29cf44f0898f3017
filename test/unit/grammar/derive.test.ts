import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { derivedFiles } from '../../../grammar/derive.js';
import { CONTEXTUAL, KEYWORDS } from '../../../grammar/tokens.js';

const folder = join(import.meta.dirname, '../../../grammar');
const files = derivedFiles();

describe('what follows from the grammar', () => {
  it.each(Object.keys(files))(
    '%s is up to date (`npm run grammar`)', (name) => expect(readFileSync(join(folder, name), 'utf8')).toBe(files[name]),
  );

  it('defines every name that the EBNF uses', () => {
    const lines = files['lmoe.ebnf'].split('\n').filter((line) => line.endsWith(' ;'));
    const defined = new Set(lines.map((line) => line.split(' = ')[0]));
    const used = lines.flatMap((line) =>
      [...line.slice(line.indexOf(' = ')).replace(/"[^"]*"|\/.*\//g, '').matchAll(/[A-Za-z]\w*/g)].map(([word]) => word));
    expect(used.filter((word) => !defined.has(word))).toEqual([]);
    expect(used.length).toBeGreaterThan(60);
  });

  it('shows every word', () => {
    for (const { PATTERN } of [...KEYWORDS, ...CONTEXTUAL]) {
      const word = PATTERN instanceof RegExp ? PATTERN.source : '';
      expect(files['lmoe.ebnf']).toContain(`"${word}"`);
      expect(files['lmoe.tmLanguage.json']).toContain(word);
    }
  });

  it('colours with patterns that are regular expressions', () => {
    const patterns = [...files['lmoe.tmLanguage.json'].matchAll(/"(?:match|begin|end)": ("(?:[^"\\]|\\.)*")/g)]
      .map(([, text]) => String(JSON.parse(text)));
    expect(patterns.length).toBeGreaterThan(12);
    for (const pattern of patterns) expect(() => new RegExp(pattern)).not.toThrow();
  });
});
