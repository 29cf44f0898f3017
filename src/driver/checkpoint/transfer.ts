import type { Draft } from '../host/files.js';
import type { Host } from '../host.js';
import { problem, type Problem } from '../problem.js';
import { headerBytes } from '../safetensors-header.js';
import { clipped, copyBox, reads, simplified, span, type Bits, type Box } from './box.js';
import { bitsOf, WIDTHS, type Float } from './dtypes.js';
import { ReadError, type Readable } from './tensors.js';

/** A tensor to be written; every element of it is in one of the boxes. */
export interface Target {
  readonly name: string;
  readonly shape: readonly number[];
  readonly dtype: Float;
  readonly pieces: readonly { readonly source: Readable; readonly box: Box }[];
}

/** A file to be written, of tensors or a text: '' for the one of a draft that is no folder. */
export type TargetFile = { readonly name: string } & (
  | { readonly targets: readonly Target[]; readonly metadata: Readonly<Record<string, string>> }
  | { readonly text: string }
);

/** Bytes of a target that are in memory at once, and elements of a source that are read at once. */
const SLAB_BYTES = 1 << 28;
const MOST_READ = 1 << 23;
/** Elements after which an interrupt is looked for. */
const WORTH_A_BREATH = 1 << 16;

export function bytesOf({ shape, dtype }: Pick<Target, 'shape' | 'dtype'>): number {
  return shape.reduce((n, extent) => n * extent, WIDTHS[dtype]);
}

/** Fills the files of a draft, slab by slab; what is in memory does not depend on their size. `done` hears of every slab. */
export async function writeFiles(
  host: Host, draft: Draft, files: readonly TargetFile[], done: (bytes: number) => void,
): Promise<Problem | undefined> {
  const failed = (why: string): Problem => problem('E701', why, 'choose another place with -o');
  const largest = files.reduce(
    (most, file) => ('text' in file ? most : file.targets.reduce((bytes, target) => Math.max(bytes, bytesOf(target)), most)), 0,
  );
  const memory = new ArrayBuffer(Math.min(SLAB_BYTES, Math.ceil(largest / 8) * 8));
  for (const file of files) {
    const { name } = file;
    if ('text' in file) {
      const why = draft.append(name, new TextEncoder().encode(file.text));
      if (why !== undefined) return failed(why);
      continue;
    }
    const { targets, metadata } = file;
    const header = headerBytes(targets.map((target) => ({ ...target, bytes: bytesOf(target) })), metadata);
    const why = draft.append(name, header);
    if (why !== undefined) return failed(why);
    for (const target of targets) {
      const width = WIDTHS[target.dtype];
      const boxes = target.pieces.map(({ source, box }) => ({ source, box: simplified(box) }));
      const total = bytesOf(target) / width;
      const slab = memory.byteLength / width;
      for (let begin = 0; begin < total; begin += slab) {
        const end = Math.min(total, begin + slab);
        const bytes = new Uint8Array(memory, 0, (end - begin) * width);
        const bits = bitsOf(target.dtype, bytes);
        try {
          for (const { source, box } of boxes) await gather(host, source, box, target.dtype, bits, begin, end);
        } catch (error) {
          if (error instanceof ReadError) return problem('E702', error.message, 'check the disk, and that nobody writes the checkpoint');
          throw error;
        }
        const unwritten = draft.append(name, bytes);
        if (unwritten !== undefined) return failed(unwritten);
        done(bytes.length);
        await host.breathe();
      }
    }
  }
  return undefined;
}

/** Elements `begin` to `end` of a target that a box has. */
async function gather(host: Host, source: Readable, box: Box, dtype: Float, target: Bits, begin: number, end: number): Promise<void> {
  for (const part of clipped(box, begin, end)) {
    for (const piece of reads(part, MOST_READ)) {
      const length = span(piece, 'source');
      const read = source.read(piece.from, piece.from + length, dtype);
      copyBox(piece, read, piece.from, target, begin);
      if (length > WORTH_A_BREATH) await host.breathe();
    }
  }
}
