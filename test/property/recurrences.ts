import { newDraft, type Draft } from './draft.js';

/** A scan that somebody might have written. */
export interface Recurrence {
  readonly source: string;
  readonly name: string;
  /** A size for each axis. */
  readonly sizes: ReadonlyMap<string, number>;
  /** Values at and near the ends of what gates take, by input and param. */
  readonly ends: ReadonlyMap<string, readonly number[]>;
  /** What it is made of, for messages and for counting what a set of seeds covers. */
  readonly features: readonly string[];
}

export interface RecurrenceOptions {
  /** Sizes to choose from; small ones unless given. */
  readonly sizes?: readonly number[];
}

const SMALL = [1, 2, 3, 4, 5];

/**
 * A random recurrence that has a chunked form: any mix of decays, reads before and after the update, bonus terms, erases of one or two
 * factors, several writes, elementwise scans, normalisers, chained states, shared heads, skips, and prologues and epilogues with their
 * params. The same seed gives the same text.
 */
export function randomRecurrence(seed: number, options: RecurrenceOptions = {}): Recurrence {
  const d = newDraft(seed);
  const [row, column, slot] = d.pick([['K', 'V', 'M'], ['N', 'P', 'M'], ['D', 'E', 'F']]).map(d.fresh);
  switch (d.choose('scan', [['matrix', 10], ['normalised', 2], ['chained', 3], ['elementwise', 3], ['grid', 1], ['prescan', 2]])) {
    case 'matrix':
      finish(d, column, matrix(d, row, column));
      break;
    case 'normalised':
      finish(d, column, normalised(d, row, column));
      break;
    case 'chained':
      finish(d, column, chained(d, row, slot, column));
      break;
    case 'elementwise':
      elementwise(d, column);
      break;
    case 'grid':
      finish(d, column, grid(d, row, column));
      break;
    case 'prescan':
      finish(d, column, matrix(d, row, column, prescan(d, row)));
      break;
  }
  const name = `random_${seed}`;
  const source = d.print(name);
  const axes = [row, column, slot].filter((axis) => new RegExp(`: \\[(\\w+, )*${axis}[\\],]`).test(source));
  return {
    source, name, sizes: new Map(axes.map((axis) => [axis, d.pick(options.sizes ?? SMALL)])), ends: d.ends, features: [...d.features],
  };
}

/** Epilogue: a skip, a gate, a norm; and sometimes a second output. */
function finish(d: Draft, column: string, read: string): void {
  let value = read;
  if (d.chance(0.2)) {
    d.features.add('skip');
    value = `${value} + ${d.param('D', d.pick([[], [column]]))} * ${d.input('x', [column])}`;
  }
  switch (d.choose('epilogue', [['none', 6], ['gate', 1.5], ['norm', 1]])) {
    case 'none':
      break;
    case 'gate':
      value = `(${value}) * ${d.pick(['silu', 'sigmoid', 'tanh', 'gelu'])}(${d.input('z', [column])})`;
      break;
    case 'norm':
      value = `rmsnorm[${column}](${value})`;
      break;
  }
  const o = d.fresh('o');
  d.output(o, [column], value);
  if (d.chance(0.15)) d.output(d.fresh('power'), [], `sum[${column}](${o} * ${o})`);
}

interface Decayed {
  /** `exp(g) * S[t-1]` */
  readonly text: string;
  readonly factor: string | undefined;
  /** The log gate, where it has a name. */
  readonly log: string | undefined;
  readonly axes: readonly string[];
}

/** `S[t-1]` with some decay: a number, or one along one of `vectors`. */
function decayed(d: Draft, state: string, vectors: readonly string[]): Decayed {
  const before = `${state}[t-1]`;
  const along = d.pick(vectors);
  switch (d.choose('decay', [['none', 1.5], ['constant', 1.5], ['scalar', 3], ['channel', 3 * vectors.length]])) {
    case 'none': return { text: before, factor: undefined, log: undefined, axes: [] };
    case 'constant': {
      const factor = d.constant('gamma', d.pick(['1 - 2^(-3 - head)', '0.9', 'exp(-1 / (head + 2))', 'exp(-2^(-4 * (head + 1) / heads))']));
      return { text: `${factor} * ${before}`, factor, log: undefined, axes: [] };
    }
    case 'scalar': {
      const { factor, log } = gate(d, []);
      return { text: `${factor} * ${before}`, factor, log, axes: [] };
    }
    case 'channel': {
      const axes = [along];
      d.features.add(`channels: axis ${vectors.indexOf(along)} of ${vectors.length}`);
      const { factor, log } = gate(d, axes);
      return { text: `${factor} * ${before}`, factor, log, axes };
    }
  }
}

/** Where exponentials and sigmoids end: in float64, in f32, and where they leave off to matter. */
const LOGITS = [-1e4, -200, -95, -40, 40, 95];
/** Near 0 a decay loses its logarithm's digits, at 0 the logarithm itself. */
const FACTORS = [0, 1e-40, 1e-12, 1e-3, 1 - 2 ** -24, 1];
const LOGS = [-Infinity, -1e4, -200, -79, -1e-5, -1e-12];

/** A factor that is not negative, in one of the ways that people write it. */
function gate(d: Draft, axes: readonly string[]): { readonly factor: string; readonly log: string | undefined } {
  const named = (log: string) => ({ factor: `exp(${log})`, log });
  const unnamed = (factor: string) => ({ factor, log: undefined });
  const logit = () => d.input('f', axes, { ends: LOGITS });
  const factor = () => d.input('a', d.pick([axes, axes, []]), { range: '0..1', ends: FACTORS });
  const spellings = [
    ['log', 4], ['bounded', 1], ['sigmoid', 2], ['softplus', 1], [
      'discretised', axes.length === 0 ? 1 : 0,
    ], ['linear', 2], ['complement', 1], ['trained', 0.5], ['constant of a param', 0.5],
    ['product', 1], ['quotient', 1], ['logistic', 0.5], ['square', 0.5], ['floor', 0.5],
  ] as const;
  switch (d.choose('gate', spellings)) {
    case 'log': return named(d.input('g', axes, { range: '-inf..0', ends: LOGS }));
    case 'bounded': return named(d.input('w', axes, { range: '-5..0', ends: [-5, -1e-12] }));
    case 'sigmoid': return unnamed(`sigmoid(${logit()})`);
    case 'softplus': return unnamed(`exp(-softplus(${logit()}))`);
    case 'discretised': {
      const delta = d.bind('delta', `softplus(${d.input('dt', [], { ends: LOGITS })} + ${d.param('dt_bias', [])})`);
      return unnamed(`exp(-exp(${d.param('A_log', [])}) * ${delta})`);
    }
    case 'linear': return unnamed(d.input('a', axes, { range: '0..1', ends: FACTORS }));
    case 'complement': return unnamed(`(1 - ${d.input('c', axes, { range: '0..1', ends: [0, 1e-12, 1 - 1e-12, 1] })})`);
    case 'trained': return unnamed(`exp(-softplus(${d.param('rate', axes)}))`);
    case 'constant of a param': return unnamed(d.param('gamma', axes, { range: '0..1', ends: FACTORS }));
    case 'product': return unnamed(d.pick([
      () => `${factor()} * sigmoid(${logit()})`, () => `exp(-softplus(${logit()})) * ${factor()}`,
      () => `sigmoid(${logit()}) * sigmoid(${logit()})`,
      () => `${factor()} * ${factor()}`,
    ])());
    case 'quotient': return unnamed(d.pick([
      () => `(${factor()} / (1 + ${d.input('c', axes, { range: '0..1' })}))`,
      () => `(sigmoid(${logit()}) / (1 + exp(${d.input('f', axes)})))`,
    ])());
    case 'logistic': return unnamed(`(1 / (1 + exp(${d.input('f', axes, { ends: [-1e4, -95, 95] })})))`);
    case 'square': return unnamed(`${d.input('a', axes, { range: '0..1', ends: FACTORS })}^2`);
    case 'floor': return unnamed(`max(${factor()}, ${d.pick(['0.1', '1e-6'])})`);
  }
}

/** A vector that addresses a state. */
function key(d: Draft, name: string, axis: string): string {
  const x = d.input(name, [axis], { group: d.chance(0.2) });
  switch (d.choose('key', [['plain', 5], ['l2norm', 2], ['both', 1], ['softmax', 0.5], ['gated', 1]])) {
    case 'plain': return x;
    case 'l2norm': return d.bind(`${x}n`, `l2norm[${axis}](${x})`);
    case 'both': return d.bind(`${x}n`, `l2norm[${axis}](silu(${x}))`);
    case 'softmax': return d.bind(`${x}n`, `softmax[${axis}](${x})`);
    case 'gated': return d.bind(`${x}n`, `${x} * sigmoid(${d.input('m', d.pick([[], [axis]]))})`);
  }
}

/** A vector that is written. */
function content(d: Draft, axis: string): string {
  const v = d.input('v', [axis]);
  switch (d.choose('content', [['plain', 5], ['shifted', 0.7], ['active', 1], ['gated', 1.5], ['trained', 0.5]])) {
    case 'plain': return v;
    case 'shifted': return d.bind('vs', `0.5 * (${v} + ${v}[t-1])`);
    case 'active': return d.bind('va', `${d.pick(['silu', 'tanh', 'gelu', 'sin', 'cos'])}(${v})`);
    case 'gated': return d.bind('vg', `${d.input('b', d.pick([[], [axis]]), { range: '0..1' })} * ${v}`);
    case 'trained': return d.bind('vt', `${v} * exp(${d.param('s', [axis])}) + ${d.param('t0', [axis])}`);
  }
}

function strength(d: Draft): string {
  switch (d.choose('strength', [['range', 2], ['sigmoid', 1], ['doubled', 0.5]])) {
    case 'range': return d.input('beta', [], { range: '0..1' });
    case 'sigmoid': return `sigmoid(${d.input('beta', [])})`;
    case 'doubled': return `2 * sigmoid(${d.input('beta', [])})`;
  }
}

interface Given {
  readonly key?: string;
  readonly content?: string;
  readonly query?: string;
}

/** A matrix state [row, column]; gives an expression for what is read from it, [column]. */
function matrix(d: Draft, row: string, column: string, given: Given = {}): string {
  const S = d.state(
    'S', d.choose('state order', [['rows first', 6], ['columns first', 1]]) === 'rows first' ? [row, column] : [column, row],
  );
  const erases = d.choose('erases', [['none', 5], ['one', 4], ['two', 1.5]]);
  const kept = decayed(d, S, erases === 'none' ? [row, column] : [row]);
  const v = given.content ?? content(d, column);
  const tied = given.key === undefined && erases === 'none' && kept.log !== undefined && kept.axes.includes(row) && d.chance(0.3);
  if (tied) d.features.add('key tied to the gate');
  // Erasing along a vector longer than 1 makes the state grow without end.
  const givenKey = given.key !== undefined && erases !== 'none' ? d.bind('ke', `l2norm[${row}](${given.key})`) : given.key;
  const k = givenKey ?? (tied ? d.bind('kt', `1 - exp(${kept.log ?? ''})`) : key(d, 'k', row));
  const P = kept.factor !== undefined && (erases !== 'none' || d.chance(0.3)) ? d.bind('P', kept.text) : kept.text;
  switch (erases) {
    case 'none': {
      const second = d.chance(0.2) ? ` + outer(${key(d, 'k', row)}, ${content(d, column)})` : '';
      if (second !== '') d.features.add('two writes');
      d.lines.push(`${S} = ${P} + outer(${k}, ${v})${second}`);
      break;
    }
    case 'one':
      d.lines.push(`${S} = ${erased(d, { S, P, current: P, row, k, v })}`);
      break;
    case 'two': {
      const Q = d.bind('Q', erased(d, { S, P, current: P, row, k, v }));
      d.lines.push(`${S} = ${erased(d, { S, P, current: Q, row, k: key(d, 'k', row), v: content(d, column) })}`);
      break;
    }
  }
  return reads(d, { S, P, row, k, v, query: given.query });
}

interface Erasing {
  readonly S: string;
  readonly P: string;
  /** What the write is added to. */
  readonly current: string;
  readonly row: string;
  readonly k: string;
  readonly v: string;
}

/** One factor: something is read from the state and taken away, or written elsewhere. */
function erased(d: Draft, { S, current, row, k, v }: Erasing): string {
  const read = d.choose('erase reads', [['current', 3], ['undecayed', 1]]) === 'current' ? current : `${S}[t-1]`;
  switch (d.choose('erase', [['delta', 4], ['apart', 1.5], ['channelled', 1], ['general', 1.5]])) {
    case 'delta': return `${current} + outer(${k}, ${strength(d)} * (${v} - ${k} @ ${read}))`;
    case 'apart': return `${current} + outer(${k}, ${strength(d)} * (${v} - ${key(d, 'p', row)} @ ${read}))`;
    case 'channelled': return `${current} + outer(${k}, ${v} - (${d.input('e', [row], { range: '0..1' })} * ${k}) @ ${read})`;
    case 'general':
      return `${current} + outer(${d.input('b', [row])}, ${strength(d)} * (${d.input('a', [row])} @ ${read})) + outer(${k}, ${v})`;
  }
}

interface Readable {
  readonly S: string;
  /** The state after its decay. */
  readonly P: string;
  readonly row: string;
  readonly k: string;
  readonly v: string;
  readonly query: string | undefined;
}

/** What is read from a matrix state: one read, or the sum of two. */
function reads(d: Draft, { S, P, row, k, v, query }: Readable): string {
  const one = (q: string): string => {
    const scale = d.pick(['', '', ` / sqrt(${row})`, ` * ${row}^(-0.5)`]);
    switch (d.choose('read', [['after', 6], ['before', 1.5], ['bonus', 1.5], ['decayed', 0.7]])) {
      case 'after': return `${q} @ ${S}${scale}`;
      case 'before': return `${q} @ ${S}[t-1]${scale}`;
      case 'bonus': return `${q} @ (${S}[t-1] + ${d.param('u', d.pick([[], [row]]))} * outer(${k}, ${v}))${scale}`;
      case 'decayed': return `${q} @ (${P})${scale}`;
    }
  };
  const first = one(query ?? key(d, 'q', row));
  if (!d.chance(0.15)) return first;
  d.features.add('two reads');
  return `${first} + ${one(key(d, 'q', row))}`;
}

/** A matrix state without erases, and a second one that sums its keys. */
function normalised(d: Draft, row: string, column: string): string {
  const [S, n] = [d.state('S', [row, column]), d.state('n', [row])];
  const kept = decayed(d, S, [row]);
  const [k, v, q] = [key(d, 'k', row), content(d, column), key(d, 'q', row)];
  const scale = d.chance(0.5) ? `${d.bind('i', `sigmoid(${d.input('i0', [])})`)} * ` : '';
  d.lines.push(`${S} = ${kept.text} + ${scale}outer(${k}, ${v})`, `${n} = ${kept.text.replace(`${S}[t-1]`, `${n}[t-1]`)} + ${scale}${k}`);
  const total = `${q} @ ${n}`;
  const divisor = d.pick([`sqrt(1 + (${total})^2)`, `max(abs(${total}), 1)`, `(2 + tanh(${total}))`]);
  return `${q} @ ${S} / ${divisor}`;
}

/** Two matrix states with a row-wise function between them. */
function chained(d: Draft, row: string, slot: string, column: string): string {
  const A = d.state('A', [row, slot]);
  const first = decayed(d, A, [slot]);
  const write = first.log !== undefined && first.axes.includes(slot)
    ? d.bind('write', `1 - exp(${first.log})`)
    : d.bind('write', `sigmoid(${d.input('s', [slot])})`);
  d.lines.push(`${A} = ${first.text} + outer(${key(d, 'k', row)}, ${write})`);
  const logits = `${key(d, 'q', row)} @ ${A}${d.pick(['', ` / sqrt(${row})`])}`;
  const weights = d.bind(
    'p', d.pick([`softmax[${slot}](${logits})`, `l2norm[${slot}](${logits})`, `silu(${logits})`, `sigmoid(${logits})`]),
  );
  return matrix(d, slot, column, { query: weights, ...(d.chance(0.6) ? { key: write } : {}) });
}

/** An elementwise state over tokens, whose value makes the key of a matrix state. */
function prescan(d: Draft, row: string): Given {
  const z = d.state('c', [row]);
  const kept = decayed(d, z, [row]);
  const k = key(d, 'k', row);
  d.lines.push(`${z} = ${kept.text} + ${k} * ${k}`);
  const seen = d.pick([z, `${z}[t-1]`]);
  return { key: d.bind('kz', d.pick([`${k} / sqrt(1 + ${seen}^2)`, `${k} * sigmoid(${seen})`])) };
}

/** A vector state, entry by entry; it may be the output itself. */
function elementwise(d: Draft, axis: string): void {
  const h = d.state('h', [axis]);
  const kept = decayed(d, h, [axis]);
  const x = content(d, axis);
  const write = kept.log !== undefined && d.chance(0.5)
    ? d.pick([`sqrt(1 - exp(2 * ${kept.log})) * ${x}`, `(1 - exp(${kept.log})) * ${x}`])
    : x;
  d.lines.push(`${h} = ${kept.text} + ${write}`);
  switch (d.choose('elementwise read', [['state', 3], ['after', 2], ['before', 1], ['both', 1], ['next', 1]])) {
    case 'state':
      d.output(h, [axis], undefined);
      break;
    case 'after':
      finish(d, axis, h);
      break;
    case 'before':
      finish(d, axis, `${h}[t-1]`);
      break;
    case 'both':
      finish(d, axis, `tanh(${h}) - ${h}[t-1]`);
      break;
    case 'next': {
      const h2 = d.state('h', [axis]);
      d.lines.push(`${h2} = ${decayed(d, h2, [axis]).text} + silu(${h})`);
      finish(d, axis, h2);
      break;
    }
  }
}

/** A matrix state whose decay differs in every entry. */
function grid(d: Draft, row: string, column: string): string {
  const S = d.state('S', [row, column]);
  const delta = d.bind('delta', `softplus(${d.input('dt', [column])})`);
  const A = d.param('A_log', [row, column]);
  d.lines.push(`${S} = exp(-exp(${A}) * ${delta}) * ${S}[t-1] + outer(${key(d, 'k', row)}, ${delta} * ${content(d, column)})`);
  return `${key(d, 'q', row)} @ ${d.pick([S, `${S}[t-1]`])}`;
}
