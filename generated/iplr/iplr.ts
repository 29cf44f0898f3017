// Made by lmoec 0.1.0; changes will be lost.
// source: sha256 33afb2db198345c7b0d1012e590674411fab8ff2be00fc94ccd23f38dc11a639
// command: lmoec build iplr.lmoe
import type { ElementType, Runtime } from 'lmoec/runtime';
import type { Keeping, Keeps, Kept, ReadFile, Tensor } from 'lmoec/bindings';
import { openScan } from 'lmoec/bindings';
import { filesBeside } from 'lmoec/files';
/** Folders of what was built: target and dtype. */
export const plans = ['cuda.sm80.bf16', 'cuda.sm90.bf16', 'webgpu.f32'] as const;
/** The sizes of axes that the kernels are made for. */
export const sizes = { K: 64, V: 64 } as const;
/** The axes of every tensor, in memory order. */
export const shapes = { q: 'B T H K', k: 'B T H K', v: 'B T H V', a: 'B T H K', b: 'B T H K', S: 'N H K V', o: 'B T H V' } as const;

/** What a call takes: inputs, one value per token, and parameters. */
export interface IplrInputs {
  /** [B, T, H, K] */
  readonly q: Tensor<'B T H K'>;
  /** [B, T, H, K] */
  readonly k: Tensor<'B T H K'>;
  /** [B, T, H, V] */
  readonly v: Tensor<'B T H V'>;
  /** [B, T, H, K] */
  readonly a: Tensor<'B T H K'>;
  /** [B, T, H, K] */
  readonly b: Tensor<'B T H K'>;
}

/** The memory after the last token of every sequence. */
export interface IplrState {
  /** [N, H, K, V] in f32 */
  readonly S: Tensor<'N H K V'>;
}

/** What a call may be given besides. */
export interface IplrOptions {
  /** Initial states; zeros if left out. */
  readonly state?: Partial<IplrState>;
  /** Packed sequences: N + 1 offsets of tokens; the batch is 1 then. */
  readonly cuSeqlens?: ArrayLike<number>;
}

/** What `forward` gives. */
export interface IplrResult {
  /** [B, T, H, V] */
  readonly o: Tensor<'B T H V'>;
  /** States after the last token. */
  readonly state: IplrState;
  /** With `keep`, what `backward` may take instead of computing it again; undefined where kernels leave nothing. */
  readonly kept: Kept | undefined;
}

/** Cotangents of what `forward` gives; zeros where left out. */
export interface IplrGrads {
  /** [B, T, H, V] */
  readonly o?: Tensor<'B T H V'>;
  /** Cotangents of the final states. */
  readonly state?: Partial<IplrState>;
}

/** What `backward` gives: the gradient of every input, parameter and initial state. */
export interface IplrGradients {
  /** [B, T, H, K] */
  readonly q: Tensor<'B T H K'>;
  /** [B, T, H, K] */
  readonly k: Tensor<'B T H K'>;
  /** [B, T, H, V] */
  readonly v: Tensor<'B T H V'>;
  /** [B, T, H, K] */
  readonly a: Tensor<'B T H K'>;
  /** [B, T, H, K] */
  readonly b: Tensor<'B T H K'>;
  /** Gradients of the initial states. */
  readonly state: IplrState;
}

/** Inputs of a single token. */
export interface IplrStepInputs {
  /** [B, H, K] */
  readonly q: Tensor<'B H K'>;
  /** [B, H, K] */
  readonly k: Tensor<'B H K'>;
  /** [B, H, V] */
  readonly v: Tensor<'B H V'>;
  /** [B, H, K] */
  readonly a: Tensor<'B H K'>;
  /** [B, H, K] */
  readonly b: Tensor<'B H K'>;
}

/** What `step` gives. */
export interface IplrStepResult {
  /** [B, H, V] */
  readonly o: Tensor<'B H V'>;
  /** The next state. */
  readonly state: IplrState;
}

/**
 * Identity plus low rank: the delta rule with an erase vector and a write vector that differ, and no decay.
 * Peng et al. 2025, "RWKV-7 Goose with Expressive Dynamic State Evolution", arXiv:2503.14456, section 2; as `iplr` in flash-linear-attention.
 *
 * Results stay on the device until `readFloats` fetches them.
 */
export interface Iplr {
  /** The axes of every tensor. */
  readonly shapes: typeof shapes;
  /** The element types that the loaded kernels read, for `upload`. */
  readonly dtypes: Readonly<Record<string, ElementType>>;
  /** Runs the scan over all tokens. */
  forward(inputs: IplrInputs, options?: IplrOptions & Keeping): Promise<IplrResult>;
  /** Gradients, from the inputs alone: what forward computed is computed again, but for what it is given as `kept`. */
  backward(inputs: IplrInputs, grads: IplrGrads, options?: IplrOptions & Keeps): Promise<IplrGradients>;
  /** One token for every sequence: decoding. */
  step(state: IplrState, inputs: IplrStepInputs): Promise<IplrStepResult>;
  /** Gives the kernels and their workspace back. */
  release(): void;
}

/** Loads the kernels of `iplr` for the runtime's device. `read` gives the files of this folder; by default they are read from beside this module. */
export async function load(runtime: Runtime, read: ReadFile = filesBeside(import.meta.url)): Promise<Iplr> {
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
      return { q: results.take('d_q', 'B T H K'), k: results.take('d_k', 'B T H K'), v: results.take('d_v', 'B T H V'), a: results.take('d_a', 'B T H K'), b: results.take('d_b', 'B T H K'), state: { S: results.take('d_S', 'N H K V') } };
    },
    async step(state, inputs) {
      const results = await scan.step(state, inputs);
      return { o: results.take('o', 'B H V'), state: { S: results.take('S', 'N H K V') } };
    },
    release: () => scan.release(),
  };
}
