// Made by lmoec 0.1.0; changes will be lost.
// source: sha256 2a7dd5a5790b453da01a5145016bf7b676d09d79048eed8a05cc24465387a54d
// command: lmoec build lightning.lmoe
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
export interface LightningInputs {
  /** [B, T, H, K] */
  readonly q: Tensor<'B T H K'>;
  /** [B, T, H, K] */
  readonly k: Tensor<'B T H K'>;
  /** [B, T, H, V] */
  readonly v: Tensor<'B T H V'>;
}

/** The memory after the last token of every sequence. */
export interface LightningState {
  /** [N, H, K, V] in f32 */
  readonly S: Tensor<'N H K V'>;
}

/** What a call may be given besides. */
export interface LightningOptions {
  /** Initial states; zeros if left out. */
  readonly state?: Partial<LightningState>;
  /** Packed sequences: N + 1 offsets of tokens; the batch is 1 then. */
  readonly cuSeqlens?: ArrayLike<number>;
}

/** What `forward` gives. */
export interface LightningResult {
  /** [B, T, H, V] */
  readonly o: Tensor<'B T H V'>;
  /** States after the last token. */
  readonly state: LightningState;
}

/** Cotangents of what `forward` gives; zeros where left out. */
export interface LightningGrads {
  /** [B, T, H, V] */
  readonly o?: Tensor<'B T H V'>;
  /** Cotangents of the final states. */
  readonly state?: Partial<LightningState>;
}

/** What `backward` gives: the gradient of every input, parameter and initial state. */
export interface LightningGradients {
  /** [B, T, H, K] */
  readonly q: Tensor<'B T H K'>;
  /** [B, T, H, K] */
  readonly k: Tensor<'B T H K'>;
  /** [B, T, H, V] */
  readonly v: Tensor<'B T H V'>;
  /** Gradients of the initial states. */
  readonly state: LightningState;
}

/** Inputs of a single token. */
export interface LightningStepInputs {
  /** [B, H, K] */
  readonly q: Tensor<'B H K'>;
  /** [B, H, K] */
  readonly k: Tensor<'B H K'>;
  /** [B, H, V] */
  readonly v: Tensor<'B H V'>;
}

/** What `step` gives. */
export interface LightningStepResult {
  /** [B, H, V] */
  readonly o: Tensor<'B H V'>;
  /** The next state. */
  readonly state: LightningState;
}

/**
 * Lightning attention: a constant decay with slopes as in ALiBi, and no scale.
 * Qin et al. 2024, "Lightning Attention-2: A Free Lunch for Handling Unlimited Sequence Lengths in Large Language Models", arXiv:2401.04658.
 *
 * Results stay on the device until `readFloats` fetches them.
 */
export interface Lightning {
  /** The axes of every tensor. */
  readonly shapes: typeof shapes;
  /** The element types that the loaded kernels read, for `upload`. */
  readonly dtypes: Readonly<Record<string, ElementType>>;
  /** Runs the scan over all tokens. */
  forward(inputs: LightningInputs, options?: LightningOptions): Promise<LightningResult>;
  /** Gradients, from the inputs alone: what forward computed is computed again. */
  backward(inputs: LightningInputs, grads: LightningGrads, options?: LightningOptions): Promise<LightningGradients>;
  /** One token for every sequence: decoding. */
  step(state: LightningState, inputs: LightningStepInputs): Promise<LightningStepResult>;
  /** Gives the kernels and their workspace back. */
  release(): void;
}

/** Loads the kernels of `lightning` for the runtime's device. `read` gives the files of this folder; by default they are read from beside this module. */
export async function load(runtime: Runtime, read: ReadFile = filesBeside(import.meta.url)): Promise<Lightning> {
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
