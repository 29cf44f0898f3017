import { describe, expect, it } from 'vitest';
import { COL, ROW } from '../../../src/ir/common/axes.js';
import { buildKernel, type KernelBuilder, type KernelHead } from '../../../src/ir/tile/build.js';
import type { Domain } from '../../../src/ir/tile/domain.js';
import { printTiles } from '../../../src/ir/tile/print.js';
import type { TileBuffer, TileKernel, TileModule, TileStmt } from '../../../src/ir/tile/tile.js';
import { verifyTiles } from '../../../src/ir/tile/verify.js';
import { scanPrograms, TOKENS } from '../../../src/passes/chunk/programs.js';

const buffer = (
  name: string, outer: TileBuffer['outer'], axes: readonly string[], role: TileBuffer['role'],
): TileBuffer => ({ name, outer, domain: TOKENS, inner: 'head', axes, dtype: 'io', role });
const q = buffer('q', 'row', ['K'], 'input');
const v = buffer('v', 'row', ['V'], 'input');
const o = buffer('o', 'row', ['V'], 'output');
const n = buffer('n', 'row', ['K'], 'output');
const p = buffer('p', 'chunk', [ROW, COL], 'workspace');
const s = buffer('s', 'segment', ['K', 'V'], 'workspace');
const S = buffer('S', 'run', ['K', 'V'], 'final');

const USER = [q, v, o, n, p, s, S];

const CHUNK: KernelHead = { name: 'k', doc: 'A kernel.', outer: 'chunk', domain: TOKENS, inner: 'head' };
const WALK: KernelHead = { name: 'k', doc: 'A kernel.', outer: 'run', domain: TOKENS, inner: 'head', split: 'V' };

/** Writes everything, so that what comes after it may read anything. */
const fill = buildKernel({ name: 'fill', doc: 'Writes.', outer: 'segment', domain: TOKENS, inner: 'head' }, (k) => {
  k.loop('chunks', false, [], () => {
    for (const each of [o, n, p]) k.store(each, k.literal(1));
    return [];
  });
  k.store(s, k.literal(1));
  k.store(S, k.literal(1), 'last');
});

const moduleOf = (...kernels: readonly TileKernel[]): TileModule => ({
  name: 'm', chunk: 16, sizes: new Map([['K', 4], ['V', 8]]), domains: [TOKENS], buffers: USER, kernels: [fill, ...kernels],
  programs: scanPrograms(USER, { forward: ['fill', ...kernels.map((kernel) => kernel.name)] }),
});
const faults = (head: KernelHead, write: (k: KernelBuilder) => void) => verifyTiles(moduleOf(buildKernel(head, write)));

const attention = buildKernel({
  name: 'attention', doc: 'Reads and writes a state.', outer: 'segment', domain: TOKENS, inner: 'head', split: 'V',
}, (k) => {
  const [last] = k.loop('chunks', false, [k.load(s)], ([state]) => {
    const scores = k.mask(k.contract(k.load(q), k.load(q, 'col'), 'K'), false);
    k.store(o, k.add(k.contract(k.load(q), state, 'K'), k.contract(scores, k.load(v, 'col'), COL)));
    return [k.add(state, k.contract(k.load(q), k.load(v), ROW))];
  });
  k.store(s, last);
});

describe('the builder of kernels', () => {
  it('makes one tile of equal operations, and two of numbers that JSON writes alike', () => {
    buildKernel(CHUNK, (k) => {
      expect(k.literal(2)).toBe(k.literal(2));
      const apart = [Infinity, -Infinity, 0, -0].map((value) => k.literal(value));
      expect(new Set(apart).size).toBe(4);
      k.store(n, k.load(n));
    });
  });
});

describe('the tile verifier', () => {
  it('has nothing against a kernel that is well formed', () => {
    expect(verifyTiles(moduleOf(attention))).toEqual([]);
  });

  const wrong: readonly (readonly [name: string, head: KernelHead, write: (k: KernelBuilder) => void, message: RegExp])[] = [
    ['a fold along the split axis', WALK, (k) => k.loop(
      'chunks', false, [], () => (k.store(n, k.contract(k.load(v), k.zeros(['V', 'K']), 'V')), []),
    ), /folds the split axis V/],
    ['a store that all blocks would do', WALK, (k) => k.loop(
      'chunks', false, [], () => (k.store(n, k.load(q)), []),
    ), /stores to n from every block of V/],
    ['a store to what the user gives', CHUNK, (k) => k.store(q, k.load(q)), /stores to q, which the user gives/],
    ['tokens where no chunk is known', WALK, (k) => k.load(q), /q is per token, but no chunk or token is known here/],
    ['a segment where none is known', WALK, (k) => k.load(s), /s is per segment, but no segment is known here/],
    ['chunks inside a chunk', CHUNK, (k) => k.loop('chunks', false, [], () => []), /a loop over chunks inside a chunk/],
    ['segments outside a sequence', { ...WALK, outer: 'segment' }, (k) => k.loop(
      'segments', false, [], () => [],
    ), /a loop over segments outside a sequence/],
    ['chunks inside a loop over segments', WALK, (k) => k.loop(
      'segments', false, [], () => (k.loop('chunks', false, [], () => []), []),
    ), /a loop over chunks inside a loop over segments/],
    ['a result of a sequence from all its segments', { ...WALK, outer: 'segment' },
      (k) => k.store(S, k.zeros(['K', 'V'])), /stores to S from every segment/],
    ['one segment where there are none', WALK, (k) => k.store(S, k.zeros(['K', 'V']), 'last'), /stores to S from one segment of none/],
    ['a result of what may be left out', { ...WALK, cut: true },
      (k) => k.store(S, k.zeros(['K', 'V'])), /makes a result, and may be left out/],
    ['what is no stand-in for a segment', WALK, (k) => k.loop(
      'segments', false, [], () => (k.loadEntry(s, S), []),
    ), /S cannot stand in for s/],
    ['an identity between axes of two sizes', WALK, (k) => k.identity(['K', 'V']), /identity %0 is not square/],
    ['all runs inside one', WALK, (k) => k.loop('runs', false, [], () => []), /a loop over sequences inside a sequence/],
    ['chunks inside a loop over all runs', { ...WALK, outer: 'once' }, (k) => k.loop(
      'runs', false, [], () => (k.loop('chunks', false, [], () => []), []),
    ), /a loop over chunks inside a loop over sequences/],
    ['members of a head', CHUNK, (k) => k.loop('members', false, [], () => []), /a loop over members outside a group/],
    ['a gate with other axes than its vectors', CHUNK, (k) => k.dscore(
      k.load(q), k.load(q), k.load(v), 'K', { before: false, strict: false },
    ), /gate %\d+ is \[%row,V\], not \[%row,K\]/],
    ['a read before the decay that sees its own token', CHUNK, (k) => k.dscore(
      k.load(q), k.load(q), k.load(q), 'K', { before: true, strict: false },
    ), /pairs rows with earlier ones only/],
    ['a product of what is no score', CHUNK, (k) => k.compose(k.load(q), k.load(p)), /left operand %\d+ is \[%row,K\], not \[%row,%col\]/],
    ['a state that changes its axes', WALK, (k) => k.loop(
      'chunks', false, [k.zeros(['K', 'V'])], () => [k.zeros(['V'])],
    ), /carried with changing axes/],
    ['a carried value that is not there', WALK, (k) => {
      const before = k.zeros(['K', 'V']);
      k.loop('chunks', false, [before], ([state]) => [state + 5]);
    }, /carried with changing axes|does not define/],
  ];
  for (const [name, head, write, message] of wrong) {
    it(`finds ${name}`, () => {
      expect(faults(head, write).join('\n')).toMatch(message);
    });
  }

  it('finds tiles that are read before, or defined twice', () => {
    const [first, ...others] = attention.body;
    const body: readonly TileStmt[] = [...others, first];
    expect(verifyTiles(moduleOf({ ...attention, body })).join('\n')).toMatch(/loop reads %0, which is not defined there/);
    expect(verifyTiles(moduleOf({ ...attention, body: [first, ...attention.body] })).join('\n')).toMatch(/%0 is assigned twice/);
  });

  it('finds names that nothing has, and names that two things have', () => {
    const module = moduleOf(attention);
    expect(verifyTiles({
      ...module, programs: { ...module.programs, step: { ...module.programs.forward, launches: ['fill', 'walk'] } },
    })).toEqual(['m: a program launches walk, which is no kernel']);
    expect(verifyTiles({ ...module, buffers: [...module.buffers, q] })).toEqual(['m: two buffers share a name']);
    expect(verifyTiles({ ...module, buffers: module.buffers.filter((b) => b !== o) })).toEqual([
      'm.fill: no buffer o', 'm.attention: no buffer o', 'm: forward names o, which is no buffer',
    ]);
    expect(verifyTiles({ ...module, sizes: new Map([['K', 4]]) }).join('\n')).toMatch(/buffer v has axis V without size/);
    expect(verifyTiles({ ...module, chunk: 24 })).toEqual(['m: chunk 24 is not a power of two']);
  });
});

describe('what programs write and read', () => {
  const [initial, workspace, final] = [
    { ...s, name: 'initial', outer: 'run', role: 'initial' }, { ...S, name: 'w', role: 'workspace' }, S,
  ] as const;
  const copy = (name: string, from: TileBuffer, to: TileBuffer) => buildKernel(
    { name, doc: 'Copies.', outer: 'run', domain: TOKENS, inner: 'head' }, (k) => k.store(to, k.load(from)),
  );
  const module = (...forward: readonly string[]): TileModule => ({
    name: 'm', chunk: 16, sizes: new Map([['K', 4], ['V', 8]]), domains: [TOKENS], buffers: [initial, workspace, final], kernels: [
      copy('first', initial, workspace), copy('last', workspace, final),
    ],
    programs: scanPrograms([initial, workspace, final], { forward }),
  });
  it('is in order', () => expect(verifyTiles(module('first', 'last'))).toEqual([]));
  it('finds reads of what no kernel has written', () => {
    expect(verifyTiles(module('last', 'first'))).toEqual(['m: forward launches last, which reads w before any kernel has written it']);
    expect(verifyTiles(module('last'))).toEqual(['m: forward launches last, which reads w before any kernel has written it']);
  });
  it('finds results that nothing writes', () => expect(verifyTiles(module('first'))).toEqual(['m: forward does not write S']));
  it('takes what a kernel has stored itself', () => {
    const both = buildKernel({ name: 'both', doc: 'Stores and loads.', outer: 'run', domain: TOKENS, inner: 'head' }, (k) => {
      k.store(workspace, k.load(initial));
      k.store(final, k.load(workspace));
    });
    expect(verifyTiles({
      ...module(), kernels: [both], programs: scanPrograms([initial, workspace, final], { forward: ['both'] }),
    })).toEqual([]);
  });
});

describe('a domain whose runs a kernel counts', () => {
  const SLOTS: Domain = {
    row: 'slot', chunk: 'tile', segment: 'span', run: 'group', made: { offsets: 'offsets', runs: 3, of: 'token', perRow: 2 },
  };
  const once = { outer: 'once', inner: 'once', dtype: 'i32', role: 'workspace' } as const;
  const offsets: TileBuffer = { ...once, name: 'offsets', axes: ['bound'] };
  const place: TileBuffer = { ...once, name: 'place', outer: 'row', domain: TOKENS, axes: ['E'] };
  const token: TileBuffer = { ...once, name: 'token', outer: 'row', domain: SLOTS, axes: [] };
  const y: TileBuffer = { ...token, name: 'y', dtype: 'f32', role: 'output' };
  const rows = { outer: 'chunk', domain: TOKENS, inner: 'once' } as const;
  const doc = 'A kernel.';
  const count = buildKernel({ ...rows, name: 'count', doc, outer: 'once' }, (k) => k.store(offsets, k.index('bound')));
  const number = buildKernel({ ...rows, name: 'number', doc }, (k) => k.store(place, k.sub(k.index('E'), k.literal(1))));
  const list = buildKernel({ ...rows, name: 'list', doc }, (k) => k.scatter(token, k.number('row'), place));
  const read = buildKernel({ ...rows, name: 'read', doc, domain: SLOTS }, (k) => k.store(y, k.load(token)));
  const of = (launches: readonly string[], more: Partial<TileModule> = {}): string => verifyTiles({
    name: 'm', chunk: 16, sizes: new Map([['E', 3], ['bound', 4]]), domains: [TOKENS, SLOTS], buffers: [offsets, place, token, y],
    kernels: [count, number, list, read], programs: { forward: { takes: [], gives: ['y'], launches } }, ...more,
  }).join('\n');

  it('is there behind the kernel that counts', () => {
    expect(of(['count', 'number', 'list', 'read'])).toBe('');
    expect(of(['number', 'list', 'read'])).toBe('m: forward launches read, which reads offsets before any kernel has written it');
    expect(of(['count', 'list', 'read'])).toBe('m: forward launches list, which reads place before any kernel has written it');
  });
  it('has offsets of as many runs, and rows of a domain that a call brings', () => {
    const all = ['count', 'number', 'list', 'read'];
    expect(of(all, { sizes: new Map([['E', 3], ['bound', 3]]) })).toBe('m: offsets does not say where the 3 runs of slots begin');
    expect(of(all, { domains: [SLOTS] })).toContain('m: slots are of tokens, of which a call brings none');
  });
  it('takes rows by numbers that another kernel has made', () => {
    const both = buildKernel({ ...rows, name: 'list', doc }, (k) => {
      k.store(place, k.index('E'));
      k.scatter(token, k.number('row'), place);
    });
    expect(of(['count', 'number', 'list', 'read'], { kernels: [count, number, both, read] }))
      .toBe('m.list: stores to rows of token by place, and to place too');
    const wide = buildKernel({ ...rows, name: 'list', doc }, (k) => k.scatter(token, k.zeros([ROW, 'bound']), place));
    expect(of(['count', 'number', 'list', 'read'], { kernels: [count, number, wide, read] }))
      .toBe('m.list: %0 [%row,bound] does not fit token by place [%row,E]');
  });
});

describe('tile text', () => {
  it('shows buffers, kernels with loops and carried tiles, and programs', () => {
    expect(printTiles({ ...moduleOf(attention), buffers: [q, o, s],
      kernels: [attention], programs: scanPrograms([], { forward: ['attention'] }) })).toBe(`module m  chunk=16 K=4 V=8

buffer q: io[token, head, K]  input
buffer o: io[token, head, V]  output
buffer s: io[segment, head, K, V]  workspace

/// Reads and writes a state.
kernel attention (per segment, head, split V) {
  %0 [K, V] = load s
  loop chunks with %1 [K, V] = %0 {
    %2 [%row, K] = load q row
    %3 [%col, K] = load q col
    %4 [%row, %col] = contract[K] %2, %3
    %5 [%row, %col] = mask %4
    %6 [%row, V] = contract[K] %2, %1
    %7 [%col, V] = load v col
    %8 [%row, V] = contract[%col] %5, %7
    %9 [%row, V] = add %6, %8
    store o, %9
    %10 [%row, V] = load v row
    %11 [K, V] = contract[%row] %2, %10
    %12 [K, V] = add %1, %11
    next %1 <- %12
  }
  store s, %1
}

program forward: attention
program backward: (none)
program step: (none)
`);
  });
});
