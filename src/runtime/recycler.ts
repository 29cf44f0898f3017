/**
 * Memory for results, which calls overwrite: what was released waits for the next tensor of its size. Submitted work runs in order, so that
 * is safe.
 */
export interface Recycler<M> {
  take(bytes: number, make: () => M): M;
  back(bytes: number, memory: M): void;
  release(): void;
}

/** How many pieces of a size wait. */
const WAITING = 8;

export function createRecycler<M>(destroy: (memory: M) => void): Recycler<M> {
  const waiting = new Map<number, M[]>();
  let over = false;
  return {
    take: (bytes, make) => waiting.get(bytes)?.pop() ?? make(),
    back(bytes, memory) {
      const list = waiting.get(bytes) ?? [];
      waiting.set(bytes, list);
      if (over || list.length >= WAITING) destroy(memory);
      else list.push(memory);
    },
    release() {
      over = true;
      for (const list of waiting.values()) list.splice(0).forEach(destroy);
    },
  };
}
