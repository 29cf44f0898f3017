import {
  bind, block, chance, fresh, isEndo, leaf, other, param, pick, settings, shape, sizeOf, some, spell, union, without, type Axes, type Named,
  type Spelling, type Writer,
} from './goals.js';

/**
 * Random layers goal first: what axes a value must have is settled before how it comes about, so formulas nest deeply; parts are called at
 * any depth, with settings that go through several levels; and every seed has two spellings of one meaning. The second writes out by hand
 * what the first says shortly: folds, norms, windows, taps, turns, restrictions.
 */
export function generateGoals(seed: number, long = false): Spelling {
  return spell(seed, long, write);
}

/** A formula, or nothing where it cannot be had; whoever gives nothing has written nothing. */
type Form = (w: Writer, goal: Axes, depth: number) => string | undefined;

const UNARY = [
  'tanh(X)', 'sigmoid(X)', 'silu(X)', '(-X)', '(0.5 - X)', 'softplus(X)', 'sin(2 * X)', 'gelu(X)', '(X * (training + 1))', '(size * X)',
  'clamp(X, -2, 2)', 'f32(tanh(X))', 'expm1(0.3 * sin(X))', 'normal_cdf(X)', '(1 + tanh(X))^-0.5', '-tanh(X)^2',
];
const BINARY = [
  '(X + Y)', '(X - Y)', '(X * Y)', '(X / (1.5 + sin(Y)))', '(X * sigmoid(Y))', 'max(X, Y)', 'min(X, Y)', '(Y * X)', '(Y - X)',
];

function folded(w: Writer, op: string, axes: Axes, text: string): string {
  if (!w.long || !['sum', 'mean'].includes(op)) return `${op}${shape(axes)}(${text})`;
  const inner = axes.reduce((x, axis) => `sum[${axis}](${x})`, text);
  return op === 'sum' ? inner : `(${inner} / (${axes.join(' * ')}))`;
}

/** Formulas that any part may hold. */
const FORMS: readonly Form[] = [
  (w, goal, depth) => {
    const form = pick(w, UNARY);
    const x = bind(w, goal, write(w, goal, depth));
    return form.replaceAll('X', x);
  },
  (w, goal, depth) => {
    const [x, y] = [bind(w, goal, write(w, goal, depth)), write(w, some(w, goal), depth - 1)];
    return pick(w, BINARY).replaceAll('X', x).replaceAll('Y', y);
  },
  (w, goal, depth) => {
    const left = some(w, goal);
    const [a, b] = [write(w, left, depth), write(w, without(goal, left), depth - 1)];
    if (left.length === 0 || left.length === goal.length) return `(${a} * ${b})`;
    return `outer(${w.long ? `${b}, ${a}` : `${a}, ${b}`})`;
  },
  (w, goal, depth) => {
    const axis = other(w, goal);
    if (axis === undefined) return undefined;
    const left = some(w, goal);
    const right = union(without(goal, left), some(w, left));
    const [a, b] = [write(w, [...left, axis], depth), write(w, [axis, ...right], depth - 1)];
    return w.long ? `(${b} @[${axis}] ${a})` : `(${a} @[${axis}] ${b})`;
  },
  (w, goal, depth) => {
    const axis = other(w, goal);
    if (axis === undefined) return undefined;
    return folded(w, pick(w, ['sum', 'mean', 'max', 'min', 'logsumexp', 'prod']), [axis], write(w, union([axis], goal), depth));
  },
  (w, goal, depth) => {
    if (goal.length === 0) return undefined;
    const at = shape(union([pick(w, goal)], some(w, goal)));
    const [kind, x] = [w.random.below(5), bind(w, goal, write(w, goal, depth))];
    if (kind === 0) return w.long ? `(exp(${x}) / sum${at}(exp(${x})))` : `softmax${at}(${x})`;
    if (kind === 1) return w.long ? `(exp(${x}) / (sum${at}(exp(${x})) + exp(size)))` : `softmax${at}(${x}, sink: size)`;
    if (kind === 2) return w.long ? `(${x} / sqrt(mean${at}(${x}^2) + 0.2))` : `rmsnorm${at}(${x}, eps: 0.2)`;
    if (kind === 3) return w.long ? `(${x} - log(sum${at}(exp(${x}))))` : `log_softmax${at}(${x})`;
    const away = `(${x} - mean${at}(${x}))`;
    return w.long ? `(${away} / sqrt(mean${at}(${away}^2) + 0.3))` : `layernorm${at}(${x}, eps: 0.3)`;
  },
  // Choices, and what is read at them.
  (w, goal, depth) => (goal.length === 0 ? undefined : `sum[](${restricted(w, goal, choose(w, goal), depth)})`),
  (w, goal, depth) => {
    const axis = other(w, goal);
    if (axis === undefined) return undefined;
    const c = choose(w, union([axis], some(w, goal)), axis);
    const text = folded({ ...w, long: false }, pick(w, ['sum', 'mean', 'prod']), [axis], restricted(w, union([axis], goal), c, depth));
    return c.axes.length > 1 ? `sum[](${text})` : text;
  },
  (w, goal, depth) => {
    if (goal.length === 0) return undefined;
    const [c, x] = [choose(w, goal), bind(w, goal, write(w, goal, depth))];
    return w.long ? `(mask(${c.name}) * ${x})` : `sum[](${x}[${c.name}])`;
  },
  // Turns and branches.
  (w, goal, depth) => {
    const value = bind(w, goal, write(w, goal, depth));
    const [first, more] = [w.random.below(3), w.random.below(3)];
    const inner = goal.join() === 'A' ? useEndo(w) : 'sin';
    const body = (turn: string | number): string =>
      `${value} += ${inner}(${value}) / (${turn} + 1)\nif ${turn} % 2 == 0 {\n${value} = 0.5 * ${value}\n}`;
    if (!w.long) w.lines.push(`repeat turn in ${first}..${first + more} {\n${body('turn')}\n}`);
    else for (let i = first; i <= first + more; i++) w.lines.push(body(i));
    return value;
  },
  (w, goal, depth) => {
    const value = bind(w, goal, write(w, goal, depth));
    const branch = (): string => block(w, () => `${value} += ${write(w, goal, depth - 1)}`);
    const condition = pick(w, ['mode == "on"', 'size > 0.4', 'mode != "on" or size <= 0.4', 'not (size > 0.4 and mode == "on")']);
    const [yes, no] = [branch(), branch()];
    w.lines.push(w.long ? `if not (${condition}) {\n${no}\n} else {\n${yes}\n}` : `if ${condition} {\n${yes}\n} else {\n${no}\n}`);
    return value;
  },
  // Parts of their own for every turn, each with another number.
  (w, goal, depth) => {
    const part = w.parts.find((one) => isEndo(one) && (w.back || !one.back) && one.name !== 'inner');
    if (goal.join() !== 'A' || part === undefined || !w.trained) return undefined;
    const [value, own] = [bind(w, goal, write(w, goal, depth)), fresh(w, part.back ? 'timed' : 'own')];
    w.lines.push(`repeat turn, letter in "ab" {\nuse ${own} = ${part.name} with size = (turn + 1) / 3\n`
      + `if letter == "a" {\n${value} += ${own}(${value})\n} else {\n${value} = ${own}(${value} / 2)\n}\n}`);
    return value;
  },
  (w, goal, depth) => {
    if (!w.indexed || goal.includes('B')) return undefined;
    return `${bind(w, [...goal, 'B'], write(w, [...goal, 'B'], depth))}[i]`;
  },
  (w, goal, depth) => {
    const x = bind(w, goal, write(w, goal, depth));
    // Elements are drawn by their number, in the order of the axes, which two spellings need not share.
    const dropped = goal.length < 2 ? [`dropout(${x}, 0.3)`] : [];
    return bind(w, goal, pick(w, [`${x} * (1 + 0.2 * uniform())`, `${x} + 0.1 * normal${shape(goal)}()`, ...dropped]));
  },
  (w, goal, depth) => called(w, goal, depth),
  (w, goal, depth) => called(w, goal, depth),
  (w, goal, depth) => family(w, goal, depth),
];

/** Formulas of layers that look back. */
const BACK: readonly Form[] = [
  (w, goal, depth) => `${bind(w, goal, write(w, goal, depth))}[t-1]`,
  (w, goal, depth) => {
    if (!w.trained) return undefined;
    const [x, taps] = [bind(w, goal, write(w, goal, depth)), param(w, ['T', ...goal])];
    if (!w.long) return `conv[T](${x}, ${taps})`;
    const tap = (n: number): string => {
      const at = goal.length === 0 ? 'index[T]' : `floor(index[T, ${goal.join(', ')}] / (${goal.join(' * ')}))`;
      return `sum[T](mask(${at} == ${n}) * ${taps})`;
    };
    // The axes of the left factor come first, as conv has them: draws of what is called with this value go by its lanes.
    return `(${x} * ${tap(1)} + ${x}[t-1] * ${tap(0)})`;
  },
  // Attention: over all that came before, in a window, or where a relation holds.
  (w, goal, depth) => {
    const k = other(w, goal);
    if (k === undefined) return undefined;
    const heads = some(w, goal);
    const [q, key, v] = [write(w, [...heads, k], depth - 1), bind(w, [k], write(w, [k], depth - 1)), bind(w, goal, write(w, goal, depth))];
    const [n, kind, near, place, s] = [1 + w.random.below(3), w.random.below(3), fresh(w, 'near'), fresh(w, 'place'), fresh(w, 's')];
    w.lines.push(`let ${near} = ${kind === 0 || w.long ? 'past' : `past[${n}]`}`, `let ${place} = index[time]`);
    w.lines.push(`let ${s} = ${q} @[${k}] ${key}[${near}]`);
    const held = kind > 0 && w.long ? `${s}[${place} - ${place}[${near}] < ${n}]` : s;
    if (kind < 2) return `(softmax[${near}](${held}) @[${near}] ${v}[${near}])`;
    return `sum[${near}](softmax[${near}](tanh(${held}), sink: 0.2) * ${v}[${near}])`;
  },
  // Values of the past by themselves: folded, and chosen among.
  (w, goal, depth) => {
    const x = bind(w, goal, write(w, goal, depth));
    const [k, near, c, n, kind] = [fresh(w, 'k'), fresh(w, 'near'), fresh(w, 'c'), 1 + w.random.below(3), w.random.below(5)];
    w.lines.push(`let ${near} = ${pick(w, ['past', `past[${n}]`])}`, `let ${k} = ${x}[${near}]`);
    if (kind === 0) return `max[${near}](sin(${k}) * ${x})`;
    if (kind === 1) {
      return `sum[${near}](softmax[${near}](${k}) * ${pick(w, ['sin', 'tanh', 'silu'])}(${k}))`;
    }
    const s = untrained(w, goal);
    const from = fresh(w, 's');
    const relation = pick(w, [`top[${near}, ${n}](${from}[${near}])`, `${from}[${near}] > 0.1`]);
    w.lines.push(`let ${from} = ${s} + 0.1 * index[time]`, `let ${c} = ${relation}`);
    if (kind === 2) return `sum[${near}](${k}[${c}] / (1 + ${x}^2))`;
    if (kind === 3) return `sum[](sum[${near}](softmax[${near}](${k}[${c}]) * ${k}))`;
    return w.long ? `sum[${near}](mask(${c}) * ${k})` : `sum[${near}](sum[](${k}[${c}]))`;
  },
  (w, goal, depth) => {
    const one = pick(w, w.scans);
    const heads = without(goal, one.output);
    const fits = heads.length + one.output.length === goal.length && !one.inputs.flat().some((axis) => heads.includes(axis));
    if (!w.trained || !fits) return undefined;
    const use = fresh(w, 'scan');
  if (one.inputs.flat().includes('K')) w.used.add('K');
    w.head.push(`use ${use} = ${one.name}`);
    return `${use}(${one.inputs.map((axes) => writeAxes(w, heads, axes, depth - 2)).join(', ')})`;
  },
];

/** Formulas that know all tokens of a call. */
const WHOLE: readonly Form[] = [
  (w, goal, depth) => {
    const x = bind(w, goal, write(w, goal, depth));
    return w.long ? `(${x} - sum[tokens](${x}) / max(tokens, 1))` : `(${x} - mean[tokens](${x}))`;
  },
  (w, goal, depth) => {
    const x = bind(w, goal, write(w, goal, depth));
    return pick(w, [`(${x} * max[time](${x}))`, `(${x} + mean[batch](mean[time](${x})))`, `(${x} / (1 + sum[time](${x}^2)))`]);
  },
  (w, goal, depth) => {
    const [x, s] = [bind(w, goal, write(w, goal, depth)), fresh(w, 's')];
    w.lines.push(`let ${s} = ${untrained(w, goal)} + 0.013 * index[time]`);
    const c = bindChoice(w, goal, `top[time, ${pick(w, ['2', 'ceil(time / 2)', 'min(time, 2)'])}](${s})`);
    return pick(w, [`sum[](${x}[${c.name}])`, `(${x} + mean[time](${x}[${c.name}]))`]);
  },
];

/** Axes that are no letters, such as K of a scan, come last, from a weight. */
function writeAxes(w: Writer, heads: Axes, axes: Axes, depth: number): string {
  if (!axes.includes('K')) return write(w, [...heads, ...axes], depth);
  return heads.length === 0 ? `(${write(w, [], depth)} * sin(1 + index[K]))` : `outer(${write(w, heads, depth)}, sin(1 + index[K]))`;
}

function untrained(w: Writer, axes: Axes): string {
  const { trained } = w;
  w.trained = false;
  const text = leaf(w, axes);
  w.trained = trained;
  return text;
}

function bindChoice(w: Writer, axes: Axes, text: string): Named {
  const made = fresh(w, 'c');
  w.lines.push(`let ${made} = ${text}`);
  return { name: made, axes };
}

/** A choice with these axes: of the largest, by comparisons, of what another one left. */
function choose(w: Writer, axes: Axes, along = pick(w, axes)): Named {
  const s = fresh(w, 's');
  const text = untrained(w, axes);
  w.lines.push(`let ${s} = ${text}`);
  const first = `top[${along}, ${1 + w.random.below(sizeOf(along))}](${s})`;
  const before = bindChoice(w, axes, pick(w, [first, `${s} > 0.1`, `not ${s} > 0.3`, `${s} >= -0.5 and ${s} < 0.5 or ${s} > 1`]));
  return bindChoice(w, axes, pick(w, [
    before.name, before.name, `not ${before.name}`, `${before.name} and not ${s} < -0.4`, `top[${along}, 1](${s}[${before.name}])`,
    `not top[${along}, 1](-${s}[${before.name}])`, `top[${axes.join(', ')}, 1](${s}[not ${before.name}])`, `${before.name} or ${s} > 0`,
  ]));
}

/** A value with these axes that is restricted to a choice. */
function restricted(w: Writer, goal: Axes, c: Named, depth: number): string {
  const made = depth > 1 && chance(w, 0.4) ? called(w, goal, depth - 1, c) : undefined;
  if (made !== undefined) return made;
  const at = `${bind(w, goal, write(w, goal, depth - 1))}[${c.name}]`;
  const along = pick(w, c.axes);
  if (chance(w, 0.2)) return `(${at} * ${write(w, some(w, goal), depth - 1)})`;
  return pick(w, [at, `tanh(${at})`, `softmax[${along}](${at})`,
    `rmsnorm[${along}](${at}, eps: 0.3)`, `(${at} - mean[${along}](${at}))`]);
}

/** A call of a part, over whatever axes it does not name; of the tokens of a choice if there is one. */
function called(w: Writer, goal: Axes, depth: number, c?: Named): string | undefined {
  const fits = w.parts.filter(({ back, inputs, output }) => {
    const rest = without(goal, output);
    return (w.back || !back) && output.every((axis) => goal.includes(axis)) && !rest.some((axis) => inputs.flat().includes(axis))
      && (c === undefined || c.axes.every((axis) => rest.includes(axis)));
  });
  if (fits.length === 0 || !w.trained) return undefined;
  const part = pick(w, fits);
  const use = fresh(w, part.back ? 'timed' : 'own');
  w.head.push(`use ${use} = ${part.name}${settings(w, part)}`);
  const rest = without(goal, part.output);
  const args = part.inputs.map((axes, i) => {
    const own = i === 0 ? union(axes, rest) : axes;
    return bind(w, own, write(w, own, depth - 1));
  });
  return `${use}(${args.map((arg, i) => (i === 0 && c !== undefined ? `${arg}[${c.name}]` : arg)).join(', ')})`;
}

/** For the turns of a value with the axis A. */
function useEndo(w: Writer): string {
  const fits = w.parts.filter((part) => isEndo(part) && (w.back || !part.back));
  if (fits.length === 0 || !w.trained) return 'sin';
  const part = pick(w, fits);
  const use = fresh(w, part.back ? 'timed' : 'own');
  w.head.push(`use ${use} = ${part.name}${settings(w, part)}`);
  return use;
}

/** Experts, with losses and counts beside them. */
function family(w: Writer, goal: Axes, depth: number): string | undefined {
  const fits = w.parts.filter(({ back, inputs, output }) => (w.back || !back) && inputs.length === 1
    && output.every((axis) => goal.includes(axis)) && !without(goal, output).some((axis) => inputs[0].includes(axis)));
  if (fits.length === 0 || !w.trained) return undefined;
  const part = pick(w, fits);
  const [use, lanes] = [fresh(w, part.back ? 'timed' : 'family'), pick(w, [['E'], ['E', 'P'], ['P']])];
  w.head.push(`use ${use}${shape(lanes)} = ${part.name}${settings(w, part)}`);
  const own = union(part.inputs[0], without(goal, part.output));
  const x = bind(w, own, write(w, own, depth - 1));
  const z = bind(w, lanes, `${leaf(w, ['A'])} @ ${param(w, ['A', ...lanes])}`);
  const c = choose(w, lanes);
  if (chance(w, 0.4)) {
    const b = fresh(w, 'b');
    w.head.unshift(`buffer ${b}: ${shape(lanes)} = 0`);
    const n = `sum[tokens, calls](mask(${c.name}))`;
    w.lines.push(`update ${b} += 0.1 * sign(${folded(w, 'mean', lanes, n)} - ${n})`);
    w.lines.push(`loss ${fresh(w, 'even')} = 0.1 * ${folded(w, 'sum', lanes,
      `(mean[tokens](mask(${c.name})) * mean[tokens](sigmoid(${z})) + ${b})`)}`);
  }
  const gates = pick(w, [`${z}[${c.name}]`, `softmax${shape(lanes)}(${z}[${c.name}])`]);
  const at = chance(w, 0.5) && c.axes.length === lanes.length ? `${use}(${bindAt(w, x, own, c)})` : `${use}(${x})`;
  return `(${gates} @${shape(lanes)} ${at})`;
}

/** What only the tokens of a choice bring. */
function bindAt(w: Writer, x: string, axes: Axes, c: Named): string {
  return axes.some((axis) => c.axes.includes(axis)) ? x : `${x}[${c.name}]`;
}

function write(w: Writer, goal: Axes, depth: number): string {
  if (depth <= 0) return leaf(w, goal);
  for (const axis of goal) w.used.add(axis);
  const pool = [FORMS, FORMS, ...(w.back ? [BACK] : []), ...(w.folds ? [WHOLE] : [])];
  for (let tries = 0; tries < 4; tries++) {
    const text = pick(w, pick(w, pool))(w, goal, depth - 1);
    if (text !== undefined) return text;
  }
  return leaf(w, goal);
}
