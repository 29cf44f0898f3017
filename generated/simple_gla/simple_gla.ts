// Made by lmoec 0.1.0; changes will be lost.
// source: sha256 0f1080ea02cb31e8620d85c973a0284b2d323521f65ace2e1919d6dbbd65921f
// command: lmoec build simple_gla.lmoe
import type { ElementType, Runtime } from 'lmoec/runtime';
import type { ReadFile, Tensor } from 'lmoec/bindings';
import { openScan } from 'lmoec/bindings';
import { filesBeside } from 'lmoec/files';
/** Folders of what was built: target and dtype. */
export const plans = ['cuda.sm80.bf16', 'cuda.sm90.bf16', 'webgpu.f32'] as const;
/** The sizes of axes that the kernels are made for. */
export const sizes = { K: 64, V: 64 } as const;
/** The axes of every tensor, in memory order. */
export const shapes = { q: 'B T H K', k: 'B T H K', v: 'B T H V', g: 'B T H', S: 'N H K V', o: 'B T H V' } as const;

/** What a call takes: inputs, one value per token, and parameters. */
export interface SimpleGlaInputs {
  /** [B, T, H, K] */
  readonly q: Tensor<'B T H K'>;
  /** [B, T, H, K] */
  readonly k: Tensor<'B T H K'>;
  /** [B, T, H, V] */
  readonly v: Tensor<'B T H V'>;
  /** [B, T, H], in -inf..0 */
  readonly g: Tensor<'B T H'>;
}

/** The memory after the last token of every sequence. */
export interface SimpleGlaState {
  /** [N, H, K, V] in f32 */
  readonly S: Tensor<'N H K V'>;
}

/** What a call may be given besides. */
export interface SimpleGlaOptions {
  /** Initial states; zeros if left out. */
  readonly state?: Partial<SimpleGlaState>;
  /** Packed sequences: N + 1 offsets of tokens; the batch is 1 then. */
  readonly cuSeqlens?: ArrayLike<number>;
}

/** What `forward` gives. */
export interface SimpleGlaResult {
  /** [B, T, H, V] */
  readonly o: Tensor<'B T H V'>;
  /** States after the last token. */
  readonly state: SimpleGlaState;
}

/** Cotangents of what `forward` gives; zeros where left out. */
export interface SimpleGlaGrads {
  /** [B, T, H, V] */
  readonly o?: Tensor<'B T H V'>;
  /** Cotangents of the final states. */
  readonly state?: Partial<SimpleGlaState>;
}

/** What `backward` gives: the gradient of every input, parameter and initial state. */
export interface SimpleGlaGradients {
  /** [B, T, H, K] */
  readonly q: Tensor<'B T H K'>;
  /** [B, T, H, K] */
  readonly k: Tensor<'B T H K'>;
  /** [B, T, H, V] */
  readonly v: Tensor<'B T H V'>;
  /** [B, T, H] */
  readonly g: Tensor<'B T H'>;
  /** Gradients of the initial states. */
  readonly state: SimpleGlaState;
}

/** Inputs of a single token. */
export interface SimpleGlaStepInputs {
  /** [B, H, K] */
  readonly q: Tensor<'B H K'>;
  /** [B, H, K] */
  readonly k: Tensor<'B H K'>;
  /** [B, H, V] */
  readonly v: Tensor<'B H V'>;
  /** [B, H], in -inf..0 */
  readonly g: Tensor<'B H'>;
}

/** What `step` gives. */
export interface SimpleGlaStepResult {
  /** [B, H, V] */
  readonly o: Tensor<'B H V'>;
  /** The next state. */
  readonly state: SimpleGlaState;
}

/**
 * Linear attention with one data-dependent decay per head: gated retention, and the core of state space duality.
 * Yang et al. 2023, "Gated Linear Attention Transformers with Hardware-Efficient Training", arXiv:2312.06635, section 4.
 *
 * Results stay on the device until `readFloats` fetches them.
 */
export interface SimpleGla {
  /** The axes of every tensor. */
  readonly shapes: typeof shapes;
  /** The element types that the loaded kernels read, for `upload`. */
  readonly dtypes: Readonly<Record<string, ElementType>>;
  /** Runs the scan over all tokens. */
  forward(inputs: SimpleGlaInputs, options?: SimpleGlaOptions): Promise<SimpleGlaResult>;
  /** Gradients, from the inputs alone: what forward computed is computed again. */
  backward(inputs: SimpleGlaInputs, grads: SimpleGlaGrads, options?: SimpleGlaOptions): Promise<SimpleGlaGradients>;
  /** One token for every sequence: decoding. */
  step(state: SimpleGlaState, inputs: SimpleGlaStepInputs): Promise<SimpleGlaStepResult>;
  /** Gives the kernels and their workspace back. */
  release(): void;
}

/** Loads the kernels of `simple_gla` for the runtime's device. `read` gives the files of this folder; by default they are read from beside this module. */
export async function load(runtime: Runtime, read: ReadFile = filesBeside(import.meta.url)): Promise<SimpleGla> {
  const scan = await openScan(runtime, read, plans, sizes);
  return {
    shapes,
    dtypes: scan.dtypes,
    async forward(inputs, options) {
      const results = await scan.forward(inputs, options);
      return { o: results.take('o', 'B T H V'), state: { S: results.take('S', 'N H K V') } };
    },
    async backward(inputs, grads, options) {
      const results = await scan.backward(inputs, grads, options);
      return { q: results.take('d_q', 'B T H K'), k: results.take('d_k', 'B T H K'), v: results.take('d_v', 'B T H V'), g: results.take('d_g', 'B T H'), state: { S: results.take('d_S', 'N H K V') } };
    },
    async step(state, inputs) {
      const results = await scan.step(state, inputs);
      return { o: results.take('o', 'B H V'), state: { S: results.take('S', 'N H K V') } };
    },
    release: () => scan.release(),
  };
}
