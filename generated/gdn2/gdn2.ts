// Made by lmoec 0.1.0; changes will be lost.
// source: sha256 26077322950131640654eec4b31f8abd2d7fd36dc7b001f16db63b5f33bb7087
// command: lmoec build gdn2.lmoe
import type { ElementType, Runtime } from 'lmoec/runtime';
import type { Keeping, Keeps, Kept, ReadFile, Tensor } from 'lmoec/bindings';
import { openScan } from 'lmoec/bindings';
import { filesBeside } from 'lmoec/files';
/** Folders of what was built: target and dtype. */
export const plans = ['cuda.sm80.bf16', 'cuda.sm90.bf16', 'webgpu.f32'] as const;
/** The sizes of axes that the kernels are made for. */
export const sizes = { K: 64, V: 64 } as const;
/** The axes of every tensor, in memory order. */
export const shapes = { q: 'B T H K', k: 'B T H K', v: 'B T H V', g: 'B T H K', b: 'B T H K', w: 'B T H V', S: 'N H K V', o: 'B T H V' } as const;

/** What a call takes: inputs, one value per token, and parameters. */
export interface Gdn2Inputs {
  /** [B, T, H, K] */
  readonly q: Tensor<'B T H K'>;
  /** [B, T, H, K] */
  readonly k: Tensor<'B T H K'>;
  /** [B, T, H, V] */
  readonly v: Tensor<'B T H V'>;
  /** [B, T, H, K], in -inf..0 */
  readonly g: Tensor<'B T H K'>;
  /** [B, T, H, K], in 0..2 */
  readonly b: Tensor<'B T H K'>;
  /** [B, T, H, V], in 0..1 */
  readonly w: Tensor<'B T H V'>;
}

/** The memory after the last token of every sequence. */
export interface Gdn2State {
  /** [N, H, K, V] in f32 */
  readonly S: Tensor<'N H K V'>;
}

/** What a call may be given besides. */
export interface Gdn2Options {
  /** Initial states; zeros if left out. */
  readonly state?: Partial<Gdn2State>;
  /** Packed sequences: N + 1 offsets of tokens; the batch is 1 then. */
  readonly cuSeqlens?: ArrayLike<number>;
}

/** What `forward` gives. */
export interface Gdn2Result {
  /** [B, T, H, V] */
  readonly o: Tensor<'B T H V'>;
  /** States after the last token. */
  readonly state: Gdn2State;
  /** With `keep`, what `backward` may take instead of computing it again; undefined where kernels leave nothing. */
  readonly kept: Kept | undefined;
}

/** Cotangents of what `forward` gives; zeros where left out. */
export interface Gdn2Grads {
  /** [B, T, H, V] */
  readonly o?: Tensor<'B T H V'>;
  /** Cotangents of the final states. */
  readonly state?: Partial<Gdn2State>;
}

/** What `backward` gives: the gradient of every input, parameter and initial state. */
export interface Gdn2Gradients {
  /** [B, T, H, K] */
  readonly q: Tensor<'B T H K'>;
  /** [B, T, H, K] */
  readonly k: Tensor<'B T H K'>;
  /** [B, T, H, V] */
  readonly v: Tensor<'B T H V'>;
  /** [B, T, H, K] */
  readonly g: Tensor<'B T H K'>;
  /** [B, T, H, K] */
  readonly b: Tensor<'B T H K'>;
  /** [B, T, H, V] */
  readonly w: Tensor<'B T H V'>;
  /** Gradients of the initial states. */
  readonly state: Gdn2State;
}

/** Inputs of a single token. */
export interface Gdn2StepInputs {
  /** [B, H, K] */
  readonly q: Tensor<'B H K'>;
  /** [B, H, K] */
  readonly k: Tensor<'B H K'>;
  /** [B, H, V] */
  readonly v: Tensor<'B H V'>;
  /** [B, H, K], in -inf..0 */
  readonly g: Tensor<'B H K'>;
  /** [B, H, K], in 0..2 */
  readonly b: Tensor<'B H K'>;
  /** [B, H, V], in 0..1 */
  readonly w: Tensor<'B H V'>;
}

/** What `step` gives. */
export interface Gdn2StepResult {
  /** [B, H, V] */
  readonly o: Tensor<'B H V'>;
  /** The next state. */
  readonly state: Gdn2State;
}

/**
 * Gated DeltaNet-2: erase and write have gates of their own, `b` per key channel and `w` per value channel.
 * Yang and Zhang, "flash-linear-attention", github.com/fla-org/flash-linear-attention (the rule `gdn2`).
 *
 * Results stay on the device until `readFloats` fetches them.
 */
export interface Gdn2 {
  /** The axes of every tensor. */
  readonly shapes: typeof shapes;
  /** The element types that the loaded kernels read, for `upload`. */
  readonly dtypes: Readonly<Record<string, ElementType>>;
  /** Runs the scan over all tokens. */
  forward(inputs: Gdn2Inputs, options?: Gdn2Options & Keeping): Promise<Gdn2Result>;
  /** Gradients, from the inputs alone: what forward computed is computed again, but for what it is given as `kept`. */
  backward(inputs: Gdn2Inputs, grads: Gdn2Grads, options?: Gdn2Options & Keeps): Promise<Gdn2Gradients>;
  /** One token for every sequence: decoding. */
  step(state: Gdn2State, inputs: Gdn2StepInputs): Promise<Gdn2StepResult>;
  /** Gives the kernels and their workspace back. */
  release(): void;
}

/** Loads the kernels of `gdn2` for the runtime's device. `read` gives the files of this folder; by default they are read from beside this module. */
export async function load(runtime: Runtime, read: ReadFile = filesBeside(import.meta.url)): Promise<Gdn2> {
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
      return { q: results.take('d_q', 'B T H K'), k: results.take('d_k', 'B T H K'), v: results.take('d_v', 'B T H V'), g: results.take('d_g', 'B T H K'), b: results.take('d_b', 'B T H K'), w: results.take('d_w', 'B T H V'), state: { S: results.take('d_S', 'N H K V') } };
    },
    async step(state, inputs) {
      const results = await scan.step(state, inputs);
      return { o: results.take('o', 'B H V'), state: { S: results.take('S', 'N H K V') } };
    },
    release: () => scan.release(),
  };
}
