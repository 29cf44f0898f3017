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
