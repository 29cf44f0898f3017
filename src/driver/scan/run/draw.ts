import { elements, type Axis, type AxisSizes } from '../../../ir/common/axes.js';
import { isAny, type Range } from '../../../ir/common/range.js';
import type { SignatureTensor } from '../../../ir/common/signature.js';
import { signatureOf } from '../../../ir/spec/signature.js';
import type { Spec } from '../../../ir/spec/spec.js';
import { randomSource, type RandomSource } from '../../../support/random.js';
import { erasePairs } from './erase-pairs.js';

/** Extents before the axes of a scan: N counts sequences, B * T tokens. */
export interface Extents {
  readonly B: number;
  readonly T: number;
  readonly H: number;
  readonly G: number;
  readonly N: number;
}

/**
 * Initial states without a declared range: zero, as sequences begin, or drawn as inputs are. Those with a range are drawn within it either
 * way.
 */
export type StateDraw = 'declared' | 'random';

export interface DrawOptions {
  readonly seed: number;
  /** Default: random. */
  readonly states?: StateDraw;
  /** Vectors that reads fold point nearly the same way at every token, which is hard on the triangular solves of erasing recurrences. */
  readonly correlated?: boolean;
}

export interface DrawnTensor {
  readonly dtype: 'f32';
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/** How much of a correlated vector is the common direction. */
const COMMON = 0.9;

/**
 * Random tensors that respect the declared ranges: everything that a scan takes, initial states and cotangents of all results included.
 * Each depends on the seed and its name only, but for vectors that write what another input erases: those are that one's, against it and
 * weaker channel by channel. Independent vectors a and b of length 1 would make a state of K rows under S + b (a S) grow like e^{T / 2K},
 * which no model does; papers of such scans write -a times a gate.
 */
export function drawTensors(spec: Spec, extents: Extents, sizes: AxisSizes, options: DrawOptions): Map<string, DrawnTensor> {
  const { required, initial, cotangents } = signatureOf(spec);
  const folded = new Set(spec.nodes.flatMap((node) => (node.kind === 'reduce' && node.op === 'sum' ? [node.axis] : [])));
  const drawn = new Map([...required, ...initial, ...cotangents].map((tensor): [string, DrawnTensor] => {
    const shape = [...tensor.leading.map((name) => extents[name]), ...elementsOf(tensor.axes, sizes)];
    const data = new Float32Array(shape.reduce((n, extent) => n * extent, 1));
    if (tensor.role === 'initial' && options.states === 'declared' && isAny(tensor.range)) return [
      tensor.name, { dtype: 'f32', shape, data },
    ];
    const lanes = tensor.leading.includes('G') ? extents.G : extents.H;
    fill(data, tensor, { lanes, folded, sizes, correlated: options.correlated === true, random: randomSource(options.seed, tensor.name) });
    return [tensor.name, { dtype: 'f32', shape, data }];
  }));
  for (const { erases, writes, sign } of erasePairs(spec)) {
    const random = randomSource(options.seed, writes);
    const source = drawn.get(erases)?.data;
    drawn.get(writes)?.data.forEach((_, i, data) => {
      data[i] = -sign * random.uniform() * (source?.[i] ?? 0);
    });
  }
  return drawn;
}

function elementsOf(axes: readonly Axis[], sizes: AxisSizes): number[] {
  return axes.map((axis) => elements([axis], sizes));
}

interface Manner {
  readonly lanes: number;
  readonly folded: ReadonlySet<Axis>;
  readonly sizes: AxisSizes;
  readonly correlated: boolean;
  readonly random: RandomSource;
}

function fill(data: Float32Array, tensor: SignatureTensor, manner: Manner): void {
  const { range, axes } = tensor;
  const { random, sizes, lanes } = manner;
  const last = axes.at(-1);
  if (tensor.role === 'input' && isAny(range) && last !== undefined && manner.folded.has(last)) {
    fillVectors(data, elements([last], sizes), elements(axes, sizes) * lanes, manner);
    return;
  }
  const channels = elements(axes, sizes) * lanes;
  for (let i = 0; i < data.length; i++) data[i] = within(range, random, i % channels);
}

/**
 * Vectors of length 1. Recurrences that erase along a vector are stable for such keys only (the factor 1 - beta |k|^2), and their papers
 * normalise them.
 */
function fillVectors(data: Float32Array, size: number, period: number, { correlated, random }: Manner): void {
  const common = Float64Array.from({ length: correlated ? period : 0 }, () => random.normal());
  for (let start = 0; start < data.length; start += size) {
    const vector = Array.from(
      { length: size },
      (_, i) => (correlated ? COMMON * common[(start + i) % period] + Math.sqrt(1 - COMMON ** 2) * random.normal() : random.normal()),
    );
    const norm = Math.hypot(...vector);
    vector.forEach((x, i) => {
      data[start + i] = x / norm;
    });
  }
}

/**
 * Normal without bounds, uniform between two. What has an upper bound only, or is at most 0, is drawn like a log gate, -softplus(z):
 * channels with even numbers forget little, so that states matter many chunks later, and odd ones so much that their memory ends within a
 * chunk.
 */
function within({ lo, hi }: Range, random: RandomSource, channel: number): number {
  const weak = channel % 2 === 0;
  if (isAny({ lo, hi })) return random.normal();
  if (hi === Infinity) return lo + Math.abs(random.normal());
  if (lo === -Infinity || (hi === 0 && weak)) return Math.max(
    lo, hi - Math.log1p(Math.exp(weak ? random.normal() - 6 : 2 * random.normal() - 1)),
  );
  // The nearest f32 may lie outside.
  const rounded = Math.fround(lo + (hi - lo) * random.uniform());
  return rounded < lo || rounded > hi ? (lo + hi) / 2 : rounded;
}
