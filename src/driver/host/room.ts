import { existsSync, lstatSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { isAbandoned, PASSING } from './abandoned.js';
import { unfinished } from './interrupts.js';

/**
 * Where new content is filled, and where old content waits until the new one is in its place: hidden, beside both, so that renaming stays
 * within one file system.
 */
export interface Room {
  readonly path: string;
  readonly fresh: string;
  readonly old: string;
}

/** A new room in `folder`. What killed processes left there is cleared. */
export function openRoom(folder: string): Room {
  clearRooms(folder);
  const path = mkdtempSync(join(folder, `.${PASSING}`));
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

/**
 * A process that was killed between two renames has moved a folder away without putting the new one in its place: the old one comes back.
 */
function clearRooms(folder: string): void {
  for (const name of readdirSync(folder)) {
    const path = join(folder, name);
    if (unfinished.has(path) || !name.startsWith('.') || !isAbandoned(name.slice(1), path)) continue;
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

/** Is there anything of that name, a link to nowhere included? */
export function isThere(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}
