import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Plan } from '../../../src/ir/plan/plan.js';

const FOLDER = join(import.meta.dirname, '../../../templates/cuda/rt');

/** Texts of templates/cuda by path relative to it. */
export const templates: Readonly<Record<string, string>> = Object.fromEntries(readdirSync(FOLDER).map((name) => [
  `rt/${name}`, readFileSync(join(FOLDER, name), 'utf8'),
]));

/** The kernels of a plan as a compiler sees them: in one text, with what they include in its place. */
export function wholeText({ plan, files }: { readonly plan: Plan; readonly files: ReadonlyMap<string, string> }): string {
  const { prelude = '' } = plan;
  const included = files.get(prelude);
  const line = `#include "${prelude}"`;
  const parts = [...files].filter(([name]) => name !== prelude).map(([name, text]) => {
    if (included === undefined || !text.includes(line)) throw new Error(`${name} does not include ${prelude}`);
    const [, head, kernels] = /^([^]*?^typedef \w+ io;\n)([^]*)$/m.exec(text) ?? [];
    return { head, kernels };
  });
  // Every file has the same head.
  return [parts[0].head.replace(line, () => included ?? ''), ...parts.map(({ kernels }) => kernels)].join('\n');
}
