import { randomSource, type RandomSource } from '../../src/support/random.js';

/** A program in one of its two spellings. */
export interface Spelling {
  readonly text: string;
  /** A second file, which the first imports. */
  readonly imported: string;
  readonly last: string;
  /** Do tokens know of each other otherwise than by the past? Then there is no step. */
  readonly folds: boolean;
}

export const IMPORTED = 'other.lmoe';

export type Axes = readonly string[];

export interface Named {
  readonly name: string;
  readonly axes: Axes;
}

/** What can be called: from `inputs` to `output`; other axes are mapped over. */
export interface Callable {
  readonly name: string;
  readonly inputs: readonly Axes[];
  readonly output: Axes;
  readonly back: boolean;
  /** Has it a setting `inner`, a part? */
  readonly open: boolean;
}

/** A part while it is written. */
export interface Writer {
  readonly random: RandomSource;
  /** Written out by hand? */
  readonly long: boolean;
  readonly parts: readonly Callable[];
  readonly scans: readonly Callable[];
  readonly back: boolean;
  readonly folds: boolean;
  /** Has it an input `i: one of B`? */
  readonly indexed: boolean;
  readonly params: string[];
  readonly head: string[];
  readonly used: Set<string>;
  lines: string[];
  values: Named[];
  count: number;
  /** Choices have no gradient, and branches may be left out: nothing is trained there. */
  trained: boolean;
}

/** Parts have sizes of their own for the same letters; T is for taps. */
const SIZES: Readonly<Record<string, number>> = { A: 3, B: 2, C: 2, D: 1, E: 2, P: 2, T: 2, K: 2 };
const LETTERS = ['A', 'B', 'C', 'D'];

export const pick = <T>(w: Pick<Writer, 'random'>, of: readonly T[]): T => of[w.random.below(of.length)];
export const chance = (w: Pick<Writer, 'random'>, share: number): boolean => w.random.uniform() < share;
export const without = (axes: Axes, gone: Axes): string[] => axes.filter((axis) => !gone.includes(axis));
export const union = (...all: Axes[]): string[] => [...new Set(all.flat())];
export const some = (w: Writer, axes: Axes): string[] => axes.filter(() => chance(w, 0.5));
export const shape = (axes: Axes): string => `[${axes.join(', ')}]`;

function mixed<T>(w: Pick<Writer, 'random'>, of: readonly T[]): T[] {
  return of.map((one) => ({ one, at: w.random.uniform() })).sort((a, b) => a.at - b.at).map(({ one }) => one);
}

export function fresh(w: Writer, stem = 'v'): string {
  return `${stem}${w.count++}`;
}

/** A name for a formula: brackets stand behind names. */
export function bind(w: Writer, axes: Axes, text: string): string {
  const made = fresh(w);
  w.lines.push(`let ${made}${chance(w, 0.2) ? `: ${shape(mixed(w, axes))}` : ''} = ${text}`);
  w.values.push({ name: made, axes });
  return made;
}

export function param(w: Writer, axes: Axes): string {
  const made = fresh(w, 'w');
  for (const axis of axes) w.used.add(axis);
  const law = pick(w, ['', ' = 0.5', ' = normal(0.3) f32', ' no decay', ' = uniform(-1, 1) decay']);
  w.params.push(`${made}: ${shape(mixed(w, axes))}${law}`);
  return made;
}

/** Any axis but these. */
export function other(w: Writer, axes: Axes): string | undefined {
  const free = without(LETTERS, axes);
  return free.length === 0 ? undefined : pick(w, free);
}

export function sizeOf(axis: string): number {
  return SIZES[axis];
}

/** The shortest way to a value: one that is there, or a weight. */
export function leaf(w: Writer, goal: Axes): string {
  for (const axis of goal) w.used.add(axis);
  const within = w.values.filter(({ axes }) => axes.every((axis) => goal.includes(axis)));
  const same = within.filter(({ axes }) => axes.length === goal.length).slice(-6);
  if (same.length > 0 && (!w.trained || chance(w, 0.8))) return pick(w, same).name;
  if (goal.length === 0) {
    const from = pick(w, w.values);
    const x = from.axes.length === 0 ? from.name : `mean${shape(from.axes)}(${from.name})`;
    // A mean of nought but rounding must not decide.
    return w.trained ? x : `(${x} + 0.017)`;
  }
  const parts = within.filter(({ axes }) => axes.length > 0 && axes.length < goal.length);
  if (parts.length > 0 && (!w.trained || chance(w, 0.6))) {
    const part = pick(w, parts);
    return `outer(${part.name}, ${leaf(w, without(goal, part.axes))})`;
  }
  if (w.trained) return param(w, goal);
  // What tokens do not differ in must not choose among them.
  return `(sin(1 + index${shape(goal)}) * ${leaf(w, [])})`;
}

/** Within a block: what is made there is unknown behind it. */
export function block(w: Writer, make: () => string): string {
  const { lines, values, trained } = w;
  w.lines = [];
  w.values = [...values];
  w.trained = false;
  const last = make();
  const text = [...w.lines, last].join('\n');
  Object.assign(w, { lines, values, trained });
  return text;
}

/** Settings handed down: as they are, changed, or not at all. */
export function settings(w: Writer, of: Callable): string {
  if (of.name === 'inner') return '';
  const given = pick(w, [
    '', ' with size', ' with size = size / 2, mode', ' with mode = "off"', ' with size = 0.3', ' with mode, size = 1 - size',
  ]);
  // A part is not handed to itself: that is refused (E814), whatever it would make of it.
  const endos = w.parts.filter((part) => isEndo(part) && !part.back && part !== of);
  if (!of.open || endos.length === 0 || chance(w, 0.5)) return given;
  return `${given === '' ? ' with' : `${given},`} inner = ${pick(w, endos).name}`;
}

/** From A to A, so that it can stand for another. */
export function isEndo({ inputs, output }: Callable): boolean {
  return inputs.length === 1 && inputs[0].join() === 'A' && output.join() === 'A';
}

const SCANS = [
  {
    text: 'scan fading(q, k: [K], v: [A], g: []) -> o: [A] with K = 2, A = 3 {\nparam u: [K]\nstate S: [K, A]\n'
      + 'S = sigmoid(g) * S[t-1] + outer(k, v)\no = (q + u) @ S + k[t-1] @ k * v\n}',
    name: 'fading', inputs: [['K'], ['K'], ['A'], []], output: ['A'],
  },
  {
    text: 'scan turning(x: [B] , r: [B] per group) -> h: [B] with B = 2 sequential {\nstate h: [B]\n'
      + 'h = tanh(r) * sin(h[t-1]) + x\n}',
    name: 'turning', inputs: [['B'], ['B']], output: ['B'],
  },
].map((scan) => ({ ...scan, back: true, open: false }));

export type Write = (w: Writer, goal: Axes, depth: number) => string;

/** A file of parts, each of which may call those before it, and the file that it imports some of them from. */
export function spell(seed: number, long: boolean, write: Write): Spelling {
  const random = randomSource(seed, 'goals');
  const [back, folds] = [random.uniform() < 0.6, random.uniform() < 0.3];
  const made: (Callable & { readonly text: string })[] = [];
  const count = 2 + random.below(3);
  for (let i = 0; i < count; i++) {
    made.push(spellPart(random, `part${i}`, made, { last: i === count - 1, back, folds, long }, write));
  }
  const first = 1 + random.below(count - 1);
  const scans = SCANS.map(({ text }) => text);
  const brought = made.slice(0, first).map(({ name }) => name);
  return {
    imported: [...scans, ...made.slice(0, first).map(({ text }) => text)].join('\n'),
    text: [`import { ${[...SCANS.map(({ name }) => name), ...brought].join(', ')} } from "./${IMPORTED}"`,
      ...made.slice(first).map(({ text }) => text)].join('\n'),
    last: made[count - 1].name, folds,
  };
}

interface Habits {
  readonly last: boolean;
  readonly back: boolean;
  readonly folds: boolean;
  readonly long: boolean;
}

const SIGNATURES: readonly (readonly Axes[])[] = [[['A'], ['B']], [['A', 'B']], [['B'], []], [['A', 'C']]];

function spellPart(
  random: RandomSource, name: string, parts: readonly Callable[], { last, back, folds, long }: Habits, write: Write,
): Callable & { readonly text: string } {
  const mixture = random.uniform() < 0.3;
  const own = back && !mixture && random.uniform() < 0.7;
  const endo = parts.find((part) => isEndo(part) && !part.back);
  const inner = { name: 'inner', inputs: [['A']], output: ['A'], back: false, open: false };
  const w: Writer = {
    random, long, parts: endo === undefined ? parts : [...parts, inner, inner], scans: SCANS, back: own,
    folds: folds && random.uniform() < 0.6, indexed: last && random.uniform() < 0.5,
    params: [], head: [], used: new Set(), lines: [], values: [], count: 0, trained: true,
  };
  const other = chance(w, 0.5);
  const inputs = other ? pick(w, SIGNATURES) : [['A']];
  const output = other ? pick(w, [['A'], ['B'], ['A', 'B'], ['C'], []]) : ['A'];
  inputs.forEach((axes, i) => w.values.push({ name: `x${i}`, axes }));
  for (const axis of [...inputs.flat(), ...output, ...(w.indexed ? ['B'] : [])]) w.used.add(axis);
  const value = write(w, output, last ? 5 : 3);
  if (chance(w, 0.4)) w.lines.push(`loss size_ = 0.1 * mean[tokens](${write(w, [], 2)})`);
  // What is named has a say, and so has every input.
  const all = w.values.map((one) => (one.axes.length === 0 ? one.name : `mean${shape(one.axes)}(${one.name})`)).join(' + ');
  const header = [...inputs.map((axes, i) => `x${i}: ${shape(axes)}`), ...(w.indexed ? ['i: one of B'] : [])].join(', ');
  const knobs = [
    ...mixed(w, [...w.used].map((axis) => `${axis} = ${SIZES[axis]}`)), 'size = 0.5', `mode = "${pick(w, ['on', 'off'])}"`,
    ...(endo === undefined ? [] : [`inner = ${endo.name}`]),
  ];
  const looks = [...w.lines, ...w.head, value].some((line) => /\[t-1\]|conv|past|time|scan/.test(line));
  const body = [...w.head, ...(w.params.length > 0 ? [`param ${mixed(w, w.params).join(', ')}`] : []), ...w.lines];
  const text = `${mixture && !looks ? 'moe' : 'layer'} ${name}(${header}) -> y: ${shape(output)} with ${knobs.join(', ')} {\n`
    + `${body.join('\n')}\ny = ${value} + 0.1 * tanh(${all})\n}`;
  return { name, inputs, output, back: own, open: endo !== undefined, text };
}
