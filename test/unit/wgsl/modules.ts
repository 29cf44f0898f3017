import { COL, ROW, type Axis } from '../../../src/ir/common/axes.js';
import { buildKernel, type KernelBuilder, type KernelHead } from '../../../src/ir/tile/build.js';
import type { BufferRole, TileBuffer, TileModule } from '../../../src/ir/tile/tile.js';
import { math } from '../../../src/math/index.js';
import { scanPrograms, TOKENS } from '../../../src/passes/chunk/programs.js';
import { panels } from './panel-module.js';

const K = 8;
const V = 12;
const sizes = new Map<Axis, number>([['K', K], ['V', V], ['W', 96], ['half__', 4]]);

const buffer = (
  name: string, outer: TileBuffer['outer'], axes: readonly Axis[], role: BufferRole, more: Partial<TileBuffer> = {},
): TileBuffer => ({ name, outer, domain: TOKENS, inner: 'head', axes, dtype: 'f32', role, ...more });
const input = (name: string, axes: readonly Axis[], more: Partial<TileBuffer> = {}) => buffer(name, 'row', axes, 'input', more);

/** A module of kernels that all run in `forward`; each writes outputs of its own. */
function moduleOf(
  name: string, buffers: readonly TileBuffer[],
  kernels: readonly { readonly head: KernelHead; readonly write: (k: KernelBuilder) => void }[],
): TileModule {
  return {
    name, chunk: 16, sizes, domains: [TOKENS], buffers,
    kernels: kernels.map(({ head, write }) => buildKernel(head, write)),
    programs: scanPrograms(buffers, { forward: kernels.map(({ head }) => head.name) }),
  };
}

const head = (
  name: string, outer: KernelHead['outer'] = 'chunk', more: Partial<KernelHead> = {},
): KernelHead => ({ name, doc: `Tests ${name}.`, outer, domain: TOKENS, inner: 'head', ...more });

const x = input('x', ['K']);
const y = input('y', ['K']);
const g = input('g', ['K']);
const s = input('s', []);
const v = input('v', ['V']);

/** Operations that take one token tile and give one. */
function rowwise(): TileModule {
  const edge = buffer('edge', 'run', ['K'], 'initial');
  const outputs = [
    'keep', 'shift_down', 'shift_up', 'sum', 'exclusive', 'reverse', 'both', 'recur', 'recur_back', 'columns',
  ].map((name) => buffer(name, 'row', ['K'], 'output'));
  const first = buffer('first', 'chunk', ['K'], 'output');
  const last = buffer('last', 'chunk', ['K'], 'output');
  const norm = buffer('norm', 'row', [], 'output');
  const most = buffer('most', 'row', [], 'output');
  const least = buffer('least', 'row', [], 'output');
  const out = (name: string) => outputs.find((candidate) => candidate.name === name) ?? x;
  return moduleOf('rowwise', [x, y, s, edge, ...outputs, first, last, norm, most, least], [
    {
      head: head('rows'),
      write(k) {
        const rows = k.load(x);
        k.store(out('keep'), k.keep(k.map('div', k.literal(1), k.add(rows, k.literal(2)))));
        k.store(out('shift_down'), k.shift(rows, 1, k.load(edge)));
        k.store(out('shift_up'), k.shift(k.exp(rows), -1));
        k.store(out('sum'), k.decaySums(k.mul(rows, k.load(s))));
        k.store(out('exclusive'), k.decaySums(rows, { exclusive: true }));
        k.store(out('reverse'), k.cumsum(rows, { reverse: true }));
        k.store(out('both'), k.cumsum(rows, { exclusive: true, reverse: true }));
        k.store(out('columns'), k.load(x, 'col'));
        k.store(first, k.pick(rows, 'first'));
        k.store(last, k.pick(k.decaySums(rows), 'last'));
      },
    },
    {
      head: head('folds'),
      write(k) {
        const rows = k.load(x);
        k.store(norm, k.reduce('sum', 'K', k.mul(rows, rows)));
        k.store(most, k.reduce('max', 'K', rows));
        k.store(least, k.add(k.reduce('min', 'K', rows), k.mul(k.head(), k.heads())));
      },
    },
    {
      head: head('recurs'),
      write(k) {
        const decay = k.keep(k.exp(k.neg(k.map('abs', k.load(y)))));
        k.store(out('recur'), k.recur(decay, k.load(x), k.load(edge), false));
        k.store(out('recur_back'), k.recur(decay, k.load(x), k.load(edge), true));
      },
    },
  ]);
}

/** Sums over runs of neighbours, in blocks of the axis and without. */
function runs(): TileModule {
  const w = input('w', ['W']);
  const [one, each] = [buffer('one', 'row', ['W/8'], 'output'), buffer('each', 'row', ['W/8', 'K'], 'output')];
  const [all, some] = [buffer('all', 'row', [], 'output'), buffer('some', 'row', ['V/3'], 'output')];
  return moduleOf('runs', [w, x, v, one, each, all, some], [
    {
      head: head('blocks', 'chunk', { split: 'W' }),
      write(k) {
        const rows = k.load(w);
        k.store(one, k.runs('W', 8, rows));
        k.store(each, k.runs('W', 8, k.mul(rows, k.load(x))));
      },
    },
    {
      head: head('whole'),
      write(k) {
        k.store(all, k.reduce('sum', 'W/8', k.runs('W', 8, k.exp(k.load(w)))));
        k.store(some, k.runs('V', 3, k.load(v)));
      },
    },
  ]);
}

/** Matrix products, with every placement of the folded axis, transposes, masks and solves. */
function products(): TileModule {
  const state = buffer('state', 'run', ['K', 'V'], 'initial');
  const scores = buffer('scores', 'chunk', [ROW, COL], 'output');
  const strict = buffer('strict', 'chunk', [ROW, COL], 'output');
  const solved = buffer('solved', 'chunk', [ROW, COL], 'output');
  const twice = buffer('twice', 'chunk', [ROW, COL], 'output');
  const outer = buffer('outer', 'chunk', ['K', 'V'], 'output');
  const read = buffer('read', 'row', ['V'], 'output');
  const mixed = buffer('mixed', 'row', ['V'], 'output');
  const dot = buffer('dot', 'row', [], 'output');
  const along = buffer('along', 'chunk', ['K'], 'output');
  return moduleOf('products', [x, y, s, v, state, scores, strict, solved, twice, outer, read, mixed, dot, along], [
    {
      head: head('chunks'),
      write(k) {
        const [rows, others, values] = [k.load(x), k.load(y), k.load(v)];
        const score = k.contract(rows, k.swap(others), 'K');
        k.store(scores, k.mul(k.mask(score, false), k.exp(k.load(s))));
        k.store(strict, k.swap(k.mask(score, true)));
        const inverse = k.inverse(k.mul(k.mask(score, true), k.literal(0.3)));
        k.store(solved, inverse);
        k.store(twice, k.compose(inverse, k.mask(score, true)));
        k.store(outer, k.contract(rows, values, ROW));
        k.store(mixed, k.add(k.contract(k.mask(score, false), k.swap(values), COL), k.mul(k.load(s), values)));
        k.store(dot, k.contract(rows, others, 'K'));
      },
    },
    {
      head: head('states'),
      write(k) {
        const given = k.load(state);
        k.store(read, k.contract(k.load(x), given, 'K'));
        k.store(along, k.contract(given, k.contract(k.load(x), k.load(v), ROW), 'V'));
      },
    },
  ]);
}

/** Decay scores and their sides, for every role of the reader. */
function decays(): TileModule {
  const roles = [{ before: false, strict: false }, { before: false, strict: true }, { before: true, strict: true }] as const;
  const a = buffer('a', 'chunk', [ROW, COL], 'initial');
  const names = roles.map((_, i) => ({
    score: buffer(`score${i}`, 'chunk', [ROW, COL], 'output'), row: buffer(`row${i}`, 'row', ['K'], 'output'),
    col: buffer(`col${i}`, 'row', ['K'], 'output'),
  }));
  const factors = ['channels', 'earlier', 'numbers'].map((name) => buffer(name, 'row', name === 'numbers' ? [] : ['K'], 'output'));
  return moduleOf('decays', [
    x, y, g, s, a, ...names.flatMap(({ score, row, col }) => [score, row, col]), ...factors,
  ], [...roles.map((how, i) => ({
    head: head(`role${i}`),
    write(k: KernelBuilder) {
      const [rows, others, gates, weights] = [k.load(x), k.load(y), k.load(g), k.load(a)];
      k.store(names[i].score, k.mul(k.dscore(rows, others, gates, 'K', how), k.literal(0.5)));
      k.store(names[i].row, k.dscoreRow(weights, others, gates, 'K', how));
      k.store(names[i].col, k.dscoreCol(weights, rows, gates, 'K', how));
    },
  })), {
    head: head('factors'),
    write(k: KernelBuilder) {
      const [rows, others, decay, weights] = [k.load(x), k.load(y), k.map('relu', k.load(g)), k.load(a)];
      k.store(factors[0], k.dgate(weights, rows, others, decay, false));
      k.store(factors[1], k.dgate(weights, rows, k.load(s), decay, true));
      k.store(factors[2], k.dgate(weights, k.load(s), k.keep(k.literal(1)), k.map('relu', k.load(s)), false));
    },
  }]);
}

/** Every loop: over chunks, segments, tokens and members, both ways, with carried matrices and scalars that read each other. */
function loops(): TileModule {
  const start = buffer('start', 'run', ['K', 'V'], 'initial');
  const end = buffer('end', 'run', ['K', 'V'], 'final');
  const parts = buffer('parts', 'segment', ['K', 'V'], 'workspace');
  const joined = buffer('joined', 'run', ['K', 'V'], 'final');
  const read = buffer('read', 'row', ['V'], 'output');
  const back = buffer('back', 'row', ['V'], 'output');
  const stepped = buffer('stepped', 'row', ['V'], 'output');
  const softened = buffer('softened', 'row', ['K'], 'output');
  const swapped = buffer('swapped', 'run', ['V'], 'final');
  const total = buffer('total', 'once', ['K'], 'output');
  const biggest = buffer('biggest', 'run', [], 'final');
  const shared = input('shared', ['K'], { inner: 'group' });
  const sums = buffer('sums', 'row', ['K'], 'output', { inner: 'group' });
  return moduleOf('loops', [x, s, v, shared, start, parts, end, joined, read, back, stepped, softened, swapped, total, biggest, sums], [
    {
      head: head('chain', 'run', { split: 'V' }),
      write(k) {
        const [last] = k.loop('chunks', false, [k.load(start)], ([S]) => {
          const decay = k.exp(k.pick(k.decaySums(k.load(s)), 'last'));
          k.store(read, k.contract(k.load(x), S, 'K'));
          return [k.add(k.mul(decay, S), k.contract(k.load(x), k.load(v), ROW))];
        });
        k.store(end, last);
      },
    },
    {
      head: head('spans', 'segment', { split: 'V' }),
      write(k) {
        const [last] = k.loop(
          'chunks', true, [k.zeros(['K', 'V'])], ([S]) => [k.add(k.mul(k.literal(0.5), S), k.contract(k.load(x), k.load(v), ROW))],
        );
        k.store(parts, last);
      },
    },
    {
      head: head('join', 'run'),
      write(k) {
        const [last] = k.loop('segments', true, [k.load(start)], ([S]) => [k.add(k.mul(k.literal(0.25), S), k.load(parts))]);
        k.store(joined, last);
      },
    },
    {
      head: head('backwards', 'run'),
      write(k) {
        // Two carries, each of which reads the other.
        const [a] = k.loop('chunks', true, [k.zeros(['V']), k.zeros(['V'])], ([a, b]) => {
          k.store(back, k.add(k.load(v), k.sub(a, b)));
          const sum = k.reduce('sum', ROW, k.load(v));
          return [k.add(b, sum), k.mul(k.literal(0.5), a)];
        });
        k.store(swapped, a);
      },
    },
    {
      head: head('tokens', 'run', { split: 'V' }),
      write(k) {
        k.loop('rows', false, [k.load(start)], ([S]) => {
          const next = k.add(k.mul(k.exp(k.neg(k.map('abs', k.load(s)))), S), k.mul(k.load(x), k.load(v)));
          k.store(stepped, k.contract(k.load(x), next, 'K'));
          return [next];
        });
      },
    },
    {
      head: head('softmax', 'run'),
      write(k) {
        // Folds to scalars, which all invocations want.
        k.loop('rows', false, [], () => {
          const logits = k.load(x);
          const weights = k.exp(k.sub(logits, k.reduce('max', 'K', logits)));
          k.store(softened, k.add(
            k.map('div', weights, k.reduce('sum', 'K', weights)), k.mul(k.contract(logits, logits, 'K'), k.reduce('min', 'K', logits)),
          ));
          return [];
        });
      },
    },
    {
      head: head('scalars', 'run'),
      write(k) {
        // Two scalar carries, each of which reads the other.
        const [most] = k.loop('rows', true, [k.literal(-10), k.literal(0)], ([most, last]) => [k.map('max', most, last), k.load(s)]);
        k.store(biggest, most);
      },
    },
    {
      head: head('all', 'once'),
      write(k) {
        const [sum] = k.loop('chunks', false, [k.zeros(['K'])], ([sum]) => [k.add(sum, k.reduce('sum', ROW, k.load(x)))]);
        k.store(total, sum);
      },
    },
    {
      head: head('members', 'chunk', { inner: 'group' }),
      write(k) {
        const mine = k.load(shared);
        const [sum] = k.loop(
          'members', false, [k.mul(mine, k.literal(0))], ([sum]) => [k.add(sum, k.mul(mine, k.mul(k.load(x), k.load(s))))],
        );
        k.store(sums, sum);
      },
    },
  ]);
}

/**
 * Tiles that do not fit into workgroup memory, a buffer that a kernel reads after it has written it, and more tensors than may be bound.
 */
function pressure(): TileModule {
  const wide = ['w0', 'w1', 'w2', 'w3', 'w4', 'w5', 'w6', 'w7', 'w8'].map((name) => input(name, ['W']));
  const kept = buffer('kept', 'chunk', ['W', 'K'], 'workspace');
  const sum = buffer('wide.sum', 'row', ['W'], 'output');
  const product = buffer('wide_sum', 'row', ['W'], 'output');
  return moduleOf('pressure', [...wide, s, x, kept, sum, product], [{
    head: head('everything'),
    write(k) {
      const tiles = wide.map((tensor) => k.exp(k.load(tensor)));
      k.store(sum, k.mul(k.load(s), tiles.reduce((a, b) => k.add(a, b))));
      k.store(kept, k.contract(k.mul(tiles[0], tiles[1]), k.load(x), ROW));
      const cumulated = tiles.map((tile) => k.decaySums(tile)).reduce((a, b) => k.add(a, k.map('tanh', b)));
      k.store(product, k.add(cumulated, k.contract(k.load(x), k.load(kept), 'K')));
    },
  }]);
}

/** Every scalar function, each over one column of the same inputs. */
function scalars(): TileModule {
  const names = Object.values(math).map((record) => record.name);
  const outputs = names.map((name) => buffer(`f_${name}`, 'row', ['K'], 'output'));
  return moduleOf('scalars', [x, y, ...outputs], names.map((name, i) => ({
    head: head(`map_${name}`),
    write(k) {
      // Functions of positive numbers get |x| + 1/8.
      const positive = (tile: number) => k.add(k.map('abs', tile), k.literal(0.125));
      const needs = !math[name].total;
      const [a, b] = [k.load(x), k.load(y)].map((tile) => (needs ? positive(tile) : tile));
      k.store(outputs[i], math[name].arity === 1 ? k.map(name, a) : k.map(name, a, b));
    },
  })));
}

/** Draws by keys and whole numbers of all kinds; the words of the interpreter are those that its generator's authors published. */
function draws(): TileModule {
  const key: TileBuffer = { name: 'half', outer: 'once', inner: 'once', axes: ['half__'], dtype: 'f32', role: 'input' };
  const drawn = buffer('drawn', 'row', ['K'], 'output');
  return moduleOf('draws', [x, y, s, key, drawn], [{
    head: head('drawn'),
    write(k) {
      // Times powers of two, so that both machines round down the same numbers.
      const whole = (tile: number, scale: number): number => k.map('floor', k.mul(k.map('abs', tile), k.literal(scale)));
      k.store(drawn, k.draw(whole(k.load(key), 8192), 'half__', {
        element: whole(k.load(x), 64), position: whole(k.load(y), 2 ** 20), sequence: whole(k.load(s), 4096), lane: whole(k.load(s), 2),
      }));
    },
  }]);
}

/** What rounding to the digits of `io` leaves of a number, made large. */
export function remainders(): TileModule {
  const rest = buffer('rest', 'row', ['K'], 'output');
  return moduleOf('remainders', [x, rest], [{
    head: head('rest'),
    write(k) {
      const tile = k.load(x);
      k.store(rest, k.mul(k.sub(tile, k.round(tile)), k.literal(1024)));
    },
  }]);
}

export const OPERATION_MODULES: readonly TileModule[] = [
  rowwise(), runs(), products(), decays(), loops(), pressure(), scalars(), draws(), remainders(), panels,
];
