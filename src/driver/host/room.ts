import { createHash } from 'node:crypto';
import { existsSync, lstatSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { catchInterrupts, unfinished } from './interrupts.js';

/** Where new content is filled, and where old content waits until the new one is in its place: hidden, beside both, so that renaming stays within one file system. */
export interface Room {
  readonly path: string;
  readonly fresh: string;
  readonly old: string;
}

const machine = createHash('sha256').update(hostname()).digest('hex').slice(0, 8);
const NAME = /^\.lmoec-(\d+)-([0-9a-f]{8})-\w{6}$/;
/** Nobody needs a room for so long: filling one is writing, the compiling was done before. */
const STALE_MS = 3_600_000;

/** A new room in `folder`. What killed processes left there is cleared. */
export function openRoom(folder: string): Room {
  catchInterrupts();
  clearRooms(folder);
  const path = mkdtempSync(join(folder, `.lmoec-${process.pid}-${machine}-`));
  unfinished.add(path);
  return roomAt(path);
}

function roomAt(path: string): Room {
  return { path, fresh: join(path, 'new'), old: join(path, 'old') };
}

/** Removes a room with all that is in it. One that cannot be removed does no harm. */
export function closeRoom({ path }: Room): void {
  unfinished.delete(path);
  try {
    rmSync(path, { recursive: true, force: true });
  } catch {
    // The next build tries again.
  }
}

/** Leaves a room with its content, for people to look into. */
export function keepRoom({ path }: Room): void {
  unfinished.delete(path);
}

/** A process that was killed between two renames has moved a folder away without putting the new one in its place: the old one comes back. */
function clearRooms(folder: string): void {
  for (const name of readdirSync(folder)) {
    const path = join(folder, name);
    if (unfinished.has(path) || !isAbandoned(name, path)) continue;
    const room = roomAt(path);
    try {
      for (const moved of existsSync(room.old) ? readdirSync(room.old) : []) {
        if (!isThere(join(folder, moved))) renameSync(join(room.old, moved), join(folder, moved));
      }
    } catch {
      // It stays where it is until it can come back.
      continue;
    }
    closeRoom(room);
  }
}

function isAbandoned(name: string, path: string): boolean {
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

/** Is there anything of that name, a link to nowhere included? */
export function isThere(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}
