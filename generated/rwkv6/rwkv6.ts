// Made by lmoec 0.1.0; changes will be lost.
// source: sha256 f5b07e8b6de4b3b49176b6f0265cfaaca8a9e42603b6dbdeece1de879805ba2e
// command: lmoec build rwkv6.lmoe
import type { ElementType, Runtime } from 'lmoec/runtime';
import type { Keeping, Keeps, Kept, ReadFile, Tensor } from 'lmoec/bindings';
import { openScan } from 'lmoec/bindings';
import { filesBeside } from 'lmoec/files';
/** Folders of what was built: target and dtype. */
export const plans = ['cuda.sm80.bf16', 'cuda.sm90.bf16', 'webgpu.f32'] as const;
/** The sizes of axes that the kernels are made for. */
export const sizes = { K: 64, V: 64 } as const;
/** The axes of every tensor, in memory order. */
export const shapes = { r: 'B T H K', k: 'B T H K', v: 'B T H V', w: 'B T H K', u: 'H K', S: 'N H K V', o: 'B T H V' } as const;

/** What a call takes: inputs, one value per token, and parameters. */
export interface Rwkv6Inputs {
  /** [B, T, H, K] */
  readonly r: Tensor<'B T H K'>;
  /** [B, T, H, K] */
  readonly k: Tensor<'B T H K'>;
  /** [B, T, H, V] */
  readonly v: Tensor<'B T H V'>;
  /** [B, T, H, K], in -inf..0 */
  readonly w: Tensor<'B T H K'>;
  /** Parameter [H, K] */
  readonly u: Tensor<'H K'>;
}

/** The memory after the last token of every sequence. */
export interface Rwkv6State {
  /** [N, H, K, V] in f32 */
  readonly S: Tensor<'N H K V'>;
}

/** What a call may be given besides. */
export interface Rwkv6Options {
  /** Initial states; zeros if left out. */
  readonly state?: Partial<Rwkv6State>;
  /** Packed sequences: N + 1 offsets of tokens; the batch is 1 then. */
  readonly cuSeqlens?: ArrayLike<number>;
}

/** What `forward` gives. */
export interface Rwkv6Result {
  /** [B, T, H, V] */
  readonly o: Tensor<'B T H V'>;
  /** States after the last token. */
  readonly state: Rwkv6State;
  /** With `keep`, what `backward` may take instead of computing it again; undefined where kernels leave nothing. */
  readonly kept: Kept | undefined;
}

/** Cotangents of what `forward` gives; zeros where left out. */
export interface Rwkv6Grads {
  /** [B, T, H, V] */
  readonly o?: Tensor<'B T H V'>;
  /** Cotangents of the final states. */
  readonly state?: Partial<Rwkv6State>;
}

/** What `backward` gives: the gradient of every input, parameter and initial state. */
export interface Rwkv6Gradients {
  /** [B, T, H, K] */
  readonly r: Tensor<'B T H K'>;
  /** [B, T, H, K] */
  readonly k: Tensor<'B T H K'>;
  /** [B, T, H, V] */
  readonly v: Tensor<'B T H V'>;
  /** [B, T, H, K] */
  readonly w: Tensor<'B T H K'>;
  /** Parameter [H, K] */
  readonly u: Tensor<'H K'>;
  /** Gradients of the initial states. */
  readonly state: Rwkv6State;
}

/** Inputs of a single token. */
export interface Rwkv6StepInputs {
  /** [B, H, K] */
  readonly r: Tensor<'B H K'>;
  /** [B, H, K] */
  readonly k: Tensor<'B H K'>;
  /** [B, H, V] */
  readonly v: Tensor<'B H V'>;
  /** [B, H, K], in -inf..0 */
  readonly w: Tensor<'B H K'>;
  /** Parameter [H, K] */
  readonly u: Tensor<'H K'>;
}

/** What `step` gives. */
export interface Rwkv6StepResult {
  /** [B, H, V] */
  readonly o: Tensor<'B H V'>;
  /** The next state. */
  readonly state: Rwkv6State;
}

/**
 * RWKV-6 (Finch): reads the state before the update; the bonus `u` weighs the current token instead.
 * Peng et al. 2024, "Eagle and Finch: RWKV with Matrix-Valued States and Dynamic Recurrence", arXiv:2404.05892.
 *
 * Results stay on the device until `readFloats` fetches them.
 */
export interface Rwkv6 {
  /** The axes of every tensor. */
  readonly shapes: typeof shapes;
  /** The element types that the loaded kernels read, for `upload`. */
  readonly dtypes: Readonly<Record<string, ElementType>>;
  /** Runs the scan over all tokens. */
  forward(inputs: Rwkv6Inputs, options?: Rwkv6Options & Keeping): Promise<Rwkv6Result>;
  /** Gradients, from the inputs alone: what forward computed is computed again, but for what it is given as `kept`. */
  backward(inputs: Rwkv6Inputs, grads: Rwkv6Grads, options?: Rwkv6Options & Keeps): Promise<Rwkv6Gradients>;
  /** One token for every sequence: decoding. */
  step(state: Rwkv6State, inputs: Rwkv6StepInputs): Promise<Rwkv6StepResult>;
  /** Gives the kernels and their workspace back. */
  release(): void;
}

/** Loads the kernels of `rwkv6` for the runtime's device. `read` gives the files of this folder; by default they are read from beside this module. */
export async function load(runtime: Runtime, read: ReadFile = filesBeside(import.meta.url)): Promise<Rwkv6> {
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
      return { r: results.take('d_r', 'B T H K'), k: results.take('d_k', 'B T H K'), v: results.take('d_v', 'B T H V'), w: results.take('d_w', 'B T H K'), u: results.take('d_u', 'H K'), state: { S: results.take('d_S', 'N H K V') } };
    },
    async step(state, inputs) {
      const results = await scan.step(state, inputs);
      return { o: results.take('o', 'B H V'), state: { S: results.take('S', 'N H K V') } };
    },
    release: () => scan.release(),
  };
}
