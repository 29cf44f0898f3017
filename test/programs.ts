import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Spec } from '../src/ir/spec/spec.js';
import { frontend } from '../src/passes/frontend.js';

const FOLDER = join(import.meta.dirname, 'programs');

/** Names of the small programs that once showed a fault: every one runs in tiles, in emulated CUDA and on a software GPU. */
export const PROGRAMS = readdirSync(FOLDER).filter((name) => name.endsWith('.lmoe')).map((name) => name.slice(0, -5)).sort();

export function programOf(name: string): Spec {
  const { specs, diagnostics } = frontend(`${name}.lmoe`, readFileSync(join(FOLDER, `${name}.lmoe`), 'utf8'));
  if (specs.length === 0) throw new Error(diagnostics.map((d) => `${d.code} ${d.title}`).join('\n'));
  return specs[0];
}
