import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join, normalize as normalizePath } from 'node:path';
import { describe, expect, it } from 'vitest';
import { CODES } from '../../src/diagnostics/codes.js';
import type { Diagnostic } from '../../src/diagnostics/diagnostic.js';
import { renderAll } from '../../src/diagnostics/render.js';
import { frontend } from '../../src/passes/frontend.js';
import { tryNormalize } from '../../src/passes/normalize/diagnose.js';

const HERE = import.meta.dirname;
const PAGES = join(HERE, '../../docs/diagnostics');
const codes = Object.entries(CODES);
const cases = readdirSync(HERE).filter((name) => name.endsWith('.lmoe')).map((name) => name.replace('.lmoe', '')).sort();

const read = (path: string): string | undefined => {
  const full = join(HERE, normalizePath(path));
  return existsSync(full) ? readFileSync(full, 'utf8') : undefined;
};

/** What `lmoec check` finds in a file. */
function check(file: string): readonly Diagnostic[] {
  const { specs, diagnostics } = frontend(file, read(file) ?? '', read);
  const refused = specs.filter((spec) => spec.mode === 'chunked').flatMap((spec) => tryNormalize(spec).refused ?? []);
  return [...diagnostics, ...refused];
}

describe('a bad program for every code', () => {
  it.each(cases)('%s', async (name) => {
    const found = check(`${name}.lmoe`);
    expect([...new Set(found.map((d) => d.code))]).toEqual([name.split('-')[0]]);
    for (const d of found) expect(d.help.length, `no remedy for ${d.title}`).toBeGreaterThan(0);
    await expect(`${renderAll(found, { source: read, colour: false })}\n`).toMatchFileSnapshot(`./golden/${name}.txt`);
  });

  it('one error per expression', () => {
    for (const name of cases.filter((n) => n.startsWith('E'))) expect(check(`${name}.lmoe`).length, name).toBe(1);
  });
});

describe('codes', () => {
  /** The front end's own are shown by a program; the others need files or devices, and are tested where these are. */
  const byProgram = (code: string): boolean => /^(E[123]|W|E40[125]|E80|E81[0146]|E82[123])/.test(code);
  const elsewhere = readdirSync(join(HERE, '..'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.test.ts') && !name.startsWith('diagnostics'))
    .map((name) => readFileSync(join(HERE, '..', name), 'utf8')).join('\n');

  it.each(codes.map(([code]) => code))('%s has a failing example', (code) => {
    if (byProgram(code)) expect(cases.some((name) => name.split('-')[0] === code)).toBe(true);
    else expect(elsewhere.includes(code), `no test names ${code}`).toBe(true);
  });

  it.each(codes)('%s has a page', (code, { about }) => {
    const page = readFileSync(join(PAGES, `${code}.md`), 'utf8');
    expect(page.split('\n')[0]).toBe(`# ${code}: ${about}`);
    expect(page).toContain(`[${code}]`);
    if (byProgram(code)) expect(
      page, 'the page shows what is printed',
    ).toContain(readFileSync(join(HERE, 'golden', `${code}.txt`), 'utf8'));
  });

  it('no page is left over', () => {
    expect(readdirSync(PAGES).filter((name) => !Object.hasOwn(CODES, name.replace('.md', '')))).toEqual([]);
  });
});
