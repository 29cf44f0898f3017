// Made by lmoec 0.1.0; changes will be lost.
// source: sha256 a04e1f4c7ca180010eef3c70e9cdedecfea14dc19b450b2a00f0c39f0771ddd8
// command: lmoec build hgrn.lmoe
import type { ElementType, Runtime } from 'lmoec/runtime';
import type { ReadFile, Tensor } from 'lmoec/bindings';
import { openScan } from 'lmoec/bindings';
import { filesBeside } from 'lmoec/files';
/** Folders of what was built: target and dtype. */
export const plans = ['cuda.sm80.bf16', 'cuda.sm90.bf16', 'webgpu.f32'] as const;
/** The sizes of axes that the kernels are made for. */
export const sizes = { D: 64 } as const;
/** The axes of every tensor, in memory order. */
export const shapes = { x: 'B T H D', g: 'B T H D', h: 'N H D', o: 'B T H D' } as const;

/** What a call takes: inputs, one value per token, and parameters. */
export interface HgrnInputs {
  /** [B, T, H, D] */
  readonly x: Tensor<'B T H D'>;
  /** [B, T, H, D], in -inf..0 */
  readonly g: Tensor<'B T H D'>;
}

/** The memory after the last token of every sequence. */
export interface HgrnState {
  /** [N, H, D] in f32 */
  readonly h: Tensor<'N H D'>;
}

/** What a call may be given besides. */
export interface HgrnOptions {
  /** Initial states; zeros if left out. */
  readonly state?: Partial<HgrnState>;
  /** Packed sequences: N + 1 offsets of tokens; the batch is 1 then. */
  readonly cuSeqlens?: ArrayLike<number>;
}

/** What `forward` gives. */
export interface HgrnResult {
  /** [B, T, H, D] */
  readonly o: Tensor<'B T H D'>;
  /** States after the last token. */
  readonly state: HgrnState;
}

/** Cotangents of what `forward` gives; zeros where left out. */
export interface HgrnGrads {
  /** [B, T, H, D] */
  readonly o?: Tensor<'B T H D'>;
  /** Cotangents of the final states. */
  readonly state?: Partial<HgrnState>;
}

/** What `backward` gives: the gradient of every input, parameter and initial state. */
export interface HgrnGradients {
  /** [B, T, H, D] */
  readonly x: Tensor<'B T H D'>;
  /** [B, T, H, D] */
  readonly g: Tensor<'B T H D'>;
  /** Gradients of the initial states. */
  readonly state: HgrnState;
}

/** Inputs of a single token. */
export interface HgrnStepInputs {
  /** [B, H, D] */
  readonly x: Tensor<'B H D'>;
  /** [B, H, D], in -inf..0 */
  readonly g: Tensor<'B H D'>;
}

/** What `step` gives. */
export interface HgrnStepResult {
  /** [B, H, D] */
  readonly o: Tensor<'B H D'>;
  /** The next state. */
  readonly state: HgrnState;
}

/**
 * HGRN: an elementwise gated recurrence; the layer makes `x` and the log gate `g`.
 * Qin, Yang and Zhong 2023, "Hierarchically Gated Recurrent Neural Network for Sequence Modeling", arXiv:2311.04823.
 *
 * Results stay on the device until `readFloats` fetches them.
 */
export interface Hgrn {
  /** The axes of every tensor. */
  readonly shapes: typeof shapes;
  /** The element types that the loaded kernels read, for `upload`. */
  readonly dtypes: Readonly<Record<string, ElementType>>;
  /** Runs the scan over all tokens. */
  forward(inputs: HgrnInputs, options?: HgrnOptions): Promise<HgrnResult>;
  /** Gradients, from the inputs alone: what forward computed is computed again. */
  backward(inputs: HgrnInputs, grads: HgrnGrads, options?: HgrnOptions): Promise<HgrnGradients>;
  /** One token for every sequence: decoding. */
  step(state: HgrnState, inputs: HgrnStepInputs): Promise<HgrnStepResult>;
  /** Gives the kernels and their workspace back. */
  release(): void;
}

/** Loads the kernels of `hgrn` for the runtime's device. `read` gives the files of this folder; by default they are read from beside this module. */
export async function load(runtime: Runtime, read: ReadFile = filesBeside(import.meta.url)): Promise<Hgrn> {
  const scan = await openScan(runtime, read, plans, sizes);
  return {
    shapes,
    dtypes: scan.dtypes,
    async forward(inputs, options) {
      const results = await scan.forward(inputs, options);
      return { o: results.take('o', 'B T H D'), state: { h: results.take('h', 'N H D') } };
    },
    async backward(inputs, grads, options) {
      const results = await scan.backward(inputs, grads, options);
      return { x: results.take('d_x', 'B T H D'), g: results.take('d_g', 'B T H D'), state: { h: results.take('d_h', 'N H D') } };
    },
    async step(state, inputs) {
      const results = await scan.step(state, inputs);
      return { o: results.take('o', 'B H D'), state: { h: results.take('h', 'N H D') } };
    },
    release: () => scan.release(),
  };
}
