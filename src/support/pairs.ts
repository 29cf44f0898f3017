/** Values filed under two numbers, such as the results of a stage. */
export interface Pairs<V> {
  get(a: number, b: number): V | undefined;
  has(a: number, b: number): boolean;
  set(a: number, b: number, value: V): void;
  /** In the order in which they came. */
  keys(): readonly (readonly [a: number, b: number])[];
}

export function pairs<V>(): Pairs<V> {
  const values = new Map<number, Map<number, V>>();
  const order: (readonly [number, number])[] = [];
  return {
    get: (a, b) => values.get(a)?.get(b),
    has: (a, b) => values.get(a)?.has(b) === true,
    set(a, b, value) {
      const row = values.get(a) ?? new Map<number, V>();
      if (!row.has(b)) order.push([a, b]);
      values.set(a, row.set(b, value));
    },
    keys: () => order,
  };
}
