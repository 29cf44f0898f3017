// Made by lmoec 0.1.0; changes will be lost.
// source: sha256 e3f759b2b29f3018fcfeaede3d5e724b6b34581eed514dc3d644f8c76ce971da
// command: lmoec build delta_product.lmoe
import type { ElementType, Runtime } from 'lmoec/runtime';
import type { Keeping, Keeps, Kept, ReadFile, Tensor } from 'lmoec/bindings';
import { openScan } from 'lmoec/bindings';
import { filesBeside } from 'lmoec/files';
/** Folders of what was built: target and dtype. */
export const plans = ['cuda.sm80.bf16', 'cuda.sm90.bf16', 'webgpu.f32'] as const;
/** The sizes of axes that the kernels are made for. */
export const sizes = { K: 64, V: 64 } as const;
/** The axes of every tensor, in memory order. */
export const shapes = { q: 'B T H K', k1: 'B T H K', k2: 'B T H K', v1: 'B T H V', v2: 'B T H V', g: 'B T H', beta1: 'B T H', beta2: 'B T H', S: 'N H K V', o: 'B T H V' } as const;

/** What a call takes: inputs, one value per token, and parameters. */
export interface DeltaProductInputs {
  /** [B, T, H, K] */
  readonly q: Tensor<'B T H K'>;
  /** [B, T, H, K] */
  readonly k1: Tensor<'B T H K'>;
  /** [B, T, H, K] */
  readonly k2: Tensor<'B T H K'>;
  /** [B, T, H, V] */
  readonly v1: Tensor<'B T H V'>;
  /** [B, T, H, V] */
  readonly v2: Tensor<'B T H V'>;
  /** [B, T, H], in -inf..0 */
  readonly g: Tensor<'B T H'>;
  /** [B, T, H], in 0..2 */
  readonly beta1: Tensor<'B T H'>;
  /** [B, T, H], in 0..2 */
  readonly beta2: Tensor<'B T H'>;
}

/** The memory after the last token of every sequence. */
export interface DeltaProductState {
  /** [N, H, K, V] in f32 */
  readonly S: Tensor<'N H K V'>;
}

/** What a call may be given besides. */
export interface DeltaProductOptions {
  /** Initial states; zeros if left out. */
  readonly state?: Partial<DeltaProductState>;
  /** Packed sequences: N + 1 offsets of tokens; the batch is 1 then. */
  readonly cuSeqlens?: ArrayLike<number>;
}

/** What `forward` gives. */
export interface DeltaProductResult {
  /** [B, T, H, V] */
  readonly o: Tensor<'B T H V'>;
  /** States after the last token. */
  readonly state: DeltaProductState;
  /** With `keep`, what `backward` may take instead of computing it again; undefined where kernels leave nothing. */
  readonly kept: Kept | undefined;
}

/** Cotangents of what `forward` gives; zeros where left out. */
export interface DeltaProductGrads {
  /** [B, T, H, V] */
  readonly o?: Tensor<'B T H V'>;
  /** Cotangents of the final states. */
  readonly state?: Partial<DeltaProductState>;
}

/** What `backward` gives: the gradient of every input, parameter and initial state. */
export interface DeltaProductGradients {
  /** [B, T, H, K] */
  readonly q: Tensor<'B T H K'>;
  /** [B, T, H, K] */
  readonly k1: Tensor<'B T H K'>;
  /** [B, T, H, K] */
  readonly k2: Tensor<'B T H K'>;
  /** [B, T, H, V] */
  readonly v1: Tensor<'B T H V'>;
  /** [B, T, H, V] */
  readonly v2: Tensor<'B T H V'>;
  /** [B, T, H] */
  readonly g: Tensor<'B T H'>;
  /** [B, T, H] */
  readonly beta1: Tensor<'B T H'>;
  /** [B, T, H] */
  readonly beta2: Tensor<'B T H'>;
  /** Gradients of the initial states. */
  readonly state: DeltaProductState;
}

/** Inputs of a single token. */
export interface DeltaProductStepInputs {
  /** [B, H, K] */
  readonly q: Tensor<'B H K'>;
  /** [B, H, K] */
  readonly k1: Tensor<'B H K'>;
  /** [B, H, K] */
  readonly k2: Tensor<'B H K'>;
  /** [B, H, V] */
  readonly v1: Tensor<'B H V'>;
  /** [B, H, V] */
  readonly v2: Tensor<'B H V'>;
  /** [B, H], in -inf..0 */
  readonly g: Tensor<'B H'>;
  /** [B, H], in 0..2 */
  readonly beta1: Tensor<'B H'>;
  /** [B, H], in 0..2 */
  readonly beta2: Tensor<'B H'>;
}

/** What `step` gives. */
export interface DeltaProductStepResult {
  /** [B, H, V] */
  readonly o: Tensor<'B H V'>;
  /** The next state. */
  readonly state: DeltaProductState;
}

/**
 * Gated DeltaProduct with two factors: one decay, then two delta steps per token.
 * Siems et al. 2025, "DeltaProduct: Improving State-Tracking in Linear RNNs via Householder Products", arXiv:2502.10297.
 *
 * Results stay on the device until `readFloats` fetches them.
 */
export interface DeltaProduct {
  /** The axes of every tensor. */
  readonly shapes: typeof shapes;
  /** The element types that the loaded kernels read, for `upload`. */
  readonly dtypes: Readonly<Record<string, ElementType>>;
  /** Runs the scan over all tokens. */
  forward(inputs: DeltaProductInputs, options?: DeltaProductOptions & Keeping): Promise<DeltaProductResult>;
  /** Gradients, from the inputs alone: what forward computed is computed again, but for what it is given as `kept`. */
  backward(inputs: DeltaProductInputs, grads: DeltaProductGrads, options?: DeltaProductOptions & Keeps): Promise<DeltaProductGradients>;
  /** One token for every sequence: decoding. */
  step(state: DeltaProductState, inputs: DeltaProductStepInputs): Promise<DeltaProductStepResult>;
  /** Gives the kernels and their workspace back. */
  release(): void;
}

/** Loads the kernels of `delta_product` for the runtime's device. `read` gives the files of this folder; by default they are read from beside this module. */
export async function load(runtime: Runtime, read: ReadFile = filesBeside(import.meta.url)): Promise<DeltaProduct> {
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
      return { q: results.take('d_q', 'B T H K'), k1: results.take('d_k1', 'B T H K'), k2: results.take('d_k2', 'B T H K'), v1: results.take('d_v1', 'B T H V'), v2: results.take('d_v2', 'B T H V'), g: results.take('d_g', 'B T H'), beta1: results.take('d_beta1', 'B T H'), beta2: results.take('d_beta2', 'B T H'), state: { S: results.take('d_S', 'N H K V') } };
    },
    async step(state, inputs) {
      const results = await scan.step(state, inputs);
      return { o: results.take('o', 'B H V'), state: { S: results.take('S', 'N H K V') } };
    },
    release: () => scan.release(),
  };
}
