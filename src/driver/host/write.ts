import { chmodSync, lstatSync, renameSync, writeFileSync, type Stats } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { makeFolder, whyUnwritable } from './failure.js';
import { kindBehind } from './read.js';
import { closeRoom, openRoom } from './room.js';

/** Writes one file. Returns why it failed. */
export function writeOne(path: string, content: string | Uint8Array): string | undefined {
  try {
    makeFolder(dirname(resolve(path)));
    if (kindBehind(path) === 'folder') return `${path} cannot be written: it is a folder`;
    const found = lstatSync(path, { throwIfNoEntry: false });
    // Devices and pipes take what is written; what has other names, or is somebody else's, must stay the file that it is.
    if (found === undefined || isOurs(found)) replaceFile(path, content, found?.mode);
    else writeFileSync(path, content);
    return undefined;
  } catch (error) {
    return whyUnwritable(path, error);
  }
}

function isOurs(found: Stats): boolean {
  return found.isFile() && found.nlink === 1 && found.uid === (process.getuid?.() ?? found.uid);
}

/** Fills a file beside its place and renames it, so that nobody sees half of it. */
function replaceFile(path: string, content: string | Uint8Array, mode: number | undefined): void {
  const room = openRoom(dirname(resolve(path)));
  try {
    writeFileSync(room.fresh, content);
    if (mode !== undefined) chmodSync(room.fresh, mode & 0o7777);
    renameSync(room.fresh, path);
  } finally {
    closeRoom(room);
  }
}
