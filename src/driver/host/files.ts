import {
  chmodSync, closeSync, fstatSync, lstatSync, mkdirSync, openSync, readSync, readdirSync, renameSync, rmdirSync, statfsSync, utimesSync,
  writeSync,
} from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { makeFolder, message, whyUnwritable } from './failure.js';
import { kindBehind } from './read.js';
import { closeRoom, openRoom, type Room } from './room.js';

/** A plain file that is read in pieces. */
export interface OpenFile {
  readonly size: number;
  /** Fills `into` with the bytes from `at`; the result says why it failed. */
  read(at: number, into: Uint8Array): string | undefined;
  close(): void;
}

export function openFile(path: string): OpenFile | undefined {
  if (kindBehind(path) !== 'file') return undefined;
  let file: number;
  try {
    file = openSync(path, 'r');
  } catch {
    return undefined;
  }
  return {
    size: fstatSync(file).size,
    read(at, into) {
      try {
        for (let done = 0; done < into.length;) {
          const count = readSync(file, into, done, into.length - done, at + done);
          if (count === 0) return `${path} became shorter while it was read`;
          done += count;
        }
        return undefined;
      } catch (error) {
        return `${path} cannot be read: ${message(error)}`;
      }
    },
    close: () => closeSync(file),
  };
}

/** Free bytes where a path is, or will be; undefined where nobody says. */
export function freeSpace(path: string): number | undefined {
  for (let place = resolve(path); ; place = dirname(place)) {
    try {
      const { bavail, bsize } = statfsSync(place);
      return bavail * bsize;
    } catch {
      if (place === dirname(place)) return undefined;
    }
  }
}

/**
 * A file or a folder of files that is filled bit by bit beside its place, hidden, and put there as a whole. Results say why something
 * failed.
 */
export interface Draft {
  /** Adds bytes to the file of a folder, or to the one file (`name` is ''). Files are written one after the other. */
  append(name: string, bytes: Uint8Array): string | undefined;
  finish(): string | undefined;
  /** Removes what was not finished. */
  discard(): void;
}

export function openDraft(path: string, kind: 'file' | 'folder'): Draft | string {
  const found = kindBehind(path);
  if (
    kind === 'file' && found !== undefined && found !== 'file'
  ) return `${path} cannot be written: it is a ${found === 'other' ? 'device' : found}`;
  if (
    kind === 'folder' && found !== undefined && found !== 'folder'
  ) return `${path} cannot be written: a file is where a folder should be`;
  let room: Room;
  try {
    const parent = dirname(resolve(path));
    makeFolder(parent);
    room = openRoom(parent);
    if (kind === 'folder') mkdirSync(room.fresh);
  } catch (error) {
    return whyUnwritable(path, error);
  }
  return fill(path, kind, room);
}

function fill(path: string, kind: 'file' | 'folder', room: Room): Draft {
  let open: { readonly name: string; readonly file: number } | undefined;
  let touched = Date.now();
  const close = (): void => {
    if (open !== undefined) closeSync(open.file);
    open = undefined;
  };
  return {
    append(name, bytes) {
      try {
        if (open?.name !== name) {
          close();
          open = { name, file: openSync(name === '' ? room.fresh : join(room.fresh, name), 'w') };
        }
        // A room that looks as if nobody needed it any more is cleared by others.
        if (Date.now() - touched > 60_000) utimesSync(room.path, new Date(), new Date(touched = Date.now()));
        for (let done = 0; done < bytes.length;) done += writeSync(open.file, bytes, done, bytes.length - done);
        return undefined;
      } catch (error) {
        return whyUnwritable(path, error);
      }
    },
    finish() {
      try {
        close();
        const old = lstatSync(path, { throwIfNoEntry: false });
        if (kind === 'folder') {
          if (old !== undefined && readdirSync(path).length > 0) return `${path} cannot be written: it is not empty any more`;
          if (old !== undefined) rmdirSync(path);
        } else if (old?.isFile() === true) chmodSync(room.fresh, old.mode & 0o7777);
        renameSync(room.fresh, path);
        return undefined;
      } catch (error) {
        return whyUnwritable(path, error);
      } finally {
        closeRoom(room);
      }
    },
    discard() {
      close();
      closeRoom(room);
    },
  };
}
