// Made by lmoec 0.1.0; changes will be lost.
// source: sha256 b62ec0e91fe5c523f463eb325c234acbf6ef1601b4842b983712c080e71fa5f9
// command: lmoec build kda.lmoe
import type { ElementType, Runtime } from 'lmoec/runtime';
import type { Keeping, Keeps, Kept, ReadFile, Tensor } from 'lmoec/bindings';
import { openScan } from 'lmoec/bindings';
import { filesBeside } from 'lmoec/files';
/** Folders of what was built: target and dtype. */
export const plans = ['cuda.sm80.bf16', 'cuda.sm90.bf16', 'webgpu.f32'] as const;
/** The sizes of axes that the kernels are made for. */
export const sizes = { K: 64, V: 64 } as const;
/** The axes of every tensor, in memory order. */
export const shapes = { q: 'B T G K', k: 'B T G K', v: 'B T H V', g: 'B T H K', beta: 'B T H', S: 'N H K V', o: 'B T H V' } as const;

/** What a call takes: inputs, one value per token, and parameters. */
export interface KdaInputs {
  /** [B, T, G, K] */
  readonly q: Tensor<'B T G K'>;
  /** [B, T, G, K] */
  readonly k: Tensor<'B T G K'>;
  /** [B, T, H, V] */
  readonly v: Tensor<'B T H V'>;
  /** [B, T, H, K], in -5..0 */
  readonly g: Tensor<'B T H K'>;
  /** [B, T, H], in 0..1 */
  readonly beta: Tensor<'B T H'>;
}

/** The memory after the last token of every sequence. */
export interface KdaState {
  /** [N, H, K, V] in f32 */
  readonly S: Tensor<'N H K V'>;
}

/** What a call may be given besides. */
export interface KdaOptions {
  /** Initial states; zeros if left out. */
  readonly state?: Partial<KdaState>;
  /** Packed sequences: N + 1 offsets of tokens; the batch is 1 then. */
  readonly cuSeqlens?: ArrayLike<number>;
}

/** What `forward` gives. */
export interface KdaResult {
  /** [B, T, H, V] */
  readonly o: Tensor<'B T H V'>;
  /** States after the last token. */
  readonly state: KdaState;
  /** With `keep`, what `backward` may take instead of computing it again; undefined where kernels leave nothing. */
  readonly kept: Kept | undefined;
}

/** Cotangents of what `forward` gives; zeros where left out. */
export interface KdaGrads {
  /** [B, T, H, V] */
  readonly o?: Tensor<'B T H V'>;
  /** Cotangents of the final states. */
  readonly state?: Partial<KdaState>;
}

/** What `backward` gives: the gradient of every input, parameter and initial state. */
export interface KdaGradients {
  /** [B, T, G, K] */
  readonly q: Tensor<'B T G K'>;
  /** [B, T, G, K] */
  readonly k: Tensor<'B T G K'>;
  /** [B, T, H, V] */
  readonly v: Tensor<'B T H V'>;
  /** [B, T, H, K] */
  readonly g: Tensor<'B T H K'>;
  /** [B, T, H] */
  readonly beta: Tensor<'B T H'>;
  /** Gradients of the initial states. */
  readonly state: KdaState;
}

/** Inputs of a single token. */
export interface KdaStepInputs {
  /** [B, G, K] */
  readonly q: Tensor<'B G K'>;
  /** [B, G, K] */
  readonly k: Tensor<'B G K'>;
  /** [B, H, V] */
  readonly v: Tensor<'B H V'>;
  /** [B, H, K], in -5..0 */
  readonly g: Tensor<'B H K'>;
  /** [B, H], in 0..1 */
  readonly beta: Tensor<'B H'>;
}

/** What `step` gives. */
export interface KdaStepResult {
  /** [B, H, V] */
  readonly o: Tensor<'B H V'>;
  /** The next state. */
  readonly state: KdaState;
}

/**
 * Kimi Delta Attention: the gated delta rule with a decay of its own for every key channel, bounded below.
 * Kimi Team 2025, "Kimi Linear: An Expressive, Efficient Attention Architecture", arXiv:2510.26692.
 *
 * Results stay on the device until `readFloats` fetches them.
 */
export interface Kda {
  /** The axes of every tensor. */
  readonly shapes: typeof shapes;
  /** The element types that the loaded kernels read, for `upload`. */
  readonly dtypes: Readonly<Record<string, ElementType>>;
  /** Runs the scan over all tokens. */
  forward(inputs: KdaInputs, options?: KdaOptions & Keeping): Promise<KdaResult>;
  /** Gradients, from the inputs alone: what forward computed is computed again, but for what it is given as `kept`. */
  backward(inputs: KdaInputs, grads: KdaGrads, options?: KdaOptions & Keeps): Promise<KdaGradients>;
  /** One token for every sequence: decoding. */
  step(state: KdaState, inputs: KdaStepInputs): Promise<KdaStepResult>;
  /** Gives the kernels and their workspace back. */
  release(): void;
}

/** Loads the kernels of `kda` for the runtime's device. `read` gives the files of this folder; by default they are read from beside this module. */
export async function load(runtime: Runtime, read: ReadFile = filesBeside(import.meta.url)): Promise<Kda> {
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
      return { q: results.take('d_q', 'B T G K'), k: results.take('d_k', 'B T G K'), v: results.take('d_v', 'B T H V'), g: results.take('d_g', 'B T H K'), beta: results.take('d_beta', 'B T H'), state: { S: results.take('d_S', 'N H K V') } };
    },
    async step(state, inputs) {
      const results = await scan.step(state, inputs);
      return { o: results.take('o', 'B H V'), state: { S: results.take('S', 'N H K V') } };
    },
    release: () => scan.release(),
  };
}
