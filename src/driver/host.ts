import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, watch as watchFile } from 'node:fs';
import { availableParallelism, totalmem } from 'node:os';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { message } from './host/failure.js';
import { freeSpace, openDraft, openFile, type Draft, type OpenFile } from './host/files.js';
import { replaceFolders, type Content } from './host/folders.js';
import { children } from './host/interrupts.js';
import { cacheFolder, temporaryFolder, type Temporary } from './host/places.js';
import { entriesBelow, kindAt, kindBehind, readBytes, readText, realPath, type Entry, type Kind } from './host/read.js';
import { writeOne } from './host/write.js';

/** What the driver wants of the machine; the only door to files, processes and the environment, so tests can give a made-up one. */
export interface Host {
  readonly cores: number;
  /** Bytes. */
  readonly memory: number;
  /** The folder of this package: templates, pages, examples. */
  readonly root: string;
  env(name: string): string | undefined;
  /** Sets a variable for this process and for the libraries that it loads from now on. */
  setEnv(name: string, value: string): void;
  /** Of a file or a pipe; undefined for anything else. */
  readText(path: string): string | undefined;
  readBytes(path: string): Uint8Array | undefined;
  isFolder(path: string): boolean;
  exists(path: string): boolean;
  /** What lies there; a link is a link, wherever it leads. Undefined: nothing. */
  kindAt(path: string): Kind | undefined;
  /** What the path leads to, links followed. */
  kindBehind(path: string): Kind | undefined;
  /** The path without links. */
  realPath(path: string): string | undefined;
  /** All that is below a folder, links not followed, sorted. */
  entries(folder: string): readonly Entry[];
  /** Files below a folder, as paths relative to it with `/`, sorted. */
  list(folder: string): readonly string[];
  /**
   * Writes one file: a plain one as a whole or not at all, with its mode; links, pipes and devices are written to. A string result says why
   * it failed.
   */
  write(path: string, content: string | Uint8Array): string | undefined;
  /**
   * Fills folders beside their places below `parent`, then swaps all of them in, so that nobody sees half of one. Returns why it failed.
   */
  replaceFolders(parent: string, folders: ReadonlyMap<string, Content>): string | undefined;
  /** A plain file, to be read in pieces; undefined where there is none. */
  openFile(path: string): OpenFile | undefined;
  /** A file, or a folder of files, that is written in pieces and appears as a whole; a string says why it cannot be. */
  openDraft(path: string, kind: 'file' | 'folder'): Draft | string;
  /** Free bytes where a path is or will be. */
  freeSpace(path: string): number | undefined;
  sha256(...parts: readonly (string | Uint8Array)[]): string;
  /** Lets an interrupt be noticed in the middle of long work. */
  breathe(): Promise<void>;
  /** Runs a program to its end; `code` is 127 when it does not exist. */
  run(program: string, args: readonly string[], options?: { readonly cwd?: string }): Promise<Finished>;
  /** Calls back when the file changes; the result stops it. */
  watch(path: string, changed: () => void): () => void;
  /** A new empty folder for temporary files, or why there is none; `discard` removes it. */
  temporary(): Temporary | string;
  /** Where compiled kernels are kept between runs; undefined where there is no such place. */
  readonly cacheFolder: string | undefined;
  join(...parts: readonly string[]): string;
  dirname(path: string): string;
  basename(path: string): string;
  /** `path` as seen from `from`, with `/`. */
  relative(from: string, path: string): string;
}

export interface Finished {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

function packageRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, 'templates')) || !existsSync(join(folder, 'package.json'))) {
    const parent = dirname(folder);
    if (parent === folder) throw new Error('the lmoec package is incomplete: no templates folder above the program; reinstall it');
    folder = parent;
  }
  return folder;
}

function run(program: string, args: readonly string[], options: { readonly cwd?: string } = {}): Promise<Finished> {
  return new Promise((done) => {
    const child = spawn(program, args, { cwd: options.cwd, stdio: ['ignore', 'pipe', 'pipe'] });
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (data) => { stdout += String(data); });
    child.stderr.on('data', (data) => { stderr += String(data); });
    const finish = (finished: Finished): void => {
      children.delete(child);
      done(finished);
    };
    children.add(child);
    child.on('error', (error) => finish({ code: 127, stdout, stderr: message(error) }));
    child.on('close', (code) => finish({ code: code ?? 1, stdout, stderr }));
  });
}

/** The real machine. */
export function nodeHost(): Host {
  return {
    cores: availableParallelism(),
    memory: totalmem(),
    root: packageRoot(),
    env: (name) => process.env[name],
    setEnv: (name, value) => { process.env[name] = value; },
    readText,
    readBytes,
    isFolder: (path) => kindBehind(path) === 'folder',
    exists: (path) => kindBehind(path) !== undefined,
    kindAt,
    kindBehind,
    realPath,
    entries: entriesBelow,
    list: (folder) => entriesBelow(folder).filter(({ kind }) => kind !== 'folder').map(({ path }) => path),
    write: writeOne,
    replaceFolders,
    openFile,
    openDraft,
    freeSpace,
    sha256(...parts) {
      const hash = createHash('sha256');
      // Lengths keep ('ab', 'c') apart from ('a', 'bc').
      for (const part of parts) hash.update(`${part.length}:`).update(part);
      return hash.digest('hex');
    },
    breathe: () => new Promise((done) => { setImmediate(done); }),
    run,
    watch(path, changed) {
      // Editors replace files: the folder sees that, the file's own watch would end.
      const watcher = watchFile(dirname(resolve(path)), (_, name) => {
        if (name === null || name === basename(path)) changed();
      });
      return () => watcher.close();
    },
    temporary: temporaryFolder,
    cacheFolder: cacheFolder(),
    join,
    dirname,
    basename: (path) => basename(path),
    relative: (from, path) => relative(from, path).split('\\').join('/'),
  };
}
