// Made by lmoec 0.1.0; changes will be lost.
// source: sha256 17384b11a8d5c8c1c58f9a041c6dfa37070ddcd18ac2980abb17ee5120ce3c27
// command: lmoec build mlstm.lmoe
import type { ElementType, Runtime } from 'lmoec/runtime';
import type { ReadFile, Tensor } from 'lmoec/bindings';
import { openScan } from 'lmoec/bindings';
import { filesBeside } from 'lmoec/files';
/** Folders of what was built: target and dtype. */
export const plans = ['cuda.sm80.bf16', 'cuda.sm90.bf16', 'webgpu.f32'] as const;
/** The sizes of axes that the kernels are made for. */
export const sizes = { K: 64, V: 64 } as const;
/** The axes of every tensor, in memory order. */
export const shapes = { q: 'B T H K', k: 'B T H K', v: 'B T H V', i: 'B T H', f: 'B T H', C: 'N H K V', n: 'N H K', o: 'B T H V' } as const;

/** What a call takes: inputs, one value per token, and parameters. */
export interface MlstmInputs {
  /** [B, T, H, K] */
  readonly q: Tensor<'B T H K'>;
  /** [B, T, H, K] */
  readonly k: Tensor<'B T H K'>;
  /** [B, T, H, V] */
  readonly v: Tensor<'B T H V'>;
  /** [B, T, H] */
  readonly i: Tensor<'B T H'>;
  /** [B, T, H] */
  readonly f: Tensor<'B T H'>;
}

/** The memory after the last token of every sequence. */
export interface MlstmState {
  /** [N, H, K, V] in f32 */
  readonly C: Tensor<'N H K V'>;
  /** [N, H, K] in f32 */
  readonly n: Tensor<'N H K'>;
}

/** What a call may be given besides. */
export interface MlstmOptions {
  /** Initial states; zeros if left out. */
  readonly state?: Partial<MlstmState>;
  /** Packed sequences: N + 1 offsets of tokens; the batch is 1 then. */
  readonly cuSeqlens?: ArrayLike<number>;
}

/** What `forward` gives. */
export interface MlstmResult {
  /** [B, T, H, V] */
  readonly o: Tensor<'B T H V'>;
  /** States after the last token. */
  readonly state: MlstmState;
}

/** Cotangents of what `forward` gives; zeros where left out. */
export interface MlstmGrads {
  /** [B, T, H, V] */
  readonly o?: Tensor<'B T H V'>;
  /** Cotangents of the final states. */
  readonly state?: Partial<MlstmState>;
}

/** What `backward` gives: the gradient of every input, parameter and initial state. */
export interface MlstmGradients {
  /** [B, T, H, K] */
  readonly q: Tensor<'B T H K'>;
  /** [B, T, H, K] */
  readonly k: Tensor<'B T H K'>;
  /** [B, T, H, V] */
  readonly v: Tensor<'B T H V'>;
  /** [B, T, H] */
  readonly i: Tensor<'B T H'>;
  /** [B, T, H] */
  readonly f: Tensor<'B T H'>;
  /** Gradients of the initial states. */
  readonly state: MlstmState;
}

/** Inputs of a single token. */
export interface MlstmStepInputs {
  /** [B, H, K] */
  readonly q: Tensor<'B H K'>;
  /** [B, H, K] */
  readonly k: Tensor<'B H K'>;
  /** [B, H, V] */
  readonly v: Tensor<'B H V'>;
  /** [B, H] */
  readonly i: Tensor<'B H'>;
  /** [B, H] */
  readonly f: Tensor<'B H'>;
}

/** What `step` gives. */
export interface MlstmStepResult {
  /** [B, H, V] */
  readonly o: Tensor<'B H V'>;
  /** The next state. */
  readonly state: MlstmState;
}

/**
 * mLSTM with sigmoid gates: a matrix memory with a normaliser of its own.
 * Beck et al. 2025, "Tiled Flash Linear Attention: More Efficient Linear RNN and xLSTM Kernels", arXiv:2503.14376.
 *
 * Results stay on the device until `readFloats` fetches them.
 */
export interface Mlstm {
  /** The axes of every tensor. */
  readonly shapes: typeof shapes;
  /** The element types that the loaded kernels read, for `upload`. */
  readonly dtypes: Readonly<Record<string, ElementType>>;
  /** Runs the scan over all tokens. */
  forward(inputs: MlstmInputs, options?: MlstmOptions): Promise<MlstmResult>;
  /** Gradients, from the inputs alone: what forward computed is computed again. */
  backward(inputs: MlstmInputs, grads: MlstmGrads, options?: MlstmOptions): Promise<MlstmGradients>;
  /** One token for every sequence: decoding. */
  step(state: MlstmState, inputs: MlstmStepInputs): Promise<MlstmStepResult>;
  /** Gives the kernels and their workspace back. */
  release(): void;
}

/** Loads the kernels of `mlstm` for the runtime's device. `read` gives the files of this folder; by default they are read from beside this module. */
export async function load(runtime: Runtime, read: ReadFile = filesBeside(import.meta.url)): Promise<Mlstm> {
  const scan = await openScan(runtime, read, plans, sizes);
  return {
    shapes,
    dtypes: scan.dtypes,
    async forward(inputs, options) {
      const results = await scan.forward(inputs, options);
      return { o: results.take('o', 'B T H V'), state: { C: results.take('C', 'N H K V'), n: results.take('n', 'N H K') } };
    },
    async backward(inputs, grads, options) {
      const results = await scan.backward(inputs, grads, options);
      return { q: results.take('d_q', 'B T H K'), k: results.take('d_k', 'B T H K'), v: results.take('d_v', 'B T H V'), i: results.take('d_i', 'B T H'), f: results.take('d_f', 'B T H'), state: { C: results.take('d_C', 'N H K V'), n: results.take('d_n', 'N H K') } };
    },
    async step(state, inputs) {
      const results = await scan.step(state, inputs);
      return { o: results.take('o', 'B H V'), state: { C: results.take('C', 'N H K V'), n: results.take('n', 'N H K') } };
    },
    release: () => scan.release(),
  };
}
