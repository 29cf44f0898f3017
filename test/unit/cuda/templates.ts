import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

const FOLDER = join(import.meta.dirname, '../../../templates/cuda/rt');

/** Texts of templates/cuda by path relative to it. */
export const templates: Readonly<Record<string, string>> = Object.fromEntries(readdirSync(FOLDER).map((name) => [
  `rt/${name}`, readFileSync(join(FOLDER, name), 'utf8'),
]));
