import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { WgslOptions } from '../../../src/backends/wgsl/emit.js';

const folder = join(import.meta.dirname, '../../../templates/wgsl');

export const templates: WgslOptions['templates'] = Object.fromEntries(
  readdirSync(
    folder, { recursive: true, encoding: 'utf8' },
  ).filter((name) => /\.(wgsl|hbs)$/.test(name)).map((name) => [name, readFileSync(join(folder, name), 'utf8')]),
);

/** Options of a module that no user wrote. */
export const plain = { source: { hash: 'none', compiler: '0', command: 'a test' }, doc: 'A test.', templates } as const;
