import type { Checkpoint, FileTensor } from './files.js';
import type { Bits } from './box.js';
import {
  bitsOf, decodeMx, isDecoded, isFloat, MX_BLOCK, numbersOf, roundedTo, WIDTHS, type Float, type Numbers, type StoredDtype,
} from './dtypes.js';

/** A tensor as names know it: elements that can be read from `begin` to `end`, whatever they are stored as. */
export interface Readable {
  readonly name: string;
  readonly shape: readonly number[];
  /** Of the elements; `mxfp4` and floats of 8 bits are decoded. */
  readonly stored: StoredDtype | 'mxfp4';
  /** Tensors of the checkpoint that it is made of. */
  readonly parts: readonly string[];
  read(begin: number, end: number, dtype: Float): Bits;
}

/** Reading failed: the text says why. */
export class ReadError extends Error {}

/** Rows and columns that share a scale of 8-bit floats. */
const SCALE_BLOCK = 128;
const SCALE_SUFFIX = '_scale_inv';

/** The tensor of a name; undefined where there is none, a text where it is nothing that weights can be read from. */
export function readable({ tensors }: Checkpoint, name: string): Readable | string | undefined {
  const plain = tensors.get(name);
  if (plain !== undefined) return plainTensor(plain, tensors.get(`${name}${SCALE_SUFFIX}`));
  const blocks = tensors.get(`${name}_blocks`);
  const scales = tensors.get(`${name}_scales`);
  return blocks === undefined || scales === undefined ? undefined : blockTensor(name, blocks, scales);
}

function bytesOf(tensor: FileTensor, begin: number, end: number): Uint8Array {
  const width = WIDTHS[tensor.dtype];
  const bytes = new Uint8Array((end - begin) * width);
  const failed = tensor.file.read(tensor.begin + begin * width, bytes);
  if (failed !== undefined) throw new ReadError(failed);
  return bytes;
}

function plainTensor(tensor: FileTensor, scale: FileTensor | undefined): Readable | string {
  const { name, dtype, shape } = tensor;
  if (!isFloat(dtype) && !isDecoded(dtype)) return `\`${name}\` holds ${dtype.toUpperCase()}, no weights`;
  if (scale !== undefined && dtype !== 'f8_e4m3' && dtype !== 'f8_e5m2') {
    return `\`${scale.name}\` scales \`${name}\`, which is ${dtype.toUpperCase()} and needs no scale`;
  }
  if (scale === undefined) {
    const numbers = (begin: number, end: number): Numbers => numbersOf(dtype, bytesOf(tensor, begin, end));
    // Elements of the same dtype are carried over bit by bit.
    const read = (begin: number, end: number, as: Float): Bits => (
      as === dtype ? bitsOf(as, bytesOf(tensor, begin, end)) : roundedTo(as, numbers(begin, end))
    );
    return { name, shape, stored: dtype, parts: [name], read };
  }
  const rank = shape.length;
  const expected = shape.map((extent, i) => (i < rank - 2 ? extent : Math.ceil(extent / SCALE_BLOCK)));
  if (scale.dtype !== 'f32' || rank < 2 || scale.shape.join() !== expected.join()) {
    const found = `${scale.dtype.toUpperCase()} [${scale.shape.join(', ')}]`;
    const blocks = `\`${name}\` [${shape.join(', ')}] in blocks of ${SCALE_BLOCK} x ${SCALE_BLOCK}`;
    return `\`${scale.name}\` should be F32 [${expected.join(', ')}] for ${blocks}, and is ${found}`;
  }
  const [rows, columns] = shape.slice(-2);
  let factors: Numbers | undefined;
  const read = (begin: number, end: number, as: Float): Bits => {
    factors ??= numbersOf('f32', bytesOf(scale, 0, scale.bytes / 4));
    return roundedTo(as, scaled(numbersOf(dtype, bytesOf(tensor, begin, end)), factors, begin, rows, columns));
  };
  return { name, shape, stored: dtype, parts: [name, scale.name], read };
}

/** Elements from `begin` of matrices of `rows` x `columns`, each times the factor of its block. */
function scaled(numbers: Numbers, factors: Numbers, begin: number, rows: number, columns: number): Numbers {
  const across = Math.ceil(columns / SCALE_BLOCK);
  const down = Math.ceil(rows / SCALE_BLOCK);
  let row = Math.floor(begin / columns);
  let column = begin % columns;
  for (let i = 0; i < numbers.length;) {
    const block = Math.floor(row / rows) * down + Math.floor((row % rows) / SCALE_BLOCK);
    const stop = Math.min(numbers.length, i + columns - column);
    for (; i < stop; i++, column++) numbers[i] *= factors[block * across + Math.floor(column / SCALE_BLOCK)];
    if (column < columns) break;
    column = 0;
    row++;
  }
  return numbers;
}

function blockTensor(name: string, blocks: FileTensor, scales: FileTensor): Readable | string {
  const groups = scales.shape;
  if (blocks.dtype !== 'u8' || scales.dtype !== 'u8' || blocks.shape.join() !== [...groups, MX_BLOCK / 2].join()) {
    const both = `\`${blocks.name}\` [${blocks.shape.join(', ')}] and \`${scales.name}\` [${groups.join(', ')}]`;
    return `${both} are no blocks of ${MX_BLOCK} numbers of 4 bits: U8 [..., ${MX_BLOCK / 2}] and U8 [...] are expected`;
  }
  const shape = [...groups.slice(0, -1), (groups[groups.length - 1] ?? 1) * MX_BLOCK];
  const read = (begin: number, end: number, as: Float): Bits => {
    const first = Math.floor(begin / MX_BLOCK);
    const last = Math.ceil(end / MX_BLOCK);
    const numbers = decodeMx(bytesOf(blocks, first * (MX_BLOCK / 2), last * (MX_BLOCK / 2)), bytesOf(scales, first, last));
    return roundedTo(as, numbers.subarray(begin - first * MX_BLOCK, end - first * MX_BLOCK));
  };
  return { name, shape, stored: 'mxfp4', parts: [blocks.name, scales.name], read };
}
