/** Why a lowering does not take a kernel: the plan says it of kernels that had to do with a plainer one. */
export interface Refused {
  readonly kind: 'refused';
  readonly why: string;
  /** Only for want of shared memory: another way to make the kernel may do. */
  readonly crowded?: true;
}

/** How the reason ends why a kernel has no tensor cores, where it is for want of shared memory. */
export const OF_MEMORY = ' bytes of shared memory';

export const refused = (why: string): Refused => ({ kind: 'refused', why });

/** There is no room for so many bytes. */
export const crowded = (bytes: number): Refused => ({ kind: 'refused', why: `${bytes}${OF_MEMORY}`, crowded: true });

export function isRefused<T extends object>(made: T | Refused): made is Refused {
  return 'kind' in made && made.kind === 'refused';
}
