import {
  accessSync, constants, existsSync, lstatSync, readFileSync, readdirSync, realpathSync, statSync, type Dirent, type Stats,
} from 'node:fs';
import { join } from 'node:path';

/** `other`: devices, sockets, and folders that may not be looked into. */
export type Kind = 'file' | 'folder' | 'link' | 'pipe' | 'other';

/** What a folder holds, as it lies there: links are not followed. */
export interface Entry {
  /** Relative to the folder, with `/`. */
  readonly path: string;
  readonly kind: Kind;
}

function kindIn(found: Dirent | Stats): Kind {
  if (found.isDirectory()) return 'folder';
  if (found.isSymbolicLink()) return 'link';
  if (found.isFIFO()) return 'pipe';
  return found.isFile() ? 'file' : 'other';
}

/** What lies at a path: a link is a link, wherever it leads. */
export function kindAt(path: string): Kind | undefined {
  return attempt(() => kindIn(lstatSync(path)));
}

/** What a path leads to, links followed. */
export function kindBehind(path: string): Kind | undefined {
  return attempt(() => kindIn(statSync(path)));
}

/** The path without links. */
export function realPath(path: string): string | undefined {
  return attempt(() => realpathSync(path));
}

/**
 * The content of a file or a pipe: `lmoec check <(...)` is one, and one with a name waits for its writer, as `cat` does. Of a device there
 * is none: it may have no end.
 */
export function readBytes(path: string): Uint8Array | undefined {
  const kind = kindBehind(path);
  if (kind !== 'file' && kind !== 'pipe') return undefined;
  // Not the Buffer itself, whose `slice` shares memory where that of its type copies.
  const content = attempt(() => readFileSync(path));
  return content === undefined ? undefined : new Uint8Array(content.buffer, content.byteOffset, content.byteLength);
}

export function readText(path: string): string | undefined {
  const bytes = readBytes(path);
  return bytes === undefined ? undefined : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');
}

/** Everything below a folder, sorted; nothing where there is no folder. */
export function entriesBelow(folder: string): readonly Entry[] {
  const found: Entry[] = [];
  const visit = (path: string, prefix: string): void => {
    for (const entry of readdirSync(path, { withFileTypes: true })) {
      const below = join(path, entry.name);
      const kind = entry.isDirectory() && !mayLookInto(below) ? 'other' : kindIn(entry);
      found.push({ path: prefix + entry.name, kind });
      if (kind === 'folder') visit(below, `${prefix}${entry.name}/`);
    }
  };
  if (existsSync(folder)) visit(folder, '');
  return found.sort((a, b) => (a.path < b.path ? -1 : 1));
}

function mayLookInto(folder: string): boolean {
  return attempt(() => {
    accessSync(folder, constants.R_OK | constants.X_OK);
    return true;
  }) ?? false;
}

function attempt<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}
