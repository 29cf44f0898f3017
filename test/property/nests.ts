import { randomSource } from '../../src/support/random.js';

/** A mixture within others, as text; what is to be judged is called `m`. */
export interface Nest {
  readonly text: string;
  readonly name: 'm';
}

interface Part {
  readonly name: string;
  /** Does it look at other tokens? Then it cannot be called at some of them. */
  readonly whole: boolean;
  /** It takes a number besides, and gives one. */
  readonly gated: boolean;
  /** Has it updates? It can be called once then. */
  readonly moves: boolean;
}

interface Writer {
  readonly chance: (p: number) => boolean;
  readonly below: (n: number) => number;
  readonly pick: <T>(list: readonly T[]) => T;
  readonly parts: Part[];
  readonly texts: string[];
}

/**
 * A tree of mixtures: experts are layers, or mixtures with losses, buffers and choices of their own; a mixture stands beside, before and
 * behind another; two choices read one call. Letters of axes come again in every part.
 */
export function nest(seed: number): Nest {
  const random = randomSource(seed, 'nest');
  const w: Writer = {
    chance: (p) => random.uniform() < p, below: (n) => random.below(n), pick: (list) => list[random.below(list.length)],
    parts: [], texts: [],
  };
  for (let n = 0; n < 2; n++) leaf(w, `leaf${n}`);
  const depth = 1 + w.below(3);
  for (let n = 0; n < depth; n++) mixture(w, `mix${n}`);
  around(w);
  return { name: 'm', text: w.texts.join('\n') };
}

const LEAVES = [
  'param up: [D, F], down: [F, D]\n  y = silu(x @ up) @ down',
  'param a, b: [D, F], down: [F, D], c: [F] = normal(0.3)\n  y = (tanh(x @ a + c) * (x @ b)) @ down',
  'param s: [D] = normal(1), c: [D] = normal(0.2)\n  y = x * s + c',
];

function leaf({ texts, parts, pick, chance }: Writer, name: string): void {
  const gated = chance(0.2);
  parts.push({ name, whole: false, gated, moves: false });
  texts.push(gated
    ? `layer ${name}(x: [D], g: []) -> y: [D], n: [] with D = 4 {\n  param v: [D]\n  y = g * tanh(x * v)\n  n = sum[D](x * v) - g\n}`
    : `layer ${name}(x: [D]) -> y: [D] with D = 4, F = 3 {\n  ${pick(LEAVES)}\n}`);
}

/** The call of a part on x, with the number that it may want. */
function called({ chance }: Writer, { gated }: Part, lines: string[], x: string, number: string): string {
  if (!gated) return `expert(${x})`;
  lines.push(`let r, q = expert(${x}, ${number})`);
  return chance(0.5) ? 'r' : '(r * q)';
}

function mixture(w: Writer, name: string): void {
  const { pick, chance, below, parts, texts } = w;
  const grouped = chance(0.25);
  const axes = grouped ? 'G, M' : pick(['E', 'E', 'C']);
  const sizes = grouped ? 'G = 2, M = 2' : `${axes} = ${2 + below(3)}`;
  const all = grouped ? 4 : Number(sizes.slice(-1));
  const lines: string[] = [];
  const params = [`gate: [D, ${axes}] = normal(1)`];
  const moves = chance(0.3);
  let whole = false;
  const say = (line: string): string => {
    lines.push(`let v${lines.length} = ${line}`);
    return `v${lines.length - 1}`;
  };
  const z = say(pick(['x @ gate', 'f32(x) @ f32(gate)', '(x * x) @ gate']));
  const p = say(pick([`softmax[${axes}](${z})`, `sigmoid(${z})`, `exp(0.3 * ${z})`, `sqrt(softplus(${z}))`]));
  const s = moves ? say(`${p} + b`) : pick([z, p]);
  const choice = (): string => {
    const k = 1 + below(all);
    const kind = below(grouped ? 3 : 6);
    if (kind <= 1) return `top[${axes}, ${k}](${s})`;
    if (kind === 2) return grouped ? `top[G, M, ${Math.min(k, 2)}](${s}[${say(`top[G, 1](max[M](${s}))`)}])` : `${p} > 0.3`;
    if (kind === 3) return `${s} >= mean[${axes}](${s})`;
    whole = true;
    return pick([`top[tokens, ceil(tokens / 2)](${s})`, 'top[time, 2](S)', 'top[tokens, 3](P[first])']).replace('S', s)
      .replace('P[first]', `${p}[${say(`top[${axes}, ${k}](${s})`)}]`);
  };
  const chosen = say(choice());
  const held = chance(0.25) ? say(pick([`${chosen} and ${p} > 0.2`, `${chosen} or ${say(`top[${axes}, 1](-${s})`)}`])) : chosen;
  const inner = pick(parts.filter((part) => !part.moves || part.name.startsWith('mix')));
  const weight = pick([
    `${p}[${held}]`, `softmax[${axes}](${z}[${held}])`, `${p}[${held}] / (sum[${axes}](${p}[${held}]) + 0.01)`, `tanh(${z}[${held}])`
  ]);
  const own = called(w, inner, lines, inner.whole ? 'x' : pick(['x', 'x', '0.5 * x']), pick([p, 'sum[D](x)']));
  const call = chance(0.4) ? say(own) : own;
  const within = !inner.whole && !inner.gated && chance(0.2);
  const outer = within ? `sum[${axes}](expert(outer(${weight}, x)))` : `sum[${axes}](${weight} * ${call})`;
  const rest = pick(['', '', ' + 0.3 * x', ' + beside(x)', ` + 0.1 * sum[${axes}](${p}[not ${held}] * ${call})`]);
  const uses = [`use expert[${axes}] = ${inner.name}`, ...(rest.includes('beside') ? ['use beside = leaf_plain'] : [])];
  lines.push(`y = ${outer}${rest}`);
  const loss = below(6);
  if (loss === 0) lines.push(`loss even = 0.1 * sum[${axes}](mean[tokens](mask(${held})) * mean[tokens](${p}))`);
  if (loss === 1) lines.push(`loss even = mean[batch](sum[${axes}](mean[time](mask(${held})) * mean[time](${p})))`);
  if (loss === 2) lines.push(`loss z = 0.01 * mean[tokens](logsumexp[${axes}](${z})^2)`);
  if (loss === 3) lines.push(`loss size = mean[tokens](sum[D](y * y))`);
  if (loss === 0 || loss === 1 || loss === 2 || loss === 3) whole = true;
  if (moves) {
    whole = true;
    lines.push(`let n = sum[tokens, calls](mask(${held}))`, `update b += 0.1 * sign(mean[${axes}](n) - n)`);
  }
  parts.push({ name, whole: whole || inner.whole, gated: false, moves: moves || inner.moves });
  texts.push(`moe ${name}(x: [D]) -> y: [D] with D = 4, ${sizes} {
  param ${params.join(', ')}${moves ? `\n  buffer b: [${axes}] = normal(0.2)` : ''}
  ${uses.join('\n  ')}
  ${lines.join('\n  ')}\n}`);
}

/** What calls the last of them: behind itself, beside a layer, over an axis of its input. */
function around(w: Writer): void {
  const { pick, chance, parts, texts } = w;
  const last = parts[parts.length - 1];
  texts.unshift('layer leaf_plain(x: [D]) -> y: [D] with D = 4, F = 3 {\n  param up: [D, F], down: [F, D]\n  y = relu(x @ up) @ down\n}');
  const ways = {
    once: 'use inner = LAST\n  y = inner(x)',
    beside: 'use inner = LAST\n  use other = leaf_plain\n  y = inner(other(x)) + x',
    behind: 'use inner = LAST\n  y = inner(x + inner(x))',
    mapped: 'use inner = LAST\n  param w: [D, H] = normal(1)\n  y = sum[H](inner(x * w))',
    twice: 'use part[H] = LAST\n  y = sum[H](part(x)) / 2',
  };
  const { once, beside } = ways;
  const body = pick(last.moves ? [once, beside] : Object.values(ways)).replaceAll('LAST', last.name);
  const loss = chance(0.3) ? '\n  loss all = mean[tokens](sum[D](y^2))' : '';
  texts.push(`layer m(x: [D]) -> y: [D] with D = 4, H = 2 {\n  ${body}${loss}\n}`);
}
