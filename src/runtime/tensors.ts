import { briefList, briefShape, kindName } from '../support/brief.js';
import { fromHalves, toHalves } from '../support/float.js';
import { elementCount } from './arrays.js';
import { RuntimeError, type DeviceTensor, type ElementType, type HostArray, type Runtime } from './runtime.js';

/**
 * A tensor whose type names its axes in memory order, so that `Tensor<'B H T K'>` where `Tensor<'B T H K'>` belongs does not compile.
 * The values lie in a typed array, copied to the device for a call (f32 numbers in the element type of the kernels), or on the device
 * already.
 */
export interface Tensor<Axes extends string> {
  readonly axes: Axes;
  readonly shape: readonly number[];
  readonly values: HostArray | DeviceTensor;
}

/** What a tensor can be made of: numbers in any array, the 16 bits of bf16 or f16, or what is on the device already. */
export type TensorValues = HostArray | Float64Array | readonly number[] | DeviceTensor;

/**
 * A tensor from values: `tensor('B T H K', [2, 100, 4, 64], array)`. bf16 and f16 come as their 16 bits, or as numbers that are rounded;
 * f64 numbers and plain arrays become f32. Throws a RuntimeError where names, extents and values do not belong together.
 */
export function tensor<const Axes extends string>(axes: Axes, shape: readonly number[], given: TensorValues): Tensor<Axes> {
  if (typeof axes !== 'string') throw new RuntimeError(
    `the axes of a tensor are ${kindName(axes)}`, 'name them in memory order: \'B T H K\'',
  );
  const names = axisNames(axes);
  if (!isShape(shape)) throw new RuntimeError(
    `'${axes}' has no shape: found ${Array.isArray(shape) ? briefShape(shape) : kindName(shape)}`, 'give a whole number for each axis',
  );
  const values = isNumbers(given) ? Float32Array.from(given) : given;
  if (names.length !== shape.length) throw new RuntimeError(
    `'${axes}' names ${names.length} axes, the shape has ${shape.length}: ${briefShape(shape)}`, 'give one extent for each axis',
  );
  if (!areValues(values)) throw new RuntimeError(`'${axes}' has no values: found ${kindName(values)}`, VALUES);
  const expected = elementCount(shape);
  const found = ArrayBuffer.isView(values) ? values.length : elementCount(values.shape);
  if (expected !== found) throw new RuntimeError(
    `'${axes}' ${briefShape(shape)} has ${expected} elements, the values ${found}`, 'check the extents',
  );
  return { axes, shape, values };
}

const VALUES = 'pass numbers, a Float32Array, the 16 bits of bf16 or f16 in a Uint16Array, or a tensor of the device';

/** Types say so when a program is compiled; JavaScript and casts get here with anything. `whose` names what was given. */
export function expectTensor(given: unknown, whose: string): asserts given is Tensor<string> {
  const fits = typeof given === 'object' && given !== null && 'axes' in given && 'shape' in given && 'values' in given
    && typeof given.axes === 'string' && isShape(given.shape) && areValues(given.values);
  if (!fits) throw new RuntimeError(
    `${whose} is ${kindName(given)}, expected a tensor`, 'make one: tensor(\'B T H K\', [batch, tokens, heads, size], values)',
  );
}

/** Something whose members have names; says which it wants otherwise. */
export function expectRecord(given: unknown, whose: string, names: readonly string[]): object {
  if (typeof given === 'object' && given !== null && !Array.isArray(given)) return given;
  throw new RuntimeError(
    `${whose} ${whose.endsWith('s') ? 'are' : 'is'} ${kindName(given)}, expected an object`, `pass { ${briefList(names)} }`,
  );
}

export function member(of: unknown, name: string): unknown {
  return typeof of === 'object' && of !== null ? Reflect.get(of, name) : undefined;
}

export function isList(given: unknown): given is ArrayLike<number> {
  return typeof given === 'object' && given !== null && 'length' in given;
}

function isShape(shape: unknown): shape is readonly number[] {
  return Array.isArray(shape) && shape.every((extent) => Number.isSafeInteger(extent) && extent >= 0);
}

/** Arrays of another window or worker have another constructor, but the same name. */
export const arrayName = (value: unknown): string => Object.prototype.toString.call(value).slice('[object '.length, -1);

/** Is it something that kernels can read? */
export function areValues(values: unknown): values is HostArray | DeviceTensor {
  if (ArrayBuffer.isView(values)) return ['Float32Array', 'Uint16Array', 'Int32Array'].includes(arrayName(values));
  return typeof values === 'object'
    && values !== null
    && 'dtype' in values
    && 'shape' in values
    && isShape(values.shape)
    && 'release' in values;
}

/** Copies a tensor to the device once, for many calls. Numbers are rounded to a 16-bit `dtype`. */
export function upload<Axes extends string>(runtime: Runtime, host: Tensor<Axes>, dtype: ElementType = 'f32'): Tensor<Axes> {
  expectTensor(host, 'what is uploaded');
  if (!ArrayBuffer.isView(host.values)) return host;
  return { ...host, values: runtime.upload(inElements(host.values, dtype), dtype, host.shape) };
}

/** f32 numbers in the elements that a kernel reads; what has 16 bits already stays. */
export function inElements(values: HostArray, dtype: ElementType | undefined): HostArray {
  return arrayName(values) === 'Float32Array' && (dtype === 'bf16' || dtype === 'f16') ? toHalves(dtype, values) : values;
}

/** Fetches the values of a tensor as they lie in memory; a typed array is given back as it is. */
export async function read(runtime: Runtime, from: Tensor<string>): Promise<HostArray> {
  expectTensor(from, 'what is read');
  return ArrayBuffer.isView(from.values) ? from.values : runtime.download(from.values);
}

/** Fetches the values of a tensor as numbers, whatever its element type. */
export async function readFloats(runtime: Runtime, from: Tensor<string>): Promise<Float32Array> {
  const values = await read(runtime, from);
  if (arrayName(values) === 'Float32Array') return values instanceof Float32Array ? values : Float32Array.from(values);
  const dtype = ArrayBuffer.isView(from.values) ? undefined : from.values.dtype;
  if (dtype === 'bf16' || dtype === 'f16') return fromHalves(dtype, values);
  throw new RuntimeError('16-bit values of a typed array do not say whether they are bf16 or f16', 'convert them with what made them');
}

/** Gives the device memory of a tensor back. */
export function release(from: Tensor<string>): void {
  expectTensor(from, 'what is released');
  if (!ArrayBuffer.isView(from.values)) from.values.release();
}

function isNumbers(values: TensorValues): values is Float64Array | readonly number[] {
  // `every` passes over holes.
  return arrayName(values) === 'Float64Array' || (Array.isArray(values) && values.findIndex((value) => typeof value !== 'number') < 0);
}

export function axisNames(axes: string): readonly string[] {
  return axes.split(' ').filter((name) => name !== '');
}
