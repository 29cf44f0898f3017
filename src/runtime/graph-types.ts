import type { Tensor } from './tensors.js';

/** What a binding says of its declaration: tensors by name or path. */
export interface GraphTypes {
  readonly params: object;
  readonly buffers: object;
  readonly inputs: object;
  readonly outputs: object;
  readonly losses: object;
  /** One token of every sequence. */
  readonly stepInputs: object;
  readonly stepOutputs: object;
}

/** Tensors by name. */
export type Named = Readonly<Record<string, Tensor<string>>>;

/** All that is known of types where bindings are opened: names and axes come from the declaration. */
export interface Untyped extends GraphTypes {
  readonly params: Named;
  readonly buffers: Named;
  readonly inputs: Named;
  readonly outputs: Named;
  readonly losses: Readonly<Record<string, number>>;
  readonly stepInputs: Named;
  readonly stepOutputs: Named;
}
