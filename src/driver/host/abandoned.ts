import { createHash } from 'node:crypto';
import { lstatSync } from 'node:fs';
import { hostname } from 'node:os';

const machine = createHash('sha256').update(hostname()).digest('hex').slice(0, 8);
const NAME = /^lmoec-(\d+)-([0-9a-f]{8})-\w{6}$/;
/** Nobody needs a folder for so long: filling one is writing, or one run of a compiler. */
const STALE_MS = 3_600_000;

/** How the name of a folder begins that is gone when this process ends: it says whose it is. */
export const PASSING = `lmoec-${process.pid}-${machine}-`;

/** Did a process that is no longer there leave this folder? */
export function isAbandoned(name: string, path: string): boolean {
  const [, pid, at] = NAME.exec(name) ?? [];
  const found = pid === undefined ? undefined : lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined || !found.isDirectory() || found.uid !== (process.getuid?.() ?? found.uid)) return false;
  return at === machine && !isAlive(Number(pid)) || Date.now() - found.mtimeMs > STALE_MS;
}

function isAlive(pid: number): boolean {
  if (pid === process.pid) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // Somebody else's process may be looked at by nobody, but it is there.
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}
