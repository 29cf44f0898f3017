import { spawn, type ChildProcess } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, renameSync, rmSync, statSync, watch as watchFile, writeFileSync } from 'node:fs';
import { availableParallelism, homedir, tmpdir } from 'node:os';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/** What the driver wants of the machine; the only door to files, processes and the environment, so tests can give a made-up one. */
export interface Host {
  readonly cores: number;
  /** The folder of this package: templates, pages, examples. */
  readonly root: string;
  env(name: string): string | undefined;
  readText(path: string): string | undefined;
  readBytes(path: string): Uint8Array | undefined;
  isFolder(path: string): boolean;
  exists(path: string): boolean;
  /** Files below a folder, as paths relative to it with `/`, sorted. */
  list(folder: string): readonly string[];
  /** Writes one file by way of a temporary one beside it. A string result says why it failed. */
  write(path: string, content: string | Uint8Array): string | undefined;
  /** Fills a folder beside `folder`, then swaps it in, so that nobody sees half of it. Returns why it failed. */
  replaceFolder(folder: string, files: ReadonlyMap<string, string | Uint8Array>): string | undefined;
  sha256(...parts: readonly (string | Uint8Array)[]): string;
  /** From now on an interrupt ends programs, removes what is unfinished and says so. */
  catchInterrupts(): void;
  /** Lets an interrupt be noticed in the middle of long work. */
  breathe(): Promise<void>;
  /** Runs a program to its end; `code` is 127 when it does not exist. */
  run(program: string, args: readonly string[], options?: { readonly cwd?: string }): Promise<Finished>;
  /** Calls back when the file changes; the result stops it. */
  watch(path: string, changed: () => void): () => void;
  /** A new empty folder for temporary files; `discard` removes it. */
  temporary(): { readonly path: string; discard(): void };
  /** Where compiled kernels are kept between runs. */
  readonly cacheFolder: string;
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

/** Folders that are being filled: removed when the process is interrupted. */
const unfinished = new Set<string>();
/** Programs that run: a signal to this process alone must end them too, before their folders go. */
const children = new Set<ChildProcess>();
let interruptible = false;

function catchInterrupts(): void {
  if (interruptible) return;
  interruptible = true;
  for (const [signal, code] of [['SIGINT', 130], ['SIGTERM', 143]] as const) {
    process.once(signal, () => {
      for (const child of children) child.kill('SIGKILL');
      for (const path of unfinished) rmSync(path, { recursive: true, force: true });
      process.stderr.write(`${process.stderr.isTTY ? '\r\u001b[2K' : ''}lmoec: interrupted; nothing half-written is left\n`);
      process.exit(code);
    });
  }
}

function message(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}

/** Says in words what the operating system said in letters. */
function whyUnwritable(path: string, error: unknown): string {
  switch (codeOf(error)) {
    case 'EACCES': case 'EPERM': case 'EROFS': return `${path} cannot be written: no permission, or a read-only file system`;
    case 'ENOENT': return `${path} cannot be written: its folder takes no new entries`;
    case 'ENOSPC': return `${path} cannot be written: the disk is full`;
    case 'ENOTDIR': case 'EEXIST': return `${path} cannot be written: a file is where a folder should be`;
    case 'EISDIR': return `${path} cannot be written: it is a folder`;
    case undefined: return `${path} cannot be written: ${message(error)}`;
    default: return `${path} cannot be written: ${message(error)}`;
  }
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

function listFiles(folder: string): string[] {
  const found: string[] = [];
  const visit = (path: string, prefix: string): void => {
    for (const entry of readdirSync(path, { withFileTypes: true })) {
      if (entry.isDirectory()) visit(join(path, entry.name), `${prefix}${entry.name}/`);
      else found.push(prefix + entry.name);
    }
  };
  if (existsSync(folder)) visit(folder, '');
  return found.sort();
}

/** `mkdirSync` with `recursive` never returns where a folder exists that takes none, such as /proc (Node 20). */
function makeFolder(folder: string): void {
  if (existsSync(folder)) return;
  makeFolder(dirname(folder));
  try {
    mkdirSync(folder);
  } catch (error) {
    // Another process may have been faster.
    if (!existsSync(folder)) throw error;
  }
}

function fill(folder: string, files: ReadonlyMap<string, string | Uint8Array>): void {
  for (const [name, content] of files) {
    const path = join(folder, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, content);
  }
}

function replaceFolder(folder: string, files: ReadonlyMap<string, string | Uint8Array>): string | undefined {
  catchInterrupts();
  const parent = dirname(resolve(folder));
  let fresh: string | undefined;
  try {
    makeFolder(parent);
    // Beside the target, so that renaming stays within one file system.
    fresh = mkdtempSync(join(parent, `.${basename(folder)}-`));
    unfinished.add(fresh);
    const filled = join(fresh, 'new');
    mkdirSync(filled);
    fill(filled, files);
    if (existsSync(folder)) renameSync(folder, join(fresh, 'old'));
    renameSync(filled, folder);
    return undefined;
  } catch (error) {
    // The old folder, if it was moved away already, comes back.
    if (fresh !== undefined && existsSync(join(fresh, 'old')) && !existsSync(folder)) renameSync(join(fresh, 'old'), folder);
    return whyUnwritable(folder, error);
  } finally {
    if (fresh !== undefined) {
      rmSync(fresh, { recursive: true, force: true });
      unfinished.delete(fresh);
    }
  }
}

function writeOne(path: string, content: string | Uint8Array): string | undefined {
  catchInterrupts();
  const partial = `${path}.${process.pid}.partial`;
  try {
    makeFolder(dirname(resolve(path)));
    if (existsSync(path) && statSync(path).isDirectory()) return `${path} cannot be written: it is a folder`;
    unfinished.add(partial);
    writeFileSync(partial, content);
    renameSync(partial, path);
    return undefined;
  } catch (error) {
    // `force` forgives a file that is missing, not a folder above it that is a file.
    if (existsSync(partial)) rmSync(partial);
    return whyUnwritable(path, error);
  } finally {
    unfinished.delete(partial);
  }
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
  const cacheHome = process.env.LMOEC_CACHE ?? join(process.env.XDG_CACHE_HOME ?? join(homedir() || tmpdir(), '.cache'), 'lmoec');
  return {
    cores: availableParallelism(),
    root: packageRoot(),
    env: (name) => process.env[name],
    readText(path) {
      try {
        return readFileSync(path, 'utf8');
      } catch {
        return undefined;
      }
    },
    readBytes(path) {
      try {
        // Not the Buffer itself, whose `slice` shares memory where that of its type copies.
        const { buffer, byteOffset, byteLength } = readFileSync(path);
        return new Uint8Array(buffer, byteOffset, byteLength);
      } catch {
        return undefined;
      }
    },
    isFolder: (path) => existsSync(path) && statSync(path).isDirectory(),
    exists: (path) => existsSync(path),
    list: listFiles,
    write: writeOne,
    replaceFolder,
    sha256(...parts) {
      const hash = createHash('sha256');
      // Lengths keep ('ab', 'c') apart from ('a', 'bc').
      for (const part of parts) hash.update(`${part.length}:`).update(part);
      return hash.digest('hex');
    },
    catchInterrupts,
    breathe: () => new Promise((done) => { setImmediate(done); }),
    run,
    watch(path, changed) {
      // Editors replace files: the folder sees that, the file's own watch would end.
      const watcher = watchFile(dirname(resolve(path)), (_, name) => {
        if (name === null || name === basename(path)) changed();
      });
      return () => watcher.close();
    },
    temporary() {
      catchInterrupts();
      const path = mkdtempSync(join(tmpdir(), 'lmoec-'));
      unfinished.add(path);
      return {
        path,
        discard() {
          rmSync(path, { recursive: true, force: true });
          unfinished.delete(path);
        },
      };
    },
    cacheFolder: cacheHome,
    join,
    dirname,
    basename: (path) => basename(path),
    relative: (from, path) => relative(from, path).split('\\').join('/'),
  };
}
