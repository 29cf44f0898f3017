import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { closeRoom, isThere, keepRoom, openRoom, type Room } from './room.js';
import { makeFolder, whyUnwritable } from './failure.js';

export type Content = ReadonlyMap<string, string | Uint8Array>;

/** Where folders that were moved away could not come back to their places. */
class Stranded extends Error {}

/**
 * Fills folders, then puts all of them in their places below `parent`, so that nobody sees half of one.
 * Returns why that failed; everything is as it was then, or the text says where the old content is.
 */
export function replaceFolders(parent: string, folders: ReadonlyMap<string, Content>): string | undefined {
  let room: Room | undefined;
  let place = parent;
  try {
    makeFolder(parent);
    room = openRoom(parent);
    for (const [name, files] of folders) {
      place = join(parent, name);
      fill(join(room.fresh, name), files);
    }
    mkdirSync(room.old);
    const swapped: string[] = [];
    try {
      for (const name of folders.keys()) {
        place = join(parent, name);
        // Listed before, so that a swap that ends half way is undone too.
        swapped.push(name);
        swap(room, parent, name);
      }
    } catch (error) {
      for (const name of swapped.reverse()) swapBack(room, parent, name);
      throw error;
    }
    closeRoom(room);
    return undefined;
  } catch (error) {
    if (error instanceof Stranded) {
      if (room !== undefined) keepRoom(room);
      return error.message;
    }
    if (room !== undefined) closeRoom(room);
    return whyUnwritable(place, error);
  }
}

function fill(folder: string, files: Content): void {
  mkdirSync(folder, { recursive: true });
  for (const [name, content] of files) {
    const path = join(folder, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, content);
  }
}

function swap({ fresh, old }: Room, parent: string, name: string): void {
  const place = join(parent, name);
  if (isThere(place)) renameSync(place, join(old, name));
  renameSync(join(fresh, name), place);
}

function swapBack({ fresh, old }: Room, parent: string, name: string): void {
  const place = join(parent, name);
  const moved = join(old, name);
  try {
    if (isThere(place) && !isThere(join(fresh, name))) renameSync(place, join(fresh, name));
    if (isThere(moved)) renameSync(moved, place);
  } catch (error) {
    const left = isThere(moved) ? `; what was there lies in ${moved}` : '';
    throw new Stranded(`${whyUnwritable(place, error)}${left}`);
  }
}
