// Made by lmoec 0.1.0; changes will be lost.
// source: sha256 77bb6c8bb33a1652e269ea9b26950c2b191f46b7ff6239891f09b8b858f6a581
// command: lmoec build rg_lru.lmoe
import type { ElementType, Runtime } from 'lmoec/runtime';
import type { ReadFile, Tensor } from 'lmoec/bindings';
import { openScan } from 'lmoec/bindings';
import { filesBeside } from 'lmoec/files';
/** Folders of what was built: target and dtype. */
export const plans = ['cuda.sm80.bf16', 'cuda.sm90.bf16', 'webgpu.f32'] as const;
/** The sizes of axes that the kernels are made for. */
export const sizes = { D: 64 } as const;
/** The axes of every tensor, in memory order. */
export const shapes = { x: 'B T H D', r: 'B T H D', i: 'B T H D', lam: 'H D', h: 'N H D', o: 'B T H D' } as const;

/** What a call takes: inputs, one value per token, and parameters. */
export interface RgLruInputs {
  /** [B, T, H, D] */
  readonly x: Tensor<'B T H D'>;
  /** [B, T, H, D] */
  readonly r: Tensor<'B T H D'>;
  /** [B, T, H, D] */
  readonly i: Tensor<'B T H D'>;
  /** Parameter [H, D] */
  readonly lam: Tensor<'H D'>;
}

/** The memory after the last token of every sequence. */
export interface RgLruState {
  /** [N, H, D] in f32 */
  readonly h: Tensor<'N H D'>;
}

/** What a call may be given besides. */
export interface RgLruOptions {
  /** Initial states; zeros if left out. */
  readonly state?: Partial<RgLruState>;
  /** Packed sequences: N + 1 offsets of tokens; the batch is 1 then. */
  readonly cuSeqlens?: ArrayLike<number>;
}

/** What `forward` gives. */
export interface RgLruResult {
  /** [B, T, H, D] */
  readonly o: Tensor<'B T H D'>;
  /** States after the last token. */
  readonly state: RgLruState;
}

/** Cotangents of what `forward` gives; zeros where left out. */
export interface RgLruGrads {
  /** [B, T, H, D] */
  readonly o?: Tensor<'B T H D'>;
  /** Cotangents of the final states. */
  readonly state?: Partial<RgLruState>;
}

/** What `backward` gives: the gradient of every input, parameter and initial state. */
export interface RgLruGradients {
  /** [B, T, H, D] */
  readonly x: Tensor<'B T H D'>;
  /** [B, T, H, D] */
  readonly r: Tensor<'B T H D'>;
  /** [B, T, H, D] */
  readonly i: Tensor<'B T H D'>;
  /** Parameter [H, D] */
  readonly lam: Tensor<'H D'>;
  /** Gradients of the initial states. */
  readonly state: RgLruState;
}

/** Inputs of a single token. */
export interface RgLruStepInputs {
  /** [B, H, D] */
  readonly x: Tensor<'B H D'>;
  /** [B, H, D] */
  readonly r: Tensor<'B H D'>;
  /** [B, H, D] */
  readonly i: Tensor<'B H D'>;
  /** Parameter [H, D] */
  readonly lam: Tensor<'H D'>;
}

/** What `step` gives. */
export interface RgLruStepResult {
  /** [B, H, D] */
  readonly o: Tensor<'B H D'>;
  /** The next state. */
  readonly state: RgLruState;
}

/**
 * The real-gated linear recurrent unit of Griffin and Hawk.
 * De et al. 2024, "Griffin: Mixing Gated Linear Recurrences with Local Attention for Efficient Language Models", arXiv:2402.19427.
 *
 * Results stay on the device until `readFloats` fetches them.
 */
export interface RgLru {
  /** The axes of every tensor. */
  readonly shapes: typeof shapes;
  /** The element types that the loaded kernels read, for `upload`. */
  readonly dtypes: Readonly<Record<string, ElementType>>;
  /** Runs the scan over all tokens. */
  forward(inputs: RgLruInputs, options?: RgLruOptions): Promise<RgLruResult>;
  /** Gradients, from the inputs alone: what forward computed is computed again. */
  backward(inputs: RgLruInputs, grads: RgLruGrads, options?: RgLruOptions): Promise<RgLruGradients>;
  /** One token for every sequence: decoding. */
  step(state: RgLruState, inputs: RgLruStepInputs): Promise<RgLruStepResult>;
  /** Gives the kernels and their workspace back. */
  release(): void;
}

/** Loads the kernels of `rg_lru` for the runtime's device. `read` gives the files of this folder; by default they are read from beside this module. */
export async function load(runtime: Runtime, read: ReadFile = filesBeside(import.meta.url)): Promise<RgLru> {
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
      return { x: results.take('d_x', 'B T H D'), r: results.take('d_r', 'B T H D'), i: results.take('d_i', 'B T H D'), lam: results.take('d_lam', 'H D'), state: { h: results.take('d_h', 'N H D') } };
    },
    async step(state, inputs) {
      const results = await scan.step(state, inputs);
      return { o: results.take('o', 'B H D'), state: { h: results.take('h', 'N H D') } };
    },
    release: () => scan.release(),
  };
}
