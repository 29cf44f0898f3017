import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import type { Plan } from '../../../src/ir/plan/plan.js';
import { EXAMPLES } from '../../examples.js';

const GENERATED = join(import.meta.dirname, '../../../generated');

/** Kernels of the committed builds by lowering: what falls back to a plainer one shows in a review of this list. */
it('every kernel of the examples has the lowering that it had', async () => {
  const foldersOf = (name: string) => readdirSync(join(GENERATED, name)).filter((folder) => folder.startsWith('cuda.')).sort();
  const lines = EXAMPLES.flatMap((name) => foldersOf(name).flatMap((folder) => {
    const plan: Plan = JSON.parse(readFileSync(join(GENERATED, name, folder, 'plan.json'), 'utf8'));
    return plan.kernels.map((kernel) =>
      `${name} ${folder} ${kernel.name}: ${kernel.lowering}${kernel.plainWhy === undefined ? '' : ` (${kernel.plainWhy})`}`);
  }));
  expect(lines.length).toBeGreaterThan(100);
  await expect(`${lines.join('\n')}\n`).toMatchFileSnapshot('golden/lowerings.txt');
});
