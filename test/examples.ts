import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

export const EXAMPLES_FOLDER = join(import.meta.dirname, '../examples');

/** Names of examples/*.lmoe; none where the folder is gone: the compiler and its unit tests do without. */
export const EXAMPLES: readonly string[] = existsSync(EXAMPLES_FOLDER)
  ? readdirSync(EXAMPLES_FOLDER).filter((name) => name.endsWith('.lmoe')).map((name) => name.replace('.lmoe', '')).sort()
  : [];

export const NO_EXAMPLES = EXAMPLES.length === 0;

/** Paths below examples/ of every `.lmoe` file, those of mixtures, layers and models too. */
export const EXAMPLE_FILES: readonly string[] = NO_EXAMPLES
  ? []
  : readdirSync(
    EXAMPLES_FOLDER, { recursive: true, encoding: 'utf8' },
  ).filter((path) => path.endsWith('.lmoe') && !path.includes('node_modules')).sort();
