import { jsonText } from '../support/text.js';
import type { Content } from './host/folders.js';
import type { Kind } from './host/read.js';
import type { Host } from './host.js';
import { problem, type Problem } from './problem.js';

/**
 * Folders that lmoec makes and replaces as a whole. Each has a file that says so and lists what else is in it: what is not on that list was
 * made by somebody else, and is never touched.
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
      files: [...files.keys()].sort(),
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
  if (other === undefined) return undefined;
  return refuse(
    `it holds ${other.kind === 'file' ? other.path : `${other.path} (${KINDS[other.kind]})`}, which lmoec did not make`,
    'move that out of the folder',
  );
}

const KINDS: Readonly<Record<Kind, string>> = {
  file: 'a file', folder: 'a folder', link: 'a link', pipe: 'a pipe', other: 'a device, or closed to you',
};

/** The files that a mark lists, itself included; undefined where it is none of ours. */
function ownFiles(text: string | undefined): ReadonlySet<string> | undefined {
  try {
    const mark: unknown = JSON.parse(text ?? '');
    if (typeof mark !== 'object' || mark === null || !('format' in mark) || mark.format !== FORMAT) return undefined;
    return 'files' in mark && Array.isArray(mark.files) ? new Set([MARK, ...mark.files.map(String)]) : undefined;
  } catch {
    return undefined;
  }
}

/** A file of ours, or one that a compiler put beside it and makes again: `a.js` of `a.ts`, `__pycache__/a.cpython-312.pyc` of `a.py`. */
function isMadeOf(own: ReadonlySet<string>, path: string): boolean {
  const typescript = /^(.*)\.(?:js|d\.ts)(?:\.map)?$/.exec(path)?.[1];
  const python = /^(.*\/)?__pycache__\/([^./]+)\.[^/]*\.pyc$/.exec(path);
  return own.has(path) || own.has(`${typescript ?? ''}.ts`) || (python !== null && own.has(`${python[1] ?? ''}${python[2]}.py`));
}

/** A folder that holds something of ours, or the Python interpreter's beside it. */
function isFolderOf(own: ReadonlySet<string>, path: string): boolean {
  const folder = path.replace(/(^|\/)__pycache__$/, '');
  return folder === '' || [...own].some((file) => file.startsWith(`${folder}/`));
}
