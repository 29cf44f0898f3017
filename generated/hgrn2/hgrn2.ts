// Made by lmoec 0.1.0; changes will be lost.
// source: sha256 f66c4b2bdcc69873200462b8b6fd169599e919eb109df0ebf4facfaa07ede84b
// command: lmoec build hgrn2.lmoe
import type { ElementType, Runtime } from 'lmoec/runtime';
import type { Keeping, Keeps, Kept, ReadFile, Tensor } from 'lmoec/bindings';
import { openScan } from 'lmoec/bindings';
import { filesBeside } from 'lmoec/files';
/** Folders of what was built: target and dtype. */
export const plans = ['cuda.sm80.bf16', 'cuda.sm90.bf16', 'webgpu.f32'] as const;
/** The sizes of axes that the kernels are made for. */
export const sizes = { K: 64, V: 64 } as const;
/** The axes of every tensor, in memory order. */
export const shapes = { q: 'B T H K', v: 'B T H V', g: 'B T H K', S: 'N H K V', o: 'B T H V' } as const;

/** What a call takes: inputs, one value per token, and parameters. */
export interface Hgrn2Inputs {
  /** [B, T, H, K] */
  readonly q: Tensor<'B T H K'>;
  /** [B, T, H, V] */
  readonly v: Tensor<'B T H V'>;
  /** [B, T, H, K], in -inf..0 */
  readonly g: Tensor<'B T H K'>;
}

/** The memory after the last token of every sequence. */
export interface Hgrn2State {
  /** [N, H, K, V] in f32 */
  readonly S: Tensor<'N H K V'>;
}

/** What a call may be given besides. */
export interface Hgrn2Options {
  /** Initial states; zeros if left out. */
  readonly state?: Partial<Hgrn2State>;
  /** Packed sequences: N + 1 offsets of tokens; the batch is 1 then. */
  readonly cuSeqlens?: ArrayLike<number>;
}

/** What `forward` gives. */
export interface Hgrn2Result {
  /** [B, T, H, V] */
  readonly o: Tensor<'B T H V'>;
  /** States after the last token. */
  readonly state: Hgrn2State;
  /** With `keep`, what `backward` may take instead of computing it again; undefined where kernels leave nothing. */
  readonly kept: Kept | undefined;
}

/** Cotangents of what `forward` gives; zeros where left out. */
export interface Hgrn2Grads {
  /** [B, T, H, V] */
  readonly o?: Tensor<'B T H V'>;
  /** Cotangents of the final states. */
  readonly state?: Partial<Hgrn2State>;
}

/** What `backward` gives: the gradient of every input, parameter and initial state. */
export interface Hgrn2Gradients {
  /** [B, T, H, K] */
  readonly q: Tensor<'B T H K'>;
  /** [B, T, H, V] */
  readonly v: Tensor<'B T H V'>;
  /** [B, T, H, K] */
  readonly g: Tensor<'B T H K'>;
  /** Gradients of the initial states. */
  readonly state: Hgrn2State;
}

/** Inputs of a single token. */
export interface Hgrn2StepInputs {
  /** [B, H, K] */
  readonly q: Tensor<'B H K'>;
  /** [B, H, V] */
  readonly v: Tensor<'B H V'>;
  /** [B, H, K], in -inf..0 */
  readonly g: Tensor<'B H K'>;
}

/** What `step` gives. */
export interface Hgrn2StepResult {
  /** [B, H, V] */
  readonly o: Tensor<'B H V'>;
  /** The next state. */
  readonly state: Hgrn2State;
}

/**
 * HGRN2: gated linear attention whose key is what the gate forgets.
 * Qin et al. 2024, "HGRN2: Gated Linear RNNs with State Expansion", arXiv:2404.07904.
 *
 * Results stay on the device until `readFloats` fetches them.
 */
export interface Hgrn2 {
  /** The axes of every tensor. */
  readonly shapes: typeof shapes;
  /** The element types that the loaded kernels read, for `upload`. */
  readonly dtypes: Readonly<Record<string, ElementType>>;
  /** Runs the scan over all tokens. */
  forward(inputs: Hgrn2Inputs, options?: Hgrn2Options & Keeping): Promise<Hgrn2Result>;
  /** Gradients, from the inputs alone: what forward computed is computed again, but for what it is given as `kept`. */
  backward(inputs: Hgrn2Inputs, grads: Hgrn2Grads, options?: Hgrn2Options & Keeps): Promise<Hgrn2Gradients>;
  /** One token for every sequence: decoding. */
  step(state: Hgrn2State, inputs: Hgrn2StepInputs): Promise<Hgrn2StepResult>;
  /** Gives the kernels and their workspace back. */
  release(): void;
}

/** Loads the kernels of `hgrn2` for the runtime's device. `read` gives the files of this folder; by default they are read from beside this module. */
export async function load(runtime: Runtime, read: ReadFile = filesBeside(import.meta.url)): Promise<Hgrn2> {
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
      return { q: results.take('d_q', 'B T H K'), v: results.take('d_v', 'B T H V'), g: results.take('d_g', 'B T H K'), state: { S: results.take('d_S', 'N H K V') } };
    },
    async step(state, inputs) {
      const results = await scan.step(state, inputs);
      return { o: results.take('o', 'B H V'), state: { S: results.take('S', 'N H K V') } };
    },
    release: () => scan.release(),
  };
}
