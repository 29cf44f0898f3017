import { randomSource, type RandomSource } from '../../src/support/random.js';

/** Sizes of the axes that drafts use; I is for turns of `rope`. */
const SIZES: Readonly<Record<string, number>> = { A: 2, B: 3, C: 2, T: 3, I: 1 };
const NAMES = ['A', 'B', 'C'];

interface Draft {
  readonly text: string;
  readonly axes: readonly string[];
}

export interface LayerDraft {
  readonly text: string;
  readonly name: string;
  /**
   * May tokens of a sequence, or sequences, know of each other in another way than by the past? Then there is no step, and packing shows.
   */
  readonly folds: boolean;
}

/** What a draft may hold. */
interface Habits {
  readonly folds: boolean;
  readonly looksBack: boolean;
  readonly depth: number;
}

/**
 * A random layer, in text: values are named one by one and read again later, choices restrict what is chosen by, parts are called with
 * restricted arguments, in families and over mapped axes. Not every draft is a right program; the checker says which.
 */
export function draftLayer(seed: number): LayerDraft {
  const random = randomSource(seed, 'layer');
  const habits: Habits = { folds: random.uniform() < 0.4, looksBack: random.uniform() < 0.7, depth: 0 };
  const step = 'S = exp(g) * S[t-1] + k * v   o = S + k';
  const scan = `scan lin(k: [A], v: [A], g: [] in -inf..0) -> o: [A] with A = 2 { state S: [A]   ${step} }\n`;
  const inner = draftPart(random, 'inner', { ...habits, depth: 1 });
  const outer = draftPart(random, 'drafted', habits);
  return { text: scan + inner + outer, name: 'drafted', folds: habits.folds };
}

function draftPart(random: RandomSource, name: string, habits: Habits): string {
  const pick = <T>(list: readonly T[]): T => list[random.below(list.length)];
  const main = habits.depth === 0;
  const inputs: Draft[] = [{ text: 'x', axes: ['A'] }];
  if (main) inputs.push({ text: 'z', axes: ['A', 'B'] }, { text: 's', axes: ['B'] });
  const values = [...inputs];
  const choices: Draft[] = [];
  const params: string[] = [];
  const lines: string[] = [];
  const uses: string[] = [];
  let count = 0;
  const param = (axes: readonly string[]): string => {
    params.push(`w${params.length}: [${axes.join(', ')}]`);
    return `w${params.length - 1}`;
  };
  const say = (list: Draft[], made: Draft | undefined): void => {
    if (made === undefined) return;
    lines.push(`let v${count} = ${made.text}`);
    list.push({ text: `v${count++}`, axes: made.axes });
  };
  const withAxis = (axis: string): Draft | undefined => {
    const found = values.filter(({ axes }) => axes.includes(axis));
    return found.length === 0 ? undefined : pick(found);
  };
  const without = (axes: readonly string[], gone: string): string[] => axes.filter((axis) => axis !== gone);
  const union = (a: readonly string[], b: readonly string[]): string[] => [...new Set([...a, ...b])];
  const latest = (): Draft =>
    (random.uniform() < 0.6 ? values[values.length - 1 - random.below(Math.min(3, values.length))] : pick(values));

  /** One statement: a value or a choice. */
  const makers: (() => void)[] = [
    () => {
      const v = latest();
      say(values, { text: `${pick(['tanh', 'sigmoid', 'silu', 'softplus', 'gelu'])}(${v.text})`, axes: v.axes });
    },
    () => {
      const [a, b] = [latest(), pick(values)];
      const covers = b.axes.every((axis) => a.axes.includes(axis)) || a.axes.every((axis) => b.axes.includes(axis));
      const disjoint = !a.axes.some((axis) => b.axes.includes(axis));
      if (covers) say(values, { text: `${a.text} ${pick(['+', '-', '*'])} ${b.text}`, axes: union(a.axes, b.axes) });
      else if (disjoint) say(values, { text: `outer(${a.text}, ${b.text})`, axes: union(a.axes, b.axes) });
    },
    () => {
      const v = latest();
      if (v.axes.length === 0) return;
      const [axis, out] = [pick(v.axes), pick(NAMES)];
      if (v.axes.includes(out)) return;
      say(values, { text: `${v.text} @[${axis}] ${param([axis, out])}`, axes: union(without(v.axes, axis), [out]) });
    },
    () => {
      const axis = pick(NAMES);
      const [a, b] = [withAxis(axis), withAxis(axis)];
      if (a && b && a.text !== b.text) say(values, { text: `${a.text} @[${axis}] ${b.text}`, axes: without(union(a.axes, b.axes), axis) });
    },
    () => {
      const v = latest();
      if (v.axes.length === 0) return;
      const axis = pick(v.axes);
      const op = pick(['sum', 'mean', 'max', 'min', 'prod', 'logsumexp']);
      if (random.uniform() < 0.5) say(values, { text: `${op}[${axis}](${v.text})`, axes: without(v.axes, axis) });
      else say(values, { text: pick([`softmax[${axis}](${v.text})`, `rmsnorm[${axis}](${v.text}, eps: 0.3)`]), axes: v.axes });
    },
    () => {
      const v = latest();
      if (v.axes.length === 0) return;
      say(choices, { text: `top[${pick(v.axes)}, ${1 + random.below(2)}](${v.text})`, axes: v.axes });
    },
    () => {
      const v = latest();
      say(choices, { text: `${v.text} ${pick(['>', '<='])} ${pick(['0', '0.3', '-0.2'])}`, axes: v.axes });
    },
    () => {
      if (choices.length === 0) return;
      const [a, b] = [pick(choices), pick(choices)];
      if (random.uniform() < 0.4) say(choices, { text: `not ${a.text}`, axes: a.axes });
      else if (b.axes.every((axis) => a.axes.includes(axis))) {
        say(choices, { text: `${a.text} ${pick(['and', 'or'])} ${b.text}`, axes: a.axes });
      }
    },
    () => {
      if (choices.length === 0) return;
      const [c, v] = [pick(choices), latest()];
      if (random.uniform() < 0.25) say(values, { text: `mask(${c.text})`, axes: c.axes });
      else say(values, { text: `${v.text}[${c.text}]`, axes: union(v.axes, c.axes) });
    },
    () => {
      const v = withAxis('B');
      if (v && main) say(values, { text: `${v.text}[i]`, axes: without(v.axes, 'B') });
    },
    () => {
      const v = latest();
      say(values, { text: pick([`dropout(${v.text}, 0.3)`, `${v.text} * (1 + 0.3 * uniform())`,
        `${v.text} + 0.2 * normal[${pick(NAMES)}]()`]), axes: v.axes });
    },
    () => {
      // A part on some of the tokens: for each index of a choice that lacks the axis of its signature.
      const v = withAxis('A');
      if (v === undefined || !main) return;
      say(choices, { text: pick(['top[B, 1](s)', 's > -0.2', 'top[B, 2](z @[A] x)', 'not (s > 0.3)']), axes: ['B'] });
      const c = choices[choices.length - 1];
      say(values, { text: `inner(${v.text}[${c.text}])`, axes: union(without(union(v.axes, c.axes), 'A'), ['A']) });
    },
    () => {
      const v = withAxis('A');
      if (v === undefined || !main) return;
      if (random.uniform() < 0.5) {
        say(values, { text: `inner(${v.text})`, axes: union(without(v.axes, 'A'), ['A']) });
        return;
      }
      const family = pick(['B', 'C']);
      uses.push(`use part${uses.length}[${family}] = inner`);
      say(values, { text: `part${uses.length - 1}(${v.text})`, axes: union([family], v.axes) });
    },
  ];
  if (habits.looksBack) {
    makers.push(
      () => {
        const v = latest();
        say(values, { text: random.uniform() < 0.5 ? `${v.text}[t-1]` : `conv[T](${v.text}, ${param(['T', ...v.axes])})`, axes: v.axes });
      },
      () => {
        const [q, k, v] = [withAxis('A'), withAxis('A'), latest()];
        if (q === undefined || k === undefined) return;
        const seen = `seen${count}`;
        lines.push(`let ${seen} = ${pick(['past', 'past[2]'])}`);
        const logits = `${q.text} @[A] ${k.text}[${seen}]`;
        say(values, { text: `softmax[${seen}](${logits}) @[${seen}] ${v.text}[${seen}]`,
          axes: union(without(union(q.axes, k.axes), 'A'), v.axes) });
      },
      () => {
        const [a, b] = [withAxis('A'), withAxis('A')];
        if (a === undefined || b === undefined) return;
        const axes = union(union(without(a.axes, 'A'), without(b.axes, 'A')), ['A']);
        say(values, { text: `lin(${a.text}, ${b.text}, -softplus(${param([])} + sum[A](x)))`, axes });
      },
      () => {
        const v = withAxis('A');
        if (v) say(values, { text: `rope[A](${v.text}, f, pairs: ${pick(['halves', 'adjacent'])})`, axes: v.axes });
      },
    );
  }
  if (habits.folds) {
    makers.push(
      () => {
        const v = latest();
        say(values, { text: pick([`${v.text} - mean[tokens](${v.text})`, `${v.text} * sum[time](${v.text})`,
          `mean[batch](max[time](${v.text}))`]), axes: v.axes });
      },
      () => {
        const v = latest();
        say(choices, { text: `top[${pick(['tokens', 'time'])}, ${pick(['2', 'ceil(tokens / 2)', '1'])}](${v.text})`, axes: v.axes });
      },
    );
  }
  const statements = main ? 7 + random.below(7) : 2 + random.below(3);
  for (let n = 0; n < statements; n++) pick(makers)();

  const outs = main ? values.slice(-2) : [values.filter(({ axes }) => axes.length === 1 && axes[0] === 'A').at(-1) ?? values[0]];
  lines.push('let nil = 0 * sum[A](x)');
  outs.forEach((out, n) => lines.push(`y${n} = nil + sum[](${out.text})`));
  const { text, axes } = outs[0];
  if (
    habits.folds && random.uniform() < 0.6
  ) lines.push(`loss l = mean[tokens](${axes.length > 0 ? `sum[${axes.join(', ')}](${text})` : text})`);
  const signature = main ? 'x: [A], z: [A, B], s: [B], i: one of B' : 'x: [A]';
  const outputs = outs.map((out, n) => `y${n}: [${(main ? out.axes : ['A']).join(', ')}]`).join(', ');
  const sizes = Object.entries(SIZES).map(([axis, size]) => `${axis} = ${size}`).join(', ');
  const head = [...(params.length > 0 ? [`param ${params.join(', ')}`] : []), 'const f = 0.7 + index[I]', ...uses];
  return `layer ${name}(${signature}) -> ${outputs} with ${sizes} {\n  ${[...head, ...lines].join('\n  ')}\n}\n`;
}
