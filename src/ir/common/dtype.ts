/** Element types of input and output tensors; everything accumulates in f32. */
export type IoDtype = 'f32' | 'f16' | 'bf16';

/** Element types of buffers: `io` stands for the IoDtype that a kernel is instantiated with. */
export type BufferDtype = 'io' | 'f32' | 'i32';

export const IO_DTYPES: readonly IoDtype[] = ['f32', 'f16', 'bf16'];

/** Bytes of one element. */
export function bytesOf(dtype: IoDtype | 'i32' | 'f64'): number {
  switch (dtype) {
    case 'f64': return 8;
    case 'f32': case 'i32': return 4;
    case 'f16': case 'bf16': return 2;
  }
}
