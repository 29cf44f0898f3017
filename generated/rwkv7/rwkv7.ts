// Made by lmoec 0.1.0; changes will be lost.
// source: sha256 bf0f8b38f8511c6ed7480910540bcca6cb149811c716a921e4a409ca28a0224e
// command: lmoec build rwkv7.lmoe
import type { ElementType, Runtime } from 'lmoec/runtime';
import type { Keeping, Keeps, Kept, ReadFile, Tensor } from 'lmoec/bindings';
import { openScan } from 'lmoec/bindings';
import { filesBeside } from 'lmoec/files';
/** Folders of what was built: target and dtype. */
export const plans = ['cuda.sm80.bf16', 'cuda.sm90.bf16', 'webgpu.f32'] as const;
/** The sizes of axes that the kernels are made for. */
export const sizes = { K: 64, V: 64 } as const;
/** The axes of every tensor, in memory order. */
export const shapes = { r: 'B T H K', k: 'B T H K', v: 'B T H V', w: 'B T H K', a: 'B T H K', b: 'B T H K', S: 'N H K V', o: 'B T H V' } as const;

/** What a call takes: inputs, one value per token, and parameters. */
export interface Rwkv7Inputs {
  /** [B, T, H, K] */
  readonly r: Tensor<'B T H K'>;
  /** [B, T, H, K] */
  readonly k: Tensor<'B T H K'>;
  /** [B, T, H, V] */
  readonly v: Tensor<'B T H V'>;
  /** [B, T, H, K], in -0.6065306597126334..0 */
  readonly w: Tensor<'B T H K'>;
  /** [B, T, H, K] */
  readonly a: Tensor<'B T H K'>;
  /** [B, T, H, K] */
  readonly b: Tensor<'B T H K'>;
}

/** The memory after the last token of every sequence. */
export interface Rwkv7State {
  /** [N, H, K, V] in f32 */
  readonly S: Tensor<'N H K V'>;
}

/** What a call may be given besides. */
export interface Rwkv7Options {
  /** Initial states; zeros if left out. */
  readonly state?: Partial<Rwkv7State>;
  /** Packed sequences: N + 1 offsets of tokens; the batch is 1 then. */
  readonly cuSeqlens?: ArrayLike<number>;
}

/** What `forward` gives. */
export interface Rwkv7Result {
  /** [B, T, H, V] */
  readonly o: Tensor<'B T H V'>;
  /** States after the last token. */
  readonly state: Rwkv7State;
  /** With `keep`, what `backward` may take instead of computing it again; undefined where kernels leave nothing. */
  readonly kept: Kept | undefined;
}

/** Cotangents of what `forward` gives; zeros where left out. */
export interface Rwkv7Grads {
  /** [B, T, H, V] */
  readonly o?: Tensor<'B T H V'>;
  /** Cotangents of the final states. */
  readonly state?: Partial<Rwkv7State>;
}

/** What `backward` gives: the gradient of every input, parameter and initial state. */
export interface Rwkv7Gradients {
  /** [B, T, H, K] */
  readonly r: Tensor<'B T H K'>;
  /** [B, T, H, K] */
  readonly k: Tensor<'B T H K'>;
  /** [B, T, H, V] */
  readonly v: Tensor<'B T H V'>;
  /** [B, T, H, K] */
  readonly w: Tensor<'B T H K'>;
  /** [B, T, H, K] */
  readonly a: Tensor<'B T H K'>;
  /** [B, T, H, K] */
  readonly b: Tensor<'B T H K'>;
  /** Gradients of the initial states. */
  readonly state: Rwkv7State;
}

/** Inputs of a single token. */
export interface Rwkv7StepInputs {
  /** [B, H, K] */
  readonly r: Tensor<'B H K'>;
  /** [B, H, K] */
  readonly k: Tensor<'B H K'>;
  /** [B, H, V] */
  readonly v: Tensor<'B H V'>;
  /** [B, H, K], in -0.6065306597126334..0 */
  readonly w: Tensor<'B H K'>;
  /** [B, H, K] */
  readonly a: Tensor<'B H K'>;
  /** [B, H, K] */
  readonly b: Tensor<'B H K'>;
}

/** What `step` gives. */
export interface Rwkv7StepResult {
  /** [B, H, V] */
  readonly o: Tensor<'B H V'>;
  /** The next state. */
  readonly state: Rwkv7State;
}

/**
 * RWKV-7 (Goose): a generalised delta rule; `a` reads the state before it decays, `b` writes what it found elsewhere.
 * Peng et al. 2025, "RWKV-7 Goose with Expressive Dynamic State Evolution", arXiv:2503.14456.
 *
 * Results stay on the device until `readFloats` fetches them.
 */
export interface Rwkv7 {
  /** The axes of every tensor. */
  readonly shapes: typeof shapes;
  /** The element types that the loaded kernels read, for `upload`. */
  readonly dtypes: Readonly<Record<string, ElementType>>;
  /** Runs the scan over all tokens. */
  forward(inputs: Rwkv7Inputs, options?: Rwkv7Options & Keeping): Promise<Rwkv7Result>;
  /** Gradients, from the inputs alone: what forward computed is computed again, but for what it is given as `kept`. */
  backward(inputs: Rwkv7Inputs, grads: Rwkv7Grads, options?: Rwkv7Options & Keeps): Promise<Rwkv7Gradients>;
  /** One token for every sequence: decoding. */
  step(state: Rwkv7State, inputs: Rwkv7StepInputs): Promise<Rwkv7StepResult>;
  /** Gives the kernels and their workspace back. */
  release(): void;
}

/** Loads the kernels of `rwkv7` for the runtime's device. `read` gives the files of this folder; by default they are read from beside this module. */
export async function load(runtime: Runtime, read: ReadFile = filesBeside(import.meta.url)): Promise<Rwkv7> {
  const scan = await openScan(runtime, read, plans, sizes);
  return {
    shapes,
    dtypes: scan.dtypes,
    async forward(inputs, options) {
      const results = await scan.forward(inputs, options);
      return { o: results.take('o', 'B T H V'), state: { S: results.take('S', 'N H K V') }, kept: results.kept };
    },
    async backward(inputs, grads, options) {
      const results = await scan.backward(inputs, grads, options);
      return { r: results.take('d_r', 'B T H K'), k: results.take('d_k', 'B T H K'), v: results.take('d_v', 'B T H V'), w: results.take('d_w', 'B T H K'), a: results.take('d_a', 'B T H K'), b: results.take('d_b', 'B T H K'), state: { S: results.take('d_S', 'N H K V') } };
    },
    async step(state, inputs) {
      const results = await scan.step(state, inputs);
      return { o: results.take('o', 'B H V'), state: { S: results.take('S', 'N H K V') } };
    },
    release: () => scan.release(),
  };
}
