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
 * other strides. Where both factors have a dim of their own, blocks of the result are made whole, so that what is loaded is used four
 * times.
 */
export function contractInto(
  dims: readonly Dim[], a: Float64Array, a0: number, b: Float64Array, b0: number, c: Float64Array, c0: number,
): void {
  const loops = merge(dims.filter(({ size }) => size !== 1));
  if (loops.some(({ size }) => size === 0)) return;
  const sum = takeLongest(loops, (dim) => dim.c === 0);
  const left = sum && takeLongest(loops, (dim) => dim.c !== 0 && dim.a !== 0 && dim.b === 0);
  const right = sum && takeLongest(loops, (dim) => dim.c !== 0 && dim.a === 0 && dim.b !== 0);
  if (sum === undefined) {
    const inner = takeLongest(loops, () => true) ?? ONE;
    walk(loops, a0, b0, c0, (x, y, z) => addProducts(inner, a, x, b, y, c, z));
  } else {
    const [m, n] = [left ?? ONE, right ?? ONE];
    walk(loops, a0, b0, c0, (x, y, z) => addBlock(m, n, sum, a, x, b, y, c, z));
  }
}

const ONE: Dim = { size: 1, a: 0, b: 0, c: 0 };

function takeLongest(loops: Dim[], fits: (dim: Dim) => boolean): Dim | undefined {
  let best = -1;
  loops.forEach((dim, i) => {
    if (fits(dim) && (best < 0 || dim.size > loops[best].size)) best = i;
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

/** c[m, n] += sum over k of a[m, k] * b[k, n]. */
function addBlock(m: Dim, n: Dim, k: Dim, a: Float64Array, a0: number, b: Float64Array, b0: number, c: Float64Array, c0: number): void {
  const [rows, columns] = [m.size & ~3, n.size & ~3];
  for (let i = 0; i < rows; i += 4) {
    for (let j = 0; j < columns; j += 4) addSixteen(m, n, k, a, a0 + i * m.a, b, b0 + j * n.b, c, c0 + i * m.c + j * n.c);
    for (let j = columns; j < n.size; j++) addFour(k.size, b, b0 + j * n.b, k.b, a, a0 + i * m.a, k.a, m.a, c, c0 + i * m.c + j * n.c, m.c);
  }
  for (let i = rows; i < m.size; i++) {
    const [x, z] = [a0 + i * m.a, c0 + i * m.c];
    for (let j = 0; j < columns; j += 4) addFour(k.size, a, x, k.a, b, b0 + j * n.b, k.b, n.b, c, z + j * n.c, n.c);
    for (let j = columns; j < n.size; j++) addProducts({ ...k, c: 0 }, a, x, b, b0 + j * n.b, c, z + j * n.c);
  }
}

/** Four rows and four columns. */
function addSixteen(m: Dim, n: Dim, k: Dim, a: Float64Array, a0: number, b: Float64Array, b0: number, c: Float64Array, c0: number): void {
  let [s00, s01, s02, s03, s10, s11, s12, s13] = [0, 0, 0, 0, 0, 0, 0, 0];
  let [s20, s21, s22, s23, s30, s31, s32, s33] = [0, 0, 0, 0, 0, 0, 0, 0];
  const [a1, a2, a3, b1, b2, b3] = [m.a, 2 * m.a, 3 * m.a, n.b, 2 * n.b, 3 * n.b];
  const { size, a: da, b: db } = k;
  for (let i = 0, x = a0, y = b0; i < size; i++, x += da, y += db) {
    const y0 = b[y];
    const y1 = b[y + b1];
    const y2 = b[y + b2];
    const y3 = b[y + b3];
    const x0 = a[x];
    s00 += x0 * y0;
    s01 += x0 * y1;
    s02 += x0 * y2;
    s03 += x0 * y3;
    const x1 = a[x + a1];
    s10 += x1 * y0;
    s11 += x1 * y1;
    s12 += x1 * y2;
    s13 += x1 * y3;
    const x2 = a[x + a2];
    s20 += x2 * y0;
    s21 += x2 * y1;
    s22 += x2 * y2;
    s23 += x2 * y3;
    const x3 = a[x + a3];
    s30 += x3 * y0;
    s31 += x3 * y1;
    s32 += x3 * y2;
    s33 += x3 * y3;
  }
  putFour(c, c0, n.c, s00, s01, s02, s03);
  putFour(c, c0 + m.c, n.c, s10, s11, s12, s13);
  putFour(c, c0 + 2 * m.c, n.c, s20, s21, s22, s23);
  putFour(c, c0 + 3 * m.c, n.c, s30, s31, s32, s33);
}

function putFour(c: Float64Array, at: number, step: number, s0: number, s1: number, s2: number, s3: number): void {
  c[at] += s0;
  c[at + step] += s1;
  c[at + 2 * step] += s2;
  c[at + 3 * step] += s3;
}

/** One of `a` against four of `b`, `width` apart. */
function addFour(
  size: number, a: Float64Array, a0: number, da: number, b: Float64Array, b0: number, db: number, width: number,
  c: Float64Array, c0: number, dc: number,
): void {
  let [s0, s1, s2, s3] = [0, 0, 0, 0];
  for (let i = 0, x = a0, y = b0; i < size; i++, x += da, y += db) {
    const f = a[x];
    s0 += f * b[y];
    s1 += f * b[y + width];
    s2 += f * b[y + 2 * width];
    s3 += f * b[y + 3 * width];
  }
  putFour(c, c0, dc, s0, s1, s2, s3);
}

function addProducts(i: Dim, a: Float64Array, a0: number, b: Float64Array, b0: number, c: Float64Array, c0: number): void {
  for (let n = 0, x = a0, y = b0, to = c0; n < i.size; n++, x += i.a, y += i.b, to += i.c) c[to] += a[x] * b[y];
}
