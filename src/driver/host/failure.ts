import { existsSync, mkdirSync } from 'node:fs';
import { dirname } from 'node:path';

export function message(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}

/** Is nothing there at all? */
export function isMissing(error: unknown): boolean {
  return codeOf(error) === 'ENOENT';
}

/** Says in words what the operating system said in letters. */
export function whyUnwritable(path: string, error: unknown): string {
  switch (codeOf(error)) {
    case 'EACCES': case 'EPERM': case 'EROFS': return `${path} cannot be written: no permission, or a read-only file system`;
    case 'ENOENT': return `${path} cannot be written: its folder takes no new entries`;
    case 'ENOSPC': return `${path} cannot be written: the disk is full`;
    case 'ENOTDIR': case 'EEXIST': return `${path} cannot be written: a file is where a folder should be`;
    case 'EISDIR': return `${path} cannot be written: it is a folder`;
    case 'EPIPE': return `${path} cannot be written: nobody reads it any more`;
    case 'ENXIO': return `${path} cannot be written: nothing answers there`;
    default: return `${path} cannot be written: ${message(error)}`;
  }
}

/** `mkdirSync` with `recursive` never returns where a folder exists that takes none, such as /proc (Node 20). */
export function makeFolder(folder: string): void {
  if (existsSync(folder)) return;
  makeFolder(dirname(folder));
  try {
    mkdirSync(folder);
  } catch (error) {
    // Another process may have been faster.
    if (!existsSync(folder)) throw error;
  }
}
