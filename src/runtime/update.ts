import type { Named } from './graph-types.js';
import type { Runtime } from './runtime.js';
import { expectTensor, member, readFloats, type Tensor } from './tensors.js';

type Numbers = ReadonlyMap<string, Float64Array>;

/** How buffers of a layer or mixture move after a step of the optimiser. */
export interface BufferUpdate {
  /** Of every call. */
  readonly takes: readonly string[];
  /** Paths of the params and buffers that it reads, and of all buffers. */
  readonly params: readonly string[];
  readonly buffers: readonly string[];
  /** New values of those that move. */
  run(calls: readonly Numbers[], params: Numbers): Named;
}

/** All buffers after a step, from what its calls gave and from the params before it, which are fetched if they are on the device. */
export async function movedBuffers(
  runtime: Runtime, whose: string, update: BufferUpdate, calls: readonly Numbers[], params: object,
): Promise<Named> {
  const given = (path: string): Tensor<string> => {
    const value = member(params, path);
    expectTensor(value, `${whose}: ${path}`);
    return value;
  };
  const read = await Promise.all(update.params.map(async (path): Promise<[string, Float64Array]> => (
    [path, Float64Array.from(await readFloats(runtime, given(path)))]
  )));
  return { ...Object.fromEntries(update.buffers.map((path) => [path, given(path)])), ...update.run(calls, new Map(read)) };
}
