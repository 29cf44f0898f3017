// Made by lmoec 0.1.0; changes will be lost.
// source: sha256 22590fd97ecaa3107d76b6e4756adec4d2f3fd4099de5136a253dbdb1ef95bb9
// command: lmoec build gsa.lmoe
import type { ElementType, Runtime } from 'lmoec/runtime';
import type { ReadFile, Tensor } from 'lmoec/bindings';
import { openScan } from 'lmoec/bindings';
import { filesBeside } from 'lmoec/files';
/** Folders of what was built: target and dtype. */
export const plans = ['cuda.sm80.bf16', 'cuda.sm90.bf16', 'webgpu.f32'] as const;
/** The sizes of axes that the kernels are made for. */
export const sizes = { K: 64, V: 64, M: 64 } as const;
/** The axes of every tensor, in memory order. */
export const shapes = { q: 'B T H K', k: 'B T H K', v: 'B T H V', g: 'B T H M', Kt: 'N H K M', Vt: 'N H M V', o: 'B T H V' } as const;

/** What a call takes: inputs, one value per token, and parameters. */
export interface GsaInputs {
  /** [B, T, H, K] */
  readonly q: Tensor<'B T H K'>;
  /** [B, T, H, K] */
  readonly k: Tensor<'B T H K'>;
  /** [B, T, H, V] */
  readonly v: Tensor<'B T H V'>;
  /** [B, T, H, M], in -inf..0 */
  readonly g: Tensor<'B T H M'>;
}

/** The memory after the last token of every sequence. */
export interface GsaState {
  /** [N, H, K, M] in f32 */
  readonly Kt: Tensor<'N H K M'>;
  /** [N, H, M, V] in f32 */
  readonly Vt: Tensor<'N H M V'>;
}

/** What a call may be given besides. */
export interface GsaOptions {
  /** Initial states; zeros if left out. */
  readonly state?: Partial<GsaState>;
  /** Packed sequences: N + 1 offsets of tokens; the batch is 1 then. */
  readonly cuSeqlens?: ArrayLike<number>;
}

/** What `forward` gives. */
export interface GsaResult {
  /** [B, T, H, V] */
  readonly o: Tensor<'B T H V'>;
  /** States after the last token. */
  readonly state: GsaState;
}

/** Cotangents of what `forward` gives; zeros where left out. */
export interface GsaGrads {
  /** [B, T, H, V] */
  readonly o?: Tensor<'B T H V'>;
  /** Cotangents of the final states. */
  readonly state?: Partial<GsaState>;
}

/** What `backward` gives: the gradient of every input, parameter and initial state. */
export interface GsaGradients {
  /** [B, T, H, K] */
  readonly q: Tensor<'B T H K'>;
  /** [B, T, H, K] */
  readonly k: Tensor<'B T H K'>;
  /** [B, T, H, V] */
  readonly v: Tensor<'B T H V'>;
  /** [B, T, H, M] */
  readonly g: Tensor<'B T H M'>;
  /** Gradients of the initial states. */
  readonly state: GsaState;
}

/** Inputs of a single token. */
export interface GsaStepInputs {
  /** [B, H, K] */
  readonly q: Tensor<'B H K'>;
  /** [B, H, K] */
  readonly k: Tensor<'B H K'>;
  /** [B, H, V] */
  readonly v: Tensor<'B H V'>;
  /** [B, H, M], in -inf..0 */
  readonly g: Tensor<'B H M'>;
}

/** What `step` gives. */
export interface GsaStepResult {
  /** [B, H, V] */
  readonly o: Tensor<'B H V'>;
  /** The next state. */
  readonly state: GsaState;
}

/**
 * Gated slot attention: a first memory addresses slots, their softmax reads a second one.
 * Zhang et al. 2024, "Gated Slot Attention for Efficient Linear-Time Sequence Modeling", arXiv:2409.07146.
 *
 * Results stay on the device until `readFloats` fetches them.
 */
export interface Gsa {
  /** The axes of every tensor. */
  readonly shapes: typeof shapes;
  /** The element types that the loaded kernels read, for `upload`. */
  readonly dtypes: Readonly<Record<string, ElementType>>;
  /** Runs the scan over all tokens. */
  forward(inputs: GsaInputs, options?: GsaOptions): Promise<GsaResult>;
  /** Gradients, from the inputs alone: what forward computed is computed again. */
  backward(inputs: GsaInputs, grads: GsaGrads, options?: GsaOptions): Promise<GsaGradients>;
  /** One token for every sequence: decoding. */
  step(state: GsaState, inputs: GsaStepInputs): Promise<GsaStepResult>;
  /** Gives the kernels and their workspace back. */
  release(): void;
}

/** Loads the kernels of `gsa` for the runtime's device. `read` gives the files of this folder; by default they are read from beside this module. */
export async function load(runtime: Runtime, read: ReadFile = filesBeside(import.meta.url)): Promise<Gsa> {
  const scan = await openScan(runtime, read, plans, sizes);
  return {
    shapes,
    dtypes: scan.dtypes,
    async forward(inputs, options) {
      const results = await scan.forward(inputs, options);
      return { o: results.take('o', 'B T H V'), state: { Kt: results.take('Kt', 'N H K M'), Vt: results.take('Vt', 'N H M V') } };
    },
    async backward(inputs, grads, options) {
      const results = await scan.backward(inputs, grads, options);
      return { q: results.take('d_q', 'B T H K'), k: results.take('d_k', 'B T H K'), v: results.take('d_v', 'B T H V'), g: results.take('d_g', 'B T H M'), state: { Kt: results.take('d_Kt', 'N H K M'), Vt: results.take('d_Vt', 'N H M V') } };
    },
    async step(state, inputs) {
      const results = await scan.step(state, inputs);
      return { o: results.take('o', 'B H V'), state: { Kt: results.take('Kt', 'N H K M'), Vt: results.take('Vt', 'N H M V') } };
    },
    release: () => scan.release(),
  };
}
