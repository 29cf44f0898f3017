/** For every cell of a row-major box of these sizes, the sum of its places times the steps of their axes. */
export function offsetsOf(sizes: readonly number[], steps: readonly number[]): Int32Array {
  const map = new Int32Array(sizes.reduce((product, size) => product * size, 1));
  const place = sizes.map(() => 0);
  for (let i = 0, at = 0; i < map.length; i++) {
    map[i] = at;
    for (let d = sizes.length - 1; d >= 0; d--) {
      at += steps[d];
      if (++place[d] < sizes[d]) break;
      at -= steps[d] * sizes[d];
      place[d] = 0;
    }
  }
  return map;
}
