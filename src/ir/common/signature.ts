import type { Axis } from './axes.js';
import { ANY, type Range } from './range.js';

/** Extents before the user's axes: rows of a batch, tokens, heads, groups that share a head's values, sequences. */
export type Extent = 'B' | 'T' | 'H' | 'G' | 'N';

export type SignatureRole = 'input' | 'param' | 'initial' | 'output' | 'final' | 'cotangent' | 'gradient';

/** One tensor that a declaration takes or gives. */
export interface SignatureTensor {
  /** Its name in a file. */
  readonly name: string;
  readonly role: SignatureRole;
  /** The name of the input, param, state or output it belongs to. */
  readonly of: string;
  readonly leading: readonly Extent[];
  readonly axes: readonly Axis[];
  /** Extents along the axes, where the declaration has them; undefined: a call brings them. */
  readonly sizes: readonly number[] | undefined;
  /**
   * `io`: the dtype of a build, where it has one. undefined: the same, unless a gate is computed from it, which passes find out; f32 then.
   */
  readonly dtype: 'f32' | 'io' | undefined;
  /** The axis whose indices its numbers are; undefined for numbers of other kinds. */
  readonly indices: { readonly name: Axis; readonly size: number } | undefined;
  readonly range: Range;
  /** A param that is updated by a formula, not trained. */
  readonly buffer: boolean;
  /** Made by the compiler: calls may leave it out, and nobody has to know it. */
  readonly hidden: boolean;
}

/** What a declaration takes and gives, whatever its kind, by the names of the file contract (README: files in, files out). */
export interface Declared {
  readonly name: string;
  /** Text of the `///` comment. */
  readonly doc: string;
  readonly axes: readonly { readonly name: Axis; readonly defaultSize: number | undefined }[];
  readonly inputs: readonly SignatureTensor[];
  /** Params and buffers. */
  readonly params: readonly SignatureTensor[];
  /** Initial states: zero if not given. */
  readonly initial: readonly SignatureTensor[];
  readonly outputs: readonly SignatureTensor[];
  /** Final states, in the order of `initial`. */
  readonly finals: readonly SignatureTensor[];
  /** One number each. */
  readonly losses: readonly SignatureTensor[];
  /** Does the formula depend on which head it is, or how many there are? Then some of the heads are another call than all. */
  readonly countsHeads: boolean;
}

export interface Signature extends Declared {
  /** Must be given: inputs and params. */
  readonly required: readonly SignatureTensor[];
  /** Outputs and final states. */
  readonly results: readonly SignatureTensor[];
  /** May be given, to get gradients: `d_NAME` of every result and loss. */
  readonly cotangents: readonly SignatureTensor[];
  /** `d_NAME` of all that is given. */
  readonly gradients: readonly SignatureTensor[];
}

export function makeSignature(declared: Declared): Signature {
  const required = [...declared.inputs, ...declared.params];
  const results = [...declared.outputs, ...declared.finals];
  return {
    ...declared,
    required,
    results,
    cotangents: [...results, ...declared.losses].map((tensor) => derived(tensor, 'cotangent')),
    gradients: [...required, ...declared.initial].map((tensor) => derived(tensor, 'gradient')),
  };
}

function derived(tensor: SignatureTensor, role: 'gradient' | 'cotangent'): SignatureTensor {
  return { ...tensor, role, name: `d_${tensor.name}`, range: ANY, indices: undefined };
}

/** Names of the extents of a tensor, as messages, types and docs list them. */
export function extentsOf({ leading, axes }: Pick<SignatureTensor, 'leading' | 'axes'>): readonly string[] {
  return [...leading, ...axes];
}
