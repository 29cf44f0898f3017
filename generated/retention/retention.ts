// Made by lmoec 0.1.0; changes will be lost.
// source: sha256 ab6b86374418fabcbbb591442718144fd993978336f846a5f7592cf7f6cf5683
// command: lmoec build retention.lmoe
import type { ElementType, Runtime } from 'lmoec/runtime';
import type { ReadFile, Tensor } from 'lmoec/bindings';
import { openScan } from 'lmoec/bindings';
import { filesBeside } from 'lmoec/files';
/** Folders of what was built: target and dtype. */
export const plans = ['cuda.sm80.bf16', 'cuda.sm90.bf16', 'webgpu.f32'] as const;
/** The sizes of axes that the kernels are made for. */
export const sizes = { K: 64, V: 64 } as const;
/** The axes of every tensor, in memory order. */
export const shapes = { q: 'B T H K', k: 'B T H K', v: 'B T H V', S: 'N H K V', o: 'B T H V' } as const;

/** What a call takes: inputs, one value per token, and parameters. */
export interface RetentionInputs {
  /** [B, T, H, K] */
  readonly q: Tensor<'B T H K'>;
  /** [B, T, H, K] */
  readonly k: Tensor<'B T H K'>;
  /** [B, T, H, V] */
  readonly v: Tensor<'B T H V'>;
}

/** The memory after the last token of every sequence. */
export interface RetentionState {
  /** [N, H, K, V] in f32 */
  readonly S: Tensor<'N H K V'>;
}

/** What a call may be given besides. */
export interface RetentionOptions {
  /** Initial states; zeros if left out. */
  readonly state?: Partial<RetentionState>;
  /** Packed sequences: N + 1 offsets of tokens; the batch is 1 then. */
  readonly cuSeqlens?: ArrayLike<number>;
}

/** What `forward` gives. */
export interface RetentionResult {
  /** [B, T, H, V] */
  readonly o: Tensor<'B T H V'>;
  /** States after the last token. */
  readonly state: RetentionState;
}

/** Cotangents of what `forward` gives; zeros where left out. */
export interface RetentionGrads {
  /** [B, T, H, V] */
  readonly o?: Tensor<'B T H V'>;
  /** Cotangents of the final states. */
  readonly state?: Partial<RetentionState>;
}

/** What `backward` gives: the gradient of every input, parameter and initial state. */
export interface RetentionGradients {
  /** [B, T, H, K] */
  readonly q: Tensor<'B T H K'>;
  /** [B, T, H, K] */
  readonly k: Tensor<'B T H K'>;
  /** [B, T, H, V] */
  readonly v: Tensor<'B T H V'>;
  /** Gradients of the initial states. */
  readonly state: RetentionState;
}

/** Inputs of a single token. */
export interface RetentionStepInputs {
  /** [B, H, K] */
  readonly q: Tensor<'B H K'>;
  /** [B, H, K] */
  readonly k: Tensor<'B H K'>;
  /** [B, H, V] */
  readonly v: Tensor<'B H V'>;
}

/** What `step` gives. */
export interface RetentionStepResult {
  /** [B, H, V] */
  readonly o: Tensor<'B H V'>;
  /** The next state. */
  readonly state: RetentionState;
}

/**
 * RetNet retention: a constant decay per head.
 * Sun et al. 2023, "Retentive Network: A Successor to Transformer for Large Language Models", arXiv:2307.08621.
 *
 * Results stay on the device until `readFloats` fetches them.
 */
export interface Retention {
  /** The axes of every tensor. */
  readonly shapes: typeof shapes;
  /** The element types that the loaded kernels read, for `upload`. */
  readonly dtypes: Readonly<Record<string, ElementType>>;
  /** Runs the scan over all tokens. */
  forward(inputs: RetentionInputs, options?: RetentionOptions): Promise<RetentionResult>;
  /** Gradients, from the inputs alone: what forward computed is computed again. */
  backward(inputs: RetentionInputs, grads: RetentionGrads, options?: RetentionOptions): Promise<RetentionGradients>;
  /** One token for every sequence: decoding. */
  step(state: RetentionState, inputs: RetentionStepInputs): Promise<RetentionStepResult>;
  /** Gives the kernels and their workspace back. */
  release(): void;
}

/** Loads the kernels of `retention` for the runtime's device. `read` gives the files of this folder; by default they are read from beside this module. */
export async function load(runtime: Runtime, read: ReadFile = filesBeside(import.meta.url)): Promise<Retention> {
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
      return { q: results.take('d_q', 'B T H K'), k: results.take('d_k', 'B T H K'), v: results.take('d_v', 'B T H V'), state: { S: results.take('d_S', 'N H K V') } };
    },
    async step(state, inputs) {
      const results = await scan.step(state, inputs);
      return { o: results.take('o', 'B H V'), state: { S: results.take('S', 'N H K V') } };
    },
    release: () => scan.release(),
  };
}
