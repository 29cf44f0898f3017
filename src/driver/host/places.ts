import { accessSync, constants, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { isAbsolute, join } from 'node:path';
import { isAbandoned, PASSING } from './abandoned.js';
import { isMissing, whyUnwritable } from './failure.js';
import { unfinished } from './interrupts.js';

/** Where compiled kernels are kept between runs; undefined where the user has no place of his own. */
export function cacheFolder(): string | undefined {
  const { LMOEC_CACHE: own, XDG_CACHE_HOME: shared } = process.env;
  if (own !== undefined && own !== '') return own;
  // Both an empty and a relative path are none (XDG Base Directory Specification).
  if (shared !== undefined && isAbsolute(shared)) return join(shared, 'lmoec');
  const home = homeFolder();
  return home === undefined ? undefined : join(home, '.cache', 'lmoec');
}

function homeFolder(): string | undefined {
  try {
    const home = homedir();
    return isAbsolute(home) ? home : undefined;
  } catch {
    // No HOME, and no entry for the user either.
    return undefined;
  }
}

export interface Temporary {
  readonly path: string;
  discard(): void;
}

/** A new empty folder for temporary files, or why there is none. What killed processes left beside it is cleared. */
export function temporaryFolder(): Temporary | string {
  const place = tmpdir();
  let path: string;
  try {
    accessSync(place, constants.W_OK);
    clearTemporary(place);
    path = mkdtempSync(join(place, PASSING));
  } catch (error) {
    return `there is no place for temporary files: ${isMissing(error) ? `the folder ${place} is not there` : whyUnwritable(place, error)}`;
  }
  unfinished.add(path);
  return {
    path,
    discard() {
      rmSync(path, { recursive: true, force: true });
      unfinished.delete(path);
    },
  };
}

let cleared = false;

/** Once per process: what others leave while it runs, the next one clears. */
function clearTemporary(place: string): void {
  if (cleared) return;
  cleared = true;
  for (const name of readdirSync(place)) {
    const path = join(place, name);
    if (unfinished.has(path) || !isAbandoned(name, path)) continue;
    try {
      rmSync(path, { recursive: true, force: true });
    } catch {
      // It does no harm.
    }
  }
}
