// Made by lmoec 0.1.0; changes will be lost.
// source: sha256 51662da26c3d743e01738d7a7275594e512e571193f064d1f35aac0d44ba0dc3
// command: lmoec build mamba2.lmoe
import type { ElementType, Runtime } from 'lmoec/runtime';
import type { ReadFile, Tensor } from 'lmoec/bindings';
import { openScan } from 'lmoec/bindings';
import { filesBeside } from 'lmoec/files';
/** Folders of what was built: target and dtype. */
export const plans = ['cuda.sm80.bf16', 'cuda.sm90.bf16', 'webgpu.f32'] as const;
/** The sizes of axes that the kernels are made for. */
export const sizes = { P: 64, N: 64 } as const;
/** The axes of every tensor, in memory order. */
export const shapes = { x: 'B T H P', dt: 'B T H', B: 'B T G N', C: 'B T G N', A_log: 'H', dt_bias: 'H', D: 'H', h: 'N H N P', o: 'B T H P' } as const;

/** What a call takes: inputs, one value per token, and parameters. */
export interface Mamba2Inputs {
  /** [B, T, H, P] */
  readonly x: Tensor<'B T H P'>;
  /** [B, T, H] */
  readonly dt: Tensor<'B T H'>;
  /** [B, T, G, N] */
  readonly B: Tensor<'B T G N'>;
  /** [B, T, G, N] */
  readonly C: Tensor<'B T G N'>;
  /** Parameter [H] */
  readonly A_log: Tensor<'H'>;
  /** Parameter [H] */
  readonly dt_bias: Tensor<'H'>;
  /** Parameter [H] */
  readonly D: Tensor<'H'>;
}

/** The memory after the last token of every sequence. */
export interface Mamba2State {
  /** [N, H, N, P] in f32 */
  readonly h: Tensor<'N H N P'>;
}

/** What a call may be given besides. */
export interface Mamba2Options {
  /** Initial states; zeros if left out. */
  readonly state?: Partial<Mamba2State>;
  /** Packed sequences: N + 1 offsets of tokens; the batch is 1 then. */
  readonly cuSeqlens?: ArrayLike<number>;
}

/** What `forward` gives. */
export interface Mamba2Result {
  /** [B, T, H, P] */
  readonly o: Tensor<'B T H P'>;
  /** States after the last token. */
  readonly state: Mamba2State;
}

/** Cotangents of what `forward` gives; zeros where left out. */
export interface Mamba2Grads {
  /** [B, T, H, P] */
  readonly o?: Tensor<'B T H P'>;
  /** Cotangents of the final states. */
  readonly state?: Partial<Mamba2State>;
}

/** What `backward` gives: the gradient of every input, parameter and initial state. */
export interface Mamba2Gradients {
  /** [B, T, H, P] */
  readonly x: Tensor<'B T H P'>;
  /** [B, T, H] */
  readonly dt: Tensor<'B T H'>;
  /** [B, T, G, N] */
  readonly B: Tensor<'B T G N'>;
  /** [B, T, G, N] */
  readonly C: Tensor<'B T G N'>;
  /** Parameter [H] */
  readonly A_log: Tensor<'H'>;
  /** Parameter [H] */
  readonly dt_bias: Tensor<'H'>;
  /** Parameter [H] */
  readonly D: Tensor<'H'>;
  /** Gradients of the initial states. */
  readonly state: Mamba2State;
}

/** Inputs of a single token. */
export interface Mamba2StepInputs {
  /** [B, H, P] */
  readonly x: Tensor<'B H P'>;
  /** [B, H] */
  readonly dt: Tensor<'B H'>;
  /** [B, G, N] */
  readonly B: Tensor<'B G N'>;
  /** [B, G, N] */
  readonly C: Tensor<'B G N'>;
  /** Parameter [H] */
  readonly A_log: Tensor<'H'>;
  /** Parameter [H] */
  readonly dt_bias: Tensor<'H'>;
  /** Parameter [H] */
  readonly D: Tensor<'H'>;
}

/** What `step` gives. */
export interface Mamba2StepResult {
  /** [B, H, P] */
  readonly o: Tensor<'B H P'>;
  /** The next state. */
  readonly state: Mamba2State;
}

/**
 * Mamba-2 (SSD): the step size discretises a scalar A; B and C are shared within a group of heads; D skips the state.
 * Dao and Gu 2024, "Transformers are SSMs: Generalized Models and Efficient Algorithms Through Structured State Space Duality", arXiv:2405.21060.
 *
 * Results stay on the device until `readFloats` fetches them.
 */
export interface Mamba2 {
  /** The axes of every tensor. */
  readonly shapes: typeof shapes;
  /** The element types that the loaded kernels read, for `upload`. */
  readonly dtypes: Readonly<Record<string, ElementType>>;
  /** Runs the scan over all tokens. */
  forward(inputs: Mamba2Inputs, options?: Mamba2Options): Promise<Mamba2Result>;
  /** Gradients, from the inputs alone: what forward computed is computed again. */
  backward(inputs: Mamba2Inputs, grads: Mamba2Grads, options?: Mamba2Options): Promise<Mamba2Gradients>;
  /** One token for every sequence: decoding. */
  step(state: Mamba2State, inputs: Mamba2StepInputs): Promise<Mamba2StepResult>;
  /** Gives the kernels and their workspace back. */
  release(): void;
}

/** Loads the kernels of `mamba2` for the runtime's device. `read` gives the files of this folder; by default they are read from beside this module. */
export async function load(runtime: Runtime, read: ReadFile = filesBeside(import.meta.url)): Promise<Mamba2> {
  const scan = await openScan(runtime, read, plans, sizes);
  return {
    shapes,
    dtypes: scan.dtypes,
    async forward(inputs, options) {
      const results = await scan.forward(inputs, options);
      return { o: results.take('o', 'B T H P'), state: { h: results.take('h', 'N H N P') } };
    },
    async backward(inputs, grads, options) {
      const results = await scan.backward(inputs, grads, options);
      return { x: results.take('d_x', 'B T H P'), dt: results.take('d_dt', 'B T H'), B: results.take('d_B', 'B T G N'), C: results.take('d_C', 'B T G N'), A_log: results.take('d_A_log', 'H'), dt_bias: results.take('d_dt_bias', 'H'), D: results.take('d_D', 'H'), state: { h: results.take('d_h', 'N H N P') } };
    },
    async step(state, inputs) {
      const results = await scan.step(state, inputs);
      return { o: results.take('o', 'B H P'), state: { h: results.take('h', 'N H N P') } };
    },
    release: () => scan.release(),
  };
}
