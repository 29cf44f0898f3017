import { briefList, briefText } from '../../support/brief.js';
import type { OpenFile } from '../host/files.js';
import type { Host } from '../host.js';
import { problem, type Problem } from '../problem.js';
import { repeatedKey } from '../run/json-keys.js';
import { headerLength, readHeader } from '../safetensors-header.js';
import { WIDTHS, type StoredDtype } from './dtypes.js';

/** A tensor of a checkpoint: where its bytes are. */
export interface FileTensor {
  readonly name: string;
  readonly dtype: StoredDtype;
  readonly shape: readonly number[];
  readonly file: OpenFile;
  /** Of its first byte in the file. */
  readonly begin: number;
  readonly bytes: number;
}

export interface Checkpoint {
  readonly path: string;
  readonly tensors: ReadonlyMap<string, FileTensor>;
  readonly files: number;
  close(): void;
}

const INDEX = /\.safetensors\.index\.json$/;
const CONVERT = 'lmoec reads safetensors only: load the checkpoint with the library that wrote it and save it with `save_pretrained(DIR)` '
  + 'or `safetensors.torch.save_file`';

/** Opens a file, an index, or a folder with either; all headers are read and checked, no tensor is. */
export function openCheckpoint(host: Host, path: string): Checkpoint | Problem {
  const files = filesOf(host, path);
  if ('code' in files) return files;
  const open: OpenFile[] = [];
  const close = (): void => open.forEach((file) => file.close());
  const tensors = new Map<string, FileTensor & { readonly path: string }>();
  for (const at of files.paths) {
    const found = tensorsIn(host, at, open);
    if ('code' in found) {
      close();
      return found;
    }
    for (const tensor of found) {
      const other = tensors.get(tensor.name);
      if (other !== undefined) {
        close();
        return problem(
          'E506',
          `tensor \`${briefText(tensor.name)}\` is in ${other.path} and in ${at}`,
          'keep one of the files; of a checkpoint in several formats, name the index or one file with --from',
        );
      }
      tensors.set(tensor.name, { ...tensor, path: at });
    }
  }
  for (const [name, file] of files.index) {
    if (tensors.get(name)?.path === file) continue;
    close();
    return problem(
      'E506',
      `${path}: the index says that tensor \`${briefText(name)}\` is in ${file}, and it is not`,
      'download the checkpoint again: index and files are not of one kind',
    );
  }
  return { path, tensors, files: files.paths.length, close };
}

interface Files {
  readonly paths: readonly string[];
  /** Which file has each tensor, if an index says so. */
  readonly index: ReadonlyMap<string, string>;
}

function filesOf(host: Host, path: string): Files | Problem {
  if (INDEX.test(path)) return filesOfIndex(host, path);
  if (!host.isFolder(path)) return { paths: [path], index: new Map() };
  const names = host.list(path).filter((name) => !name.includes('/'));
  const indices = names.filter((name) => INDEX.test(name));
  if (indices.length === 1) return filesOfIndex(host, host.join(path, indices[0]));
  if (indices.length > 1) return problem(
    'E702', `${path} has several checkpoints: ${indices.join(', ')}`, 'name the index of one of them with --from',
  );
  const found = names.filter((name) => name.endsWith('.safetensors'));
  if (found.length > 0) return { paths: found.map((name) => host.join(path, name)), index: new Map() };
  const other = names.find((name) => /\.(bin|pt|pth|distcp|gguf|ckpt)$/.test(name));
  return problem(
    'E702',
    `there is no .safetensors file in ${path}`,
    other === undefined ? 'name the folder or the file of a checkpoint' : `it has ${other}: ${CONVERT}`,
  );
}

function filesOfIndex(host: Host, path: string): Files | Problem {
  const text = host.readText(path);
  if (text === undefined) return problem('E702', `${path} cannot be read`, 'check the path');
  const wrong = (why: string): Problem => problem(
    'E506', `${path}: ${why}`, 'an index is a JSON object with `weight_map`: the name of the file in the same folder for every tensor',
  );
  let index: unknown;
  try {
    index = JSON.parse(text);
  } catch (error) {
    return wrong(`it is no JSON: ${briefText(error instanceof Error ? error.message : String(error), 120)}`);
  }
  const map = typeof index === 'object' && index !== null && 'weight_map' in index ? index.weight_map : undefined;
  if (typeof map !== 'object' || map === null || Array.isArray(map)) return wrong('it has no `weight_map`');
  const repeated = repeatedKey(text);
  if (repeated !== undefined) return wrong(`it names \`${briefText(repeated)}\` twice`);
  const folder = host.dirname(path);
  const files = new Map<string, string>();
  for (const [name, file] of Object.entries(map)) {
    if (typeof file !== 'string' || !/^[^/\\]+\.safetensors$/.test(file)) return wrong(
      `the file of \`${briefText(name)}\` is no .safetensors file of its folder`,
    );
    files.set(name, host.join(folder, file));
  }
  const paths = [...new Set(files.values())].sort();
  const missing = paths.filter((at) => !host.exists(at));
  if (missing.length > 0) {
    return problem(
      'E702', `${missing.length} of ${paths.length} files of the checkpoint are missing: ${briefList(missing, 4)}`, 'download them again',
    );
  }
  return { paths, index: files };
}

function tensorsIn(host: Host, path: string, open: OpenFile[]): readonly FileTensor[] | Problem {
  const file = host.openFile(path);
  if (file === undefined) {
    const kind = host.kindBehind(path);
    const strange = `is no file (a ${kind === 'other' ? 'device' : kind})`;
    const why = kind === undefined ? 'does not exist' : kind === 'file' ? 'cannot be read' : strange;
    return problem(
      'E702', `${path} ${why}`, /\.(bin|pt|pth)$/.test(path) ? CONVERT : 'name a .safetensors file, an index, or a folder with one',
    );
  }
  open.push(file);
  const wrong = (text: string, help: string): Problem => problem('E506', `${path}: ${text}`, help);
  const start = new Uint8Array(Math.min(9, file.size));
  const failed = file.read(0, start);
  if (failed !== undefined) return problem('E702', failed, 'check the disk');
  const length = headerLength(start, file.size);
  if (typeof length !== 'number') return wrong(length.text, /\.(bin|pt|pth)$/.test(path) ? CONVERT : length.help);
  const header = new Uint8Array(length);
  const unread = file.read(8, header);
  if (unread !== undefined) return problem('E702', unread, 'check the disk');
  const dataStart = 8 + length;
  const entries = readHeader(header, file.size - dataStart, WIDTHS);
  if ('text' in entries) return wrong(entries.text, entries.help);
  return entries.map(({ name, dtype, shape, begin, end }) => ({ name, dtype, shape, file, begin: dataStart + begin, bytes: end - begin }));
}
