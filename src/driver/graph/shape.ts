import type { SignatureTensor } from '../../ir/common/signature.js';

/** The extents of a tensor of a graph in a call. */
export function shapeIn(
  { leading, sizes }: Pick<SignatureTensor, 'leading' | 'sizes'>, { batch, tokens }: { readonly batch: number; readonly tokens: number },
): readonly number[] {
  return [...(leading.length > 0 ? [batch, tokens] : []), ...(sizes ?? [])];
}

export function elementsOf({ sizes }: Pick<SignatureTensor, 'sizes'>): number {
  return (sizes ?? []).reduce((n, size) => n * size, 1);
}
