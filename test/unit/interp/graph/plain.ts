/** Plain loops for what the interpreter is held against: numbers in rows, one token after the other, nothing general. */
export type Row = number[];
export type Params = ReadonlyMap<string, Float64Array>;

/** The element of a tensor at a place; `sizes` are those of its axes. */
export function tensor(params: Params, path: string, ...sizes: number[]): (...place: number[]) => number {
  const data = params.get(path);
  if (data === undefined || data.length !== sizes.reduce((a, b) => a * b, 1)) throw new Error(`no ${path} of ${sizes.join(' x ')}`);
  return (...place) => data[place.reduce((at, i, d) => at * sizes[d] + i, 0)];
}

export function rowsOf(data: Float64Array, width: number): Row[] {
  return Array.from({ length: data.length / width }, (_, t) => [...data.subarray(t * width, (t + 1) * width)]);
}

export const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i);
export const total = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);
export const average = (values: readonly number[]): number => total(values) / values.length;
export const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
export const silu = (x: number): number => x * sigmoid(x);
export const relu = (x: number): number => (x > 0 ? x : 0);
export const softplus = (x: number): number => Math.log(1 + Math.exp(x));
export const dot = (a: Row, b: Row): number => total(a.map((x, i) => x * b[i]));
export const clamp = (x: number, lo: number, hi: number): number => Math.min(Math.max(x, lo), hi);

/** Abramowitz and Stegun 7.1.5 by its series, which is enough for small arguments. */
export function erf(x: number): number {
  let [sum, term] = [x, x];
  for (let n = 1; n < 80; n++) {
    term *= (-x * x) / n;
    sum += term / (2 * n + 1);
  }
  return (2 / Math.sqrt(Math.PI)) * sum;
}

export const normalCdf = (x: number): number => (1 + erf(x / Math.SQRT2)) / 2;

export function logsumexp(z: Row): number {
  return Math.log(total(z.map(Math.exp)));
}

/** Over those that are kept; 0 elsewhere. */
export function softmax(z: Row, kept: readonly boolean[] = z.map(() => true)): Row {
  const weights = z.map((x, i) => (kept[i] ? Math.exp(x) : 0));
  return weights.map((w) => w / total(weights));
}

/** The k largest of those that are allowed; of equals the first. */
export function best(scores: Row, k: number, allowed: readonly boolean[] = scores.map(() => true)): boolean[] {
  const order = range(scores.length).filter((i) => allowed[i]).sort((a, b) => scores[b] - scores[a] || a - b);
  const taken = new Set(order.slice(0, k));
  return scores.map((_, i) => taken.has(i));
}

/** The smallest of the k largest. */
export function kth(scores: Row, k: number): number {
  return [...scores].sort((a, b) => b - a)[k - 1];
}

/** x @ W, W being a matrix [D, F]. */
export function times(x: Row, w: (d: number, f: number) => number, width: number): Row {
  return range(width).map((f) => total(x.map((value, d) => value * w(d, f))));
}

export type FfnKind = 'swiglu' | 'relu' | 'gelu' | 'relu2' | 'clamped';

/** A feed-forward part: experts have their number in front of all weights, others are number 0 of 1. */
export function feedForward(params: Params, path: string, kind: FfnKind, [count, e]: readonly [number, number], x: Row,
  hidden: number): Row {
  const width = x.length;
  const weight = (name: string, ...sizes: number[]) => {
    const w = tensor(params, `${path}.${name}`, count, ...sizes);
    return (...place: number[]): number => w(e, ...place);
  };
  const up = times(x, weight('up', width, hidden), hidden);
  const gate = kind === 'swiglu' || kind === 'clamped' ? times(x, weight('gate', width, hidden), hidden) : [];
  const inner = range(hidden).map((f) => {
    switch (kind) {
      case 'swiglu': return silu(gate[f]) * up[f];
      case 'relu': return relu(up[f]);
      case 'relu2': return relu(up[f]) ** 2;
      case 'gelu': return up[f] * normalCdf(up[f]);
      case 'clamped': {
        const a = Math.min(gate[f] + weight('gate_bias', hidden)(f), 7);
        const b = clamp(up[f] + weight('up_bias', hidden)(f), -7, 7);
        return a * sigmoid(1.702 * a) * (b + 1);
      }
    }
  });
  const out = times(inner, weight('down', hidden, width), width);
  return kind === 'clamped' ? out.map((y, d) => y + weight('down_bias', width)(d)) : out;
}
