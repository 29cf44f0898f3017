import { jsonText } from '../support/text.js';
import type { Content } from './host/folders.js';
import type { Kind } from './host/read.js';
import type { Host } from './host.js';
import { problem, type Problem } from './problem.js';

/**
 * Folders that lmoec makes and replaces as a whole. Each has a file that says so and lists what else is in it, with a sum of its content:
 * what is not on that list was made by somebody else, what has another sum was changed by somebody, and neither is ever touched.
 */
const MARK = 'lmoec.json';
const FORMAT = 'lmoec-output-1';

/** What one run writes: content by the name of the folder, and what all of it was made of. */
export interface Output {
  readonly folders: ReadonlyMap<string, Content>;
  readonly compiler: string;
  /** The same in every folder of one build, and in no folder of another: a hash of sources, options and compiler. */
  readonly build: string;
}

/** Writes the folders below `out`: all of them, or none. */
export function writeOutput(host: Host, out: string, { folders, compiler, build }: Output): Problem | undefined {
  for (const name of folders.keys()) {
    const refused = foreign(host, host.join(out, name));
    if (refused !== undefined) return refused;
  }
  const marked = new Map([...folders].map(([name, files]) => {
    const mark = {
      format: FORMAT, note: `lmoec replaces this folder as a whole: keep nothing else in it`, compiler, build,
      files: Object.fromEntries([...files].map(([file, content]) => [file, sumOf(host, content)]).sort(([a], [b]) => (a < b ? -1 : 1))),
    };
    return [name, new Map([[MARK, `${jsonText(mark, 1)}\n`], ...files])] as const;
  }));
  const why = host.replaceFolders(out, marked);
  return why === undefined ? undefined : problem('E701', why, 'choose another folder with -o');
}

/** Why the place of a folder must not be replaced. */
function foreign(host: Host, folder: string): Problem | undefined {
  const kind = host.kindAt(folder);
  const refuse = (why: string, ...help: string[]) => problem(
    'E704', `${folder} is not replaced: ${why}`, ...help, 'or build elsewhere with -o, or rename the scan',
  );
  if (kind === undefined) return undefined;
  if (kind !== 'folder') return refuse(`it is ${KINDS[kind]}, not a folder that lmoec made`, 'move it away');
  const entries = host.entries(folder);
  if (entries.length === 0) return undefined;
  const own = ownFiles(host.readText(host.join(folder, MARK)));
  if (own === undefined) return refuse(
    `it does not say that lmoec made it (there is no ${MARK})`, 'delete it if it came from an earlier build, else move it away',
  );
  const other = entries.find(({ path, kind: found }) => (
    found === 'folder' ? !isFolderOf(own, path) : found !== 'file' || !isMadeOf(own, path)
  ));
  if (other !== undefined) return refuse(
    `it holds ${other.kind === 'file' ? other.path : `${other.path} (${KINDS[other.kind]})`}, which lmoec did not make`,
    'move that out of the folder',
  );
  const changed = [...own].find(([path, sum]) => {
    const found = sum === undefined ? undefined : host.readBytes(host.join(folder, path));
    return found !== undefined && sumOf(host, found) !== sum;
  });
  if (changed === undefined) return undefined;
  return refuse(`${changed[0]} was changed after lmoec made it`, 'delete that file to have it made again; to keep it, move it away');
}

const CR = 13;
const LF = 10;

/** Of a file's bytes, however its lines end: version control may change that. */
function sumOf(host: Host, content: string | Uint8Array): string {
  const bytes = typeof content === 'string' ? new TextEncoder().encode(content) : content;
  return host.sha256(bytes.filter((byte, i) => byte !== CR || bytes[i + 1] !== LF)).slice(0, 16);
}

const KINDS: Readonly<Record<Kind, string>> = {
  file: 'a file', folder: 'a folder', link: 'a link', pipe: 'a pipe', other: 'a device, or closed to you',
};

/** The files that a mark lists, itself included, with their sums (older marks have none); undefined where it is none of ours. */
function ownFiles(text: string | undefined): ReadonlyMap<string, string | undefined> | undefined {
  try {
    const mark: unknown = JSON.parse(text ?? '');
    if (typeof mark !== 'object' || mark === null || !('format' in mark) || mark.format !== FORMAT) return undefined;
    if (!('files' in mark) || typeof mark.files !== 'object' || mark.files === null) return undefined;
    const files = Array.isArray(mark.files) ? mark.files.map((file) => [String(file), undefined] as const)
      : Object.entries(mark.files).map(([file, sum]) => [file, String(sum)] as const);
    return new Map([[MARK, undefined], ...files]);
  } catch {
    return undefined;
  }
}

/** A file of ours, or one that a compiler put beside it and makes again: `a.js` of `a.ts`, `__pycache__/a.cpython-312.pyc` of `a.py`. */
function isMadeOf(own: ReadonlyMap<string, unknown>, path: string): boolean {
  const typescript = /^(.*)\.(?:js|d\.ts)(?:\.map)?$/.exec(path)?.[1];
  const python = /^(.*\/)?__pycache__\/([^./]+)\.[^/]*\.pyc$/.exec(path);
  return own.has(path) || own.has(`${typescript ?? ''}.ts`) || (python !== null && own.has(`${python[1] ?? ''}${python[2]}.py`));
}

/** A folder that holds something of ours, or the Python interpreter's beside it. */
function isFolderOf(own: ReadonlyMap<string, unknown>, path: string): boolean {
  const folder = path.replace(/(^|\/)__pycache__$/, '');
  return folder === '' || [...own.keys()].some((file) => file.startsWith(`${folder}/`));
}
