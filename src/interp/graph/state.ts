/** What one node keeps of the tokens so far: for each sequence, rows of its value, and where they are present. */
export interface Kept {
  readonly rows: readonly Float64Array[];
  readonly present: readonly Float64Array[] | undefined;
}

/**
 * What decoding has to keep of the tokens so far, by place: path of the part, indices of the calls in it, node. States of scans are
 * [sequences, heads, ...axes]. `seen` counts the tokens of each sequence, in all and where a part is called on some of them.
 */
export interface GraphState {
  readonly sequences: number;
  readonly seen: ReadonlyMap<string, Int32Array>;
  readonly kept: ReadonlyMap<string, Kept>;
  readonly scans: ReadonlyMap<string, ReadonlyMap<string, Float64Array>>;
}
