import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { ensureBuilt, ROOT } from '../cli/lmoec.js';

interface Manifest {
  readonly exports: Readonly<Record<string, { readonly default: string } | string>>;
  readonly browser: Readonly<Record<string, false>>;
}
const manifest: Manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));

/** Where a name of the package leads. */
function exported(name: string): string {
  const entry = manifest.exports[name.replace('lmoec', '.')];
  return typeof entry === 'object' ? join(ROOT, entry.default) : `${name} is no export`;
}

const PAGE = join(ROOT, 'examples/browser');
/** What bindings and pages import. */
const ENTRIES = ['lmoec/bindings', 'lmoec/files', 'lmoec/runtime', 'lmoec/webgpu'];

beforeAll(ensureBuilt, 120_000);

describe('what a browser loads', () => {
  it('is this package alone, but for what bundlers are told to leave out', () => {
    const reached = new Set<string>();
    const foreign = new Set<string>();
    const visit = (file: string): void => {
      if (reached.has(file)) return;
      reached.add(file);
      for (const [, named] of readFileSync(file, 'utf8').matchAll(/\b(?:from|import|import\((?:\s|\/\*.*?\*\/)*)\s*'([^']+)'/g)) {
        if (named.startsWith('.')) visit(join(dirname(file), named));
        else foreign.add(named);
      }
    };
    for (const name of ENTRIES) visit(exported(name));
    expect(reached.size).toBeGreaterThan(ENTRIES.length);
    expect([...foreign].sort()).toEqual(Object.keys(manifest.browser).sort());
  });

});

describe.skipIf(!existsSync(PAGE))('the example page', () => {
  it('has sound types, with the DOM', () => {
    const done = spawnSync(process.execPath, [join(ROOT, 'node_modules/typescript/bin/tsc'), '-p', PAGE, '--noEmit'], { encoding: 'utf8' });
    expect(done.stdout + done.stderr).toBe('');
  });

  it('has an import map that says where the package says', () => {
    const page = readFileSync(join(PAGE, 'index.html'), 'utf8');
    const { imports }: {
      readonly imports: Readonly<Record<string, string>>,
    } = JSON.parse(/<script type="importmap">([^]*?)<\/script>/.exec(page)?.[1] ?? '');
    expect(Object.keys(imports).sort()).toEqual(ENTRIES);
    for (const [name, path] of Object.entries(imports)) expect(join(PAGE, path)).toBe(exported(name));
  });
});
