import { randomSource, type RandomSource } from '../../src/support/random.js';

/** Sizes of all axes; small, and none like another's by design. */
const SIZES: Readonly<Record<string, number>> = { D: 4, F: 3, H: 2, K: 4, V: 3, E: 4, G: 2, M: 3, W: 7, T: 2, I: 2 };
/** Words that mean something elsewhere are names here, as anybody might have them. */
const NAMES = [
  'h', 'use', 'loss', 'gate', 'one', 'of', 'x2', 'init', 'z', 'update', 'decay', 'like', 'f32_', 'q', 'ignore', 'no', 'S', 'b', 'names',
  'per', 'from', 'group', 'u', 'r', 'buffer', 'with',
];

type Axes = readonly string[];

interface Value {
  readonly name: string;
  readonly axes: Axes;
}

/** A part with `x: [D]` and `y: [D]`. */
interface Made {
  readonly name: string;
  readonly text: string;
  /** Does it look at other tokens? A mixture must not use it then. */
  readonly timed: boolean;
  readonly sizes: Axes;
}

const SCAN = `scan faded(q, k: [K], v: [V], g: [] in -inf..0) -> o: [V] with K = 4, V = 3, rate = 1 {
  state S: [K, V]
  S = exp(rate * g) * S[t-1] + outer(k, v)
  o = tanh(q @ S)
}`;

const PAIR = `layer pair(x: [D]) -> y: [D], n: [] with D = 4, scale = 1, kind = "a" {
  param w: [D] = 1
  n = sum[D](x * w)
  if kind == "a" {
    y = scale * x
  } else {
    y = x * tanh(n)
  }
}`;

/** A file of parts that use each other, the last of them a model if `model`. Well typed: every value is made with its axes in mind. */
export function generateLayers(seed: number): { readonly text: string; readonly last: string } {
  const random = randomSource(seed, 'layers');
  const made: Made[] = [];
  const count = 1 + random.below(3);
  for (let i = 0; i < count; i++) made.push(writePart(random, random.below(3) === 0 ? 'moe' : 'layer', `part${i}`, made));
  if (random.below(3) === 0) made.push(writeModel(random, made));
  return { text: [SCAN, PAIR, ...made.map(({ text }) => text)].join('\n'), last: made[made.length - 1].name };
}

interface Writer {
  readonly random: RandomSource;
  readonly moe: boolean;
  readonly parts: readonly Made[];
  readonly values: Value[];
  readonly lines: string[];
  readonly params: { readonly name: string; readonly axes: Axes; readonly text: string }[];
  readonly used: Set<string>;
  readonly taken: Set<string>;
  readonly names: string[];
  timed: boolean;
}

const pick = <T>(random: RandomSource, of: readonly T[]): T => of[random.below(of.length)];
const shape = (axes: Axes): string => `[${axes.join(', ')}]`;
const without = (axes: Axes, gone: Axes): Axes => axes.filter((axis) => !gone.includes(axis));

function shuffled<T>(random: RandomSource, of: readonly T[]): T[] {
  const all = [...of];
  for (let i = all.length - 1; i > 0; i--) {
    const j = random.below(i + 1);
    [all[i], all[j]] = [all[j], all[i]];
  }
  return all;
}

function fresh(w: Writer): string {
  const free = NAMES.filter((name) => !w.taken.has(name));
  const name = free.length > 0 ? pick(w.random, free) : `v${w.taken.size}`;
  w.taken.add(name);
  return name;
}

function useAxes(w: Writer, axes: Axes): void {
  for (const axis of axes) w.used.add(axis);
}

const LAWS = [
  '', '', ' = 0.5', ' = normal(0.3)', ' = uniform(-1, 1)', ' = 1 f32', ' = normal(0.5) no decay', ' f32 decay',
  ' = 0.1 * (index[FIRST] + 1)',
];

function param(w: Writer, axes: Axes): string {
  const name = fresh(w);
  useAxes(w, axes);
  const law = pick(w.random, LAWS).replace('FIRST', axes[0] ?? '');
  w.params.push({ name, axes, text: `${name}: ${shape(axes)}${law.includes('index[]') ? '' : law}` });
  return name;
}

function define(w: Writer, axes: Axes, text: string): Value {
  const name = fresh(w);
  useAxes(w, axes);
  w.lines.push(`let ${name}${w.random.below(4) === 0 ? `: ${shape(axes)}` : ''} = ${text}`);
  const value = { name, axes };
  w.values.push(value);
  return value;
}

/** A value with at least one axis. */
function wide(w: Writer): Value {
  return pick(w.random, w.values.filter(({ axes }) => axes.length > 0));
}

/** `v` contracted with a param, so that it has these axes. */
function project(w: Writer, v: Value, summed: Axes, extra: Axes): string {
  const rest = without(v.axes, summed);
  const batch = rest.length > 0 && w.random.below(4) === 0 ? [pick(w.random, rest)] : [];
  const name = param(w, shuffled(w.random, [...summed, ...extra, ...batch]));
  const bracket = summed.length + batch.length > 1 || w.random.below(5) === 0 ? `[${summed.join(', ')}]` : '';
  return w.random.below(4) === 0 ? `${name} @${bracket} ${v.name}` : `${v.name} @${bracket} ${name}`;
}

function projected(w: Writer, extra: Axes): Value {
  const from = pick(w.random, w.values.filter(({ axes }) => axes.length > 0 && !axes.some((axis) => extra.includes(axis))));
  return define(w, extra, project(w, from, from.axes, extra));
}

const POINTWISE = [
  'silu(A)', 'tanh(A)', 'sigmoid(A)', 'softplus(-A)', 'A / (1 + A^2)', '-A + 0.5', 'max(A, 0.1 * A)',
  'clamp(A, -1, 2)', 'min(A, 1)', 'exp(-A^2)', 'A * (A + 1)', 'gelu(A)', 'erf(A)', 'stop(A) * A',
  'f32(A) * 2', 'log1p(A^2)', '(A - 1)^3 / 4', 'sqrt(A^2 + 1)', 'A + training * 0.1 * A', 'dropout(A, 0.2) + A', 'sin(A) * cos(A)',
];

type Step = (w: Writer) => void;

const anywhere: readonly Step[] = [
  (w) => {
    const v = wide(w);
    const summed = shuffled(w.random, v.axes).slice(0, 1 + w.random.below(Math.min(2, v.axes.length)));
    const extra = shuffled(w.random, without(['F', 'H', 'K', 'V', 'E', 'G'], v.axes)).slice(0, w.random.below(3));
    const axes = [...without(v.axes, summed), ...extra];
    if (axes.length <= 3) define(w, axes, project(w, v, summed, extra));
  },
  (w) => {
    const v = pick(w.random, w.values);
    define(w, v.axes, pick(w.random, POINTWISE).replaceAll('A', v.name));
  },
  (w) => {
    const v = wide(w);
    const other = pick(w.random, w.values.filter(({ axes }) => axes.every((axis) => v.axes.includes(axis))));
    define(w, v.axes, pick(w.random, [
      `${v.name} * sigmoid(${other.name})`, `${other.name} - ${v.name}`, `(${v.name} + ${other.name}) / 2`,
      `${v.name} / (1 + abs(${other.name}))`, `max(${v.name}, ${other.name})`,
    ]));
  },
  (w) => {
    const v = wide(w);
    const along = shuffled(w.random, v.axes).slice(0, 1 + w.random.below(v.axes.length));
    const norm = pick(w.random, ['softmax', 'log_softmax', 'rmsnorm', 'layernorm', 'l2norm']);
    const named = norm.includes('softmax')
      ? (norm === 'softmax' && w.random.below(3) === 0 ? ', sink: 0.5' : '')
      : pick(w.random, ['', ', eps: 1e-2', ', eps: 2 * 1e-3']);
    define(w, v.axes, `${norm}${shape(along)}(${v.name}${named})`);
  },
  (w) => {
    const v = wide(w);
    const along = shuffled(w.random, v.axes).slice(0, 1 + w.random.below(v.axes.length));
    define(w, without(v.axes, along), `${pick(w.random, ['sum', 'mean', 'max', 'min', 'logsumexp', 'prod'])}${shape(along)}(${v.name})`);
  },
  (w) => {
    const [a, b] = [pick(w.random, w.values), pick(w.random, w.values)];
    if (a.axes.some((axis) => b.axes.includes(axis)) || a.axes.length + b.axes.length > 3) return;
    define(w, [...a.axes, ...b.axes], `outer(${a.name}, ${b.name})`);
  },
  // A choice along an axis, by its weights, by a relation, or by what is lifted.
  (w) => {
    const v = wide(w);
    const axis = pick(w.random, v.axes);
    const c = fresh(w);
    // A caller may give D the size of another axis.
    const n = 1 + w.random.below(axis === 'D' ? 2 : SIZES[axis]);
    const relation = pick(w.random, [
      `top[${axis}, ${n}](${v.name})`, `top[${axis}, ${n}](${v.name}) and ${v.name} > -2`,
      `not ${v.name} > 1`, `${v.name} > 0 or ${v.name} < -1`, `top[${axis}, 1](${v.name}[${v.name} > -1])`,
      `not top[${axis}, 1](${v.name})`,
    ]);
    w.lines.push(`let ${c} = ${relation}`);
    const folded = pick(w.random, [
      `sum[${axis}](softmax[${axis}](${v.name}[${c}]) * ${v.name})`, `mean[${axis}](${v.name}[${c}])`,
      `sum[${axis}](${v.name}[${c}]^2) / ${n + 1}`, `sum[${axis}](sum[](${v.name}[${c}]))`,
      `sum[${axis}](mask(${c}) * ${v.name})`,
    ]);
    define(w, without(v.axes, [axis]), folded);
  },
  // Turns and branches that go on with a value.
  (w) => {
    const v = pick(w.random, w.values);
    const { name } = define(w, v.axes, v.name);
    const turn = pick(w.random, ['repeat i in 0..2 {', 'repeat i in 1..1 {', 'repeat i, kind in "aba" {']);
    const letters = turn.includes('kind');
    const body = letters
      ? `if kind == "a" {\n${name} = tanh(${name})\n} else if i % 2 == 1 and not i > 2 {\n${name} += 0.5\n} else {\n${name} = -${name}\n}`
      : `let half = ${name} / (i + 2)\n${name} += sin(half)`;
    w.lines.push(`${turn}\n${body}\n}`);
  },
  (w) => {
    const v = pick(w.random, w.values);
    const { name } = define(w, v.axes, v.name);
    // A branch shares the names around it.
    const three = fresh(w);
    w.lines.push(`if training {\n${name} = 2 * ${name}\n} else {\nlet ${three} = 3\n${name} = ${three} * ${name}\n}`);
  },
  // Parts below: along D, along another axis, in turns, as a family.
  (w) => {
    const parts = w.parts.filter(({ timed }) => !w.moe || !timed);
    const v = wide(w);
    if (parts.length === 0) return;
    const part = pick(w.random, parts);
    const axis = v.axes.includes('D') ? 'D' : pick(w.random, v.axes);
    // An axis of the part must not be one that is mapped over.
    if (part.timed) w.timed = true;
    const name = fresh(w);
    w.lines.push(`use ${name} = ${part.name}${axis === 'D' ? '' : ` with D = ${axis}`}`);
    w.names.push(`${name} "${name}."`);
    define(w, v.axes, `${name}(${v.name})`);
  },
  (w) => {
    const part = pick(w.random, [...w.parts.filter(({ timed }) => !w.moe || !timed), undefined]);
    const v = w.values.find(({ axes }) => axes.includes('D') && axes.length === 1);
    if (part === undefined || v === undefined) return;
    if (part.timed) w.timed = true;
    const { name } = define(w, v.axes, v.name);
    const inner = fresh(w);
    w.lines.push(`repeat turn in 0..1 {\nuse ${inner} = ${part.name}\n${name} += 0.5 * ${inner}(${name})\n}`);
    w.taken.add('turn');
  },
  (w) => {
    const parts = w.parts.filter(({ timed, sizes }) => !timed && !sizes.includes('E'));
    if (parts.length === 0) return;
    const part = pick(w.random, parts);
    const s = projected(w, ['E']);
    const [c, name] = [fresh(w), fresh(w)];
    w.lines.push(`let ${c} = top[E, ${1 + w.random.below(3)}](${s.name})`, `use ${name}[E] = ${part.name}`);
    w.names.push(`${name} "${name}.{E}."`);
    define(
      w, ['D'], w.random.below(2) === 0 ? `sum[E](softmax[E](${s.name}[${c}]) * ${name}(x))` : `sum[E](${name}(outer(${s.name}[${c}], x)))`,
    );
    if (w.random.below(2) === 0) {
      w.lines.push(`loss even${w.lines.length} = 0.1 * sum[E](mean[tokens](mask(${c})) * mean[tokens](softmax[E](${s.name})))`);
    }
    if (w.random.below(2) === 0) {
      const b = fresh(w);
      w.lines.push(`buffer ${b}: [E] = 0 f32`, `update ${b} ${pick(w.random, ['=', '+='])} 0.01 * sum[tokens, calls](mask(${c}))`);
      define(w, ['E'], `${s.name} + ${b}`);
      w.names.push(`${b} = "${b}" [E]`);
    }
  },
  // Groups of experts, some of them without a family behind them.
  (w) => {
    const part = pick(
      w.random, [...w.parts.filter(({ timed, sizes }) => !timed && !sizes.includes('G') && !sizes.includes('M')), undefined],
    );
    const s = projected(w, ['G', 'M']);
    const [groups, c, g] = [fresh(w), fresh(w), fresh(w)];
    const best = pick(w.random, [`max[M](${s.name})`, `sum[M](${s.name}[top[M, 2](${s.name})])`, `mean[M](${s.name})`]);
    w.lines.push(`let ${groups} = top[G, 1](${best})`, `let ${c} = top[G, M, 2](${s.name}[${groups}])`, `let ${g} = ${s.name}[${c}]`);
    if (part === undefined) return void define(w, [], `sum[G, M](softmax[G, M](${g}) * ${s.name})`);
    const name = fresh(w);
    w.lines.push(`use ${name}[G, M] = ${part.name}`);
    w.names.push(`${name} "${name}.{G M}."`);
    define(w, ['D'], `sum[G, M](${g} / (1 + sum[G, M](${g}^2)) * ${name}(x))`);
  },
  // Room in training.
  (w) => {
    const s = projected(w, ['E']);
    const [c, kept] = [fresh(w), fresh(w)];
    const room = pick(w.random, [
      `top[tokens, 2](${s.name}[${c}])`, `top[time, ceil(time / 2)](${s.name}[${c}])`,
      `top[tokens, max(1, floor(sum[tokens](mask(${c})) / 2))](${s.name}[${c}])`,
      `top[tokens, ranks, ceil(tokens * ranks / 3)](${s.name}[${c}])`,
    ]);
    w.lines.push(`let ${c} = top[E, 2](${s.name})`, `let ${kept} = ${c}`, `if training {\n${kept} = ${room}\n}`);
    define(w, ['E'], `sum[](${s.name}[${kept}])`);
  },
  // A part of what is present only.
  (w) => {
    const parts = w.parts.filter(({ timed, sizes }) => !(w.moe && timed) && !sizes.includes('E'));
    const s = projected(w, ['E']);
    if (parts.length === 0) return;
    const part = pick(w.random, parts);
    if (part.timed) w.timed = true;
    const [a, b, c] = [fresh(w), fresh(w), fresh(w)];
    w.lines.push(`use ${a}, ${b} = ${part.name}`, `let ${c} = ${pick(w.random, ['top[E, 2]', 'top[E, 1]'])}(${s.name})`);
    define(
      w, ['D'], pick(w.random, [`sum[E](${a}(outer(${s.name}[${c}], x))) + ${b}(x)`, `mean[E](${a}(${b}(outer(${s.name}[${c}], x))))`]),
    );
  },
  (w) => {
    const v = wide(w);
    const [y, n, name] = [fresh(w), fresh(w), fresh(w)];
    if (!v.axes.includes('D')) return;
    w.lines.push(
      `use ${name} = pair with scale = ${pick(w.random, ['2', '1 / D', 'D - 1'])}, kind = "${pick(w.random, ['a', 'b'])}"`,
      `let ${y}, ${n} = ${name}(${v.name})`,
    );
    w.values.push({ name: y, axes: v.axes }, { name: n, axes: without(v.axes, ['D']) });
  },
  (w) => {
    const v = wide(w);
    const axis = v.axes[0];
    const [p, out] = [fresh(w), define(w, v.axes, v.name).name];
    useAxes(w, [axis]);
    w.lines.push(`if ${axis} > ${w.random.below(6)} {\nparam ${p}: [${axis}] = 0.5\n${out} = ${out} * ${p}\n}`);
  },
  (w) => {
    const v = pick(w.random, w.values);
    const all = v.axes.length > 0 ? `mean${shape(v.axes)}(${v.name}^2)` : `${v.name}^2`;
    w.lines.push(`loss size${w.lines.length} = 1e-2 * ${pick(w.random, [
      `mean[tokens](${all})`, `mean[batch](mean[time](${all}))`,
      `mean[batch](mean[time](${v.axes.length > 0 ? `sum${shape(v.axes)}(${v.name})` : v.name})^2)`,
    ])}`);
  },
];

const timed: readonly Step[] = [
  // Memories: a state for each index, whose steps are the tokens that chose it.
  (w) => {
    const s = projected(w, ['E']);
    const [q, k, v, g] = [['K'], ['K'], ['V'], []].map((own) => projected(w, ['E', ...own]));
    const [c, name] = [fresh(w), fresh(w)];
    w.lines.push(`let ${c} = top[E, 2](${s.name})`, `use ${name} = faded`);
    define(w, ['V'], `sum[E](${s.name}[${c}] * ${name}(${q.name}[${c}], ${k.name}, ${v.name}, -softplus(${g.name})))`);
  },
  (w) => {
    const s = projected(w, ['E']);
    const c = fresh(w);
    w.lines.push(`let ${c} = ${s.name} > 0`);
    define(w, ['E'], `sum[](${s.name}[${c}]) + ${s.name}[t-1]`);
  },
  (w) => {
    const v = pick(w.random, w.values);
    define(w, v.axes, pick(w.random, [
      `${v.name} - mean[time](${v.name})`, `${v.name} / (1 + mean[tokens](${v.name}^2))`, `${v.name} + max[time](${v.name})`,
      `${v.name} * (position + 1) / 4`, `${v.name} - mean[batch](mean[time](${v.name}))`,
    ]));
  },
  (w) => {
    const v = pick(w.random, w.values);
    define(w, v.axes, pick(w.random, [`${v.name}[t-1]`, `${v.name} - ${v.name}[t-1]`, `tanh(${v.name}[t-1]) + ${v.name}`]));
  },
  (w) => {
    const v = wide(w);
    if (v.axes.includes('T')) return;
    const taps = param(w, ['T', ...v.axes]);
    define(w, v.axes, `silu(conv[T](${v.name}, ${taps}))`);
  },
  (w) => {
    const heads = pick(w.random, [[], ['H'], ['H', 'G']]);
    const q = projected(w, [...heads, 'K']);
    const k = projected(w, [...heads.slice(0, 1), 'K']);
    const v = projected(w, [...heads.slice(0, 1), 'V']);
    const near = fresh(w);
    w.lines.push(`let ${near} = ${pick(w.random, ['past', 'past[2]', 'past[1]'])}`);
    const [seen, extra] = [pick(w.random, [near, 'past']), pick(w.random, ['', ' / sqrt(K)', ' + 0.1 * tanh(DISTANCE)'])];
    const place = fresh(w);
    if (extra.includes('DISTANCE')) w.lines.push(`let ${place} = index[time]`);
    const logits = `${q.name} @[K] ${k.name}[${seen}]${extra.replace('DISTANCE', `${place}[${seen}] - ${place}`)}`;
    define(w, [...heads, 'V'], `softmax[${seen}](${logits}${w.random.below(3) === 0 ? ', sink: 0' : ''}) @[${seen}] ${v.name}[${seen}]`);
    if (seen !== near) define(w, k.axes, `sum[${near}](${k.name}[${near}])`);
  },
  (w) => {
    const heads = pick(w.random, [[], ['H'], ['H', 'G']]);
    const [q, k, v, g] = [['K'], ['K'], ['V'], []].map((own) => projected(w, [...heads, ...own]));
    const direct = w.lines.every((line) => !line.includes('faded('));
    const name = direct ? 'faded' : fresh(w);
    if (!direct) w.lines.push(`use ${name} = faded with rate = 0.5`);
    define(w, [...heads, 'V'], `${name}(${q.name}, ${k.name}, ${v.name}, -softplus(${g.name}))`);
  },
  (w) => {
    const q = projected(w, ['H', 'K']);
    const f = fresh(w);
    useAxes(w, ['I']);
    w.lines.push(`const ${f} = 100^(-index[I] / I), ${f}_ = 2`);
    define(w, ['H', 'K'], `rope[K](${q.name}, ${f}, pairs: ${pick(w.random, ['halves', 'adjacent'])}) / ${f}_`);
  },
];

function writePart(random: RandomSource, kind: 'moe' | 'layer', name: string, parts: readonly Made[]): Made {
  const w: Writer = {
    random, moe: kind === 'moe', parts, values: [{ name: 'x', axes: ['D'] }], lines: [], params: [], used: new Set(['D']),
    taken: new Set(['x', 'y', 'i', 'kind', 'half']), names: [], timed: false,
  };
  const steps = 2 + random.below(5);
  for (let i = 0; i < steps; i++) {
    const step = pick(random, kind === 'moe' || random.below(2) === 0 ? anywhere : timed);
    if (timed.includes(step)) w.timed = true;
    step(w);
  }
  return { name, text: finished(w, kind, name), timed: w.timed, sizes: [...w.used] };
}

/** Every value goes into the output, so that all that is trained has a gradient. */
function finished(w: Writer, kind: string, name: string): string {
  const terms = w.values.slice(1).map((v) => {
    const away = without(v.axes, ['D']);
    return away.length > 0 ? `mean${shape(away)}(${v.name})` : v.name;
  });
  const sizes = [...w.used].filter((axis) => axis !== 'past').map((axis) => `${axis} = ${SIZES[axis]}`);
  const groups = shuffled(w.random, w.params.map(({ text }) => text));
  const params = groups.length === 0
    ? []
    : w.random.below(2) === 0
    ? [`param ${groups.join(', ')}`]
    : groups.map((text) => `param ${text}`);
  const own = w.params.map(({ name: path, axes }) =>
    `${path} = "${path}"${w.random.below(2) === 0 ? '' : ` [${shuffled(w.random, axes).join(pick(w.random, [', ', ' ']))}]`}`);
  const names = w.random.below(2) === 0 ? [] : [`names hf {\n${[...own, ...w.names].join('\n')}\n}`];
  return [
    `${kind} ${name}(x: [D]) -> y: [D] with ${sizes.join(', ')} {`, ...params, ...w.lines,
    `y = x${terms.map((term) => ` + ${term}`).join('')}`, ...names, '}',
  ].join('\n');
}

function writeModel(random: RandomSource, parts: readonly Made[]): Made {
  const block = pick(random, parts);
  const tied = random.below(2) === 0;
  const text = [
    'model net(ids, labels: one of W) -> logits: [W] with D = 4, W = 7, L = 2, kinds = "ab", block = ' + block.name + ' {',
    `param embed: [W, D]${tied ? '' : ', head: [D, W] = normal(0.1)'}`, 'init normal(0.3)',
    'let x = embed[ids]',
    `repeat i, kind in kinds {\nuse own = block\nif kind == "a" or i == L - 1 {\nx += own(x)\n} else {\nx = own(x)\n}\n}`,
    `logits = ${tied ? 'x @ embed' : 'x @ head'}`, 'loss lm = mean[tokens](logsumexp[W](logits) - logits[labels])', '}',
  ].join('\n');
  return { name: 'net', text, timed: true, sizes: ['D', 'W'] };
}
