/**
 * One axis of a contraction: its size and the distance between neighbours in both factors and in the result; 0 where they do not have it.
 */
export interface Dim {
  readonly size: number;
  readonly a: number;
  readonly b: number;
  readonly c: number;
}

/**
 * c[...] += a[...] * b[...] over all dims; dims that the result lacks are summed. Forward and both gradients of a product are this with
 * other strides. The innermost loop is the longest whose elements are neighbours, the next one is taken four at a time, so that what the
 * innermost loads is used again.
 */
export function contractInto(dims: readonly Dim[], a: Float64Array, a0: number, b: Float64Array, b0: number, c: Float64Array, c0: number): void {
  const loops = merge(dims.filter(({ size }) => size !== 1));
  if (loops.some(({ size }) => size === 0)) return;
  const inner = takeBest(loops, (dim) => dim.size * (isRow(dim) || isDot(dim) ? 1 : 1 / 16));
  if (inner === undefined) {
    c[c0] += a[a0] * b[b0];
    return;
  }
  // In a row, one factor is a number: the sides are swapped so that it is `a`.
  const turned = inner.c !== 0 && inner.b === 0;
  const [x, x0, y, y0] = turned ? [b, b0, a, a0] : [a, a0, b, b0];
  const turn = (dim: Dim): Dim => (turned ? { ...dim, a: dim.b, b: dim.a } : dim);
  const vector = turn(inner);
  const row = vector.c !== 0 && vector.a === 0;
  const second = row ? takeBest(loops, (dim) => (dim.c === 0 ? dim.size : 0))
    : vector.c === 0 ? takeBest(loops, (dim) => (dim.c !== 0 && (dim.a === 0 || dim.b === 0) ? dim.size : 0)) : undefined;
  const next = second && turn(second);
  const rest = loops.map(turn);
  if (row) {
    const k = next ?? { size: 1, a: 0, b: 0, c: 0 };
    walk(rest, x0, y0, c0, (xa, yb, zc) => addRows(vector, k, x, xa, y, yb, c, zc));
  } else if (vector.c === 0 && next !== undefined) {
    // The side that stays is `a` for all four.
    const swap = next.a !== 0;
    const n = swap ? { ...next, a: next.b, b: next.a } : next;
    const v = swap ? { ...vector, a: vector.b, b: vector.a } : vector;
    if (swap) walk(rest, x0, y0, c0, (xa, yb, zc) => addDots(v, n, y, yb, x, xa, c, zc));
    else walk(rest, x0, y0, c0, (xa, yb, zc) => addDots(v, n, x, xa, y, yb, c, zc));
  } else {
    walk(rest, x0, y0, c0, (xa, yb, zc) => addProducts(vector, x, xa, y, yb, c, zc));
  }
}

const isRow = ({ a, b, c }: Dim): boolean => c === 1 && a + b === 1;
const isDot = ({ a, b, c }: Dim): boolean => a === 1 && b === 1 && c <= 1;

function takeBest(loops: Dim[], worth: (dim: Dim) => number): Dim | undefined {
  let best = -1;
  loops.forEach((dim, i) => {
    if (worth(dim) > (best < 0 ? 0 : worth(loops[best]))) best = i;
  });
  return best < 0 ? undefined : loops.splice(best, 1)[0];
}

/** Two dims that are one longer one in all three tensors become it. */
function merge(dims: readonly Dim[]): Dim[] {
  const sorted = [...dims].sort((x, y) => y.c - x.c || y.a - x.a || y.b - x.b);
  const merged: Dim[] = [];
  for (const dim of sorted) {
    const last = merged.at(-1);
    if (last !== undefined && last.a === dim.a * dim.size && last.b === dim.b * dim.size && last.c === dim.c * dim.size) {
      merged[merged.length - 1] = { ...dim, size: dim.size * last.size };
    } else {
      merged.push(dim);
    }
  }
  return merged;
}

function walk(dims: readonly Dim[], a0: number, b0: number, c0: number, visit: (a: number, b: number, c: number) => void, depth = 0): void {
  if (depth === dims.length) {
    visit(a0, b0, c0);
    return;
  }
  const { size, a, b, c } = dims[depth];
  for (let i = 0; i < size; i++) walk(dims, a0 + i * a, b0 + i * b, c0 + i * c, visit, depth + 1);
}

/** c[i] += sum over k of a[k] * b[k, i]. */
function addRows(i: Dim, k: Dim, a: Float64Array, a0: number, b: Float64Array, b0: number, c: Float64Array, c0: number): void {
  let j = 0;
  for (; j + 4 <= k.size; j += 4) {
    const [f0, f1, f2, f3] = [a[a0 + j * k.a], a[a0 + (j + 1) * k.a], a[a0 + (j + 2) * k.a], a[a0 + (j + 3) * k.a]];
    let at = b0 + j * k.b;
    for (let n = 0, to = c0; n < i.size; n++, at += i.b, to += i.c) {
      c[to] += f0 * b[at] + f1 * b[at + k.b] + f2 * b[at + 2 * k.b] + f3 * b[at + 3 * k.b];
    }
  }
  for (; j < k.size; j++) {
    const f = a[a0 + j * k.a];
    for (let n = 0, at = b0 + j * k.b, to = c0; n < i.size; n++, at += i.b, to += i.c) c[to] += f * b[at];
  }
}

/** c[n] += sum over i of a[i] * b[n, i]. */
function addDots(i: Dim, n: Dim, a: Float64Array, a0: number, b: Float64Array, b0: number, c: Float64Array, c0: number): void {
  let j = 0;
  for (; j + 4 <= n.size; j += 4) {
    let [s0, s1, s2, s3] = [0, 0, 0, 0];
    for (let k = 0, x = a0, y = b0 + j * n.b; k < i.size; k++, x += i.a, y += i.b) {
      const f = a[x];
      s0 += f * b[y];
      s1 += f * b[y + n.b];
      s2 += f * b[y + 2 * n.b];
      s3 += f * b[y + 3 * n.b];
    }
    const to = c0 + j * n.c;
    c[to] += s0;
    c[to + n.c] += s1;
    c[to + 2 * n.c] += s2;
    c[to + 3 * n.c] += s3;
  }
  for (; j < n.size; j++) {
    let sum = 0;
    for (let k = 0, x = a0, y = b0 + j * n.b; k < i.size; k++, x += i.a, y += i.b) sum += a[x] * b[y];
    c[c0 + j * n.c] += sum;
  }
}

function addProducts(i: Dim, a: Float64Array, a0: number, b: Float64Array, b0: number, c: Float64Array, c0: number): void {
  for (let n = 0, x = a0, y = b0, to = c0; n < i.size; n++, x += i.a, y += i.b, to += i.c) c[to] += a[x] * b[y];
}
