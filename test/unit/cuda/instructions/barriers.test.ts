import { describe, expect, it } from 'vitest';
import { ordered } from '../../../../src/backends/cuda/instructions/barriers.js';
import type { By, Instruction, Step } from '../../../../src/backends/cuda/instructions/instruction.js';
import { arenaOf, createPieces, type Piece } from '../../../../src/backends/cuda/instructions/pieces.js';

const pieces = () => {
  const made = createPieces('P');
  return { all: made.all, piece: (bytes = 1024, lasting = false) => made.take(bytes, { staged: false, lasting }) };
};
const write = (piece: Piece, by: By = 'any'): Instruction => ({
  kind: 'call', fn: 'write', shape: [], args: [piece.name], writes: [{ piece, by }],
});
const read = (piece: Piece): Instruction => ({ kind: 'call', fn: 'read', shape: [], args: [piece.name], reads: [piece] });
const need = (piece: Piece, by: By = 'any'): Instruction => ({ kind: 'need', piece, by });
const use = (text: string): Instruction => ({ kind: 'each', count: 1, text });
const copy = (piece: Piece): Instruction => ({ kind: 'copy', piece, group: true, fn: 'copy', shape: [], args: [piece.name] });
const product = (name: string, pieceList: readonly Piece[]): Instruction => ({
  kind: 'product', name, sum: name, shape: [], args: [], pieces: pieceList, then: [{ kind: 'each', count: 1, text: `${name} is there` }],
});
const STATEMENT: Instruction = { kind: 'statement' };

/** What a step is, short. */
function short(step: Step): string {
  switch (step.kind) {
    case 'call': case 'copy': return `${step.fn} ${step.args.join()}`;
    case 'each': return step.text;
    case 'copied': case 'multiplied': return `${step.kind} ${step.left}`;
    case 'product': return `product ${step.name}`;
    case 'arrived': return `arrived ${step.sum}`;
    default: return step.kind;
  }
}
const run = (...list: readonly Instruction[]) => ordered([list]).steps.flat().map(short);

describe('barriers', () => {
  it('stand between what threads write and what others read of it, once', () => {
    const p = pieces();
    const [a, b] = [p.piece(), p.piece()];
    expect(run(write(a), write(b), read(a), read(b))).toEqual(['write P0', 'write P1', 'barrier', 'read P0', 'read P1']);
  });

  it('are left out where every thread reads its own elements', () => {
    const a = pieces().piece();
    expect(run(write(a, 'owner'), need(a, 'owner'), use('x'))).toEqual(['write P0', 'x']);
    expect(run(write(a, 'any'), need(a, 'owner'), use('x'))).toEqual(['write P0', 'barrier', 'x']);
    expect(run(write(a, 'owner'), need(a, 'any'), use('x'))).toEqual(['write P0', 'barrier', 'x']);
  });

  it('stand where a statement needs a piece, ahead of the lines that read it', () => {
    const a = pieces().piece();
    expect(run(write(a), need(a), use('first'), use('reads it'))).toEqual(['write P0', 'barrier', 'first', 'reads it']);
  });

  it('have a fence where what was written since the last one is for products', () => {
    const p = pieces();
    const [numbers, operand, left] = [p.piece(), p.piece(), p.piece()];
    const fences = (...list: readonly Instruction[]) => (
      ordered([list]).steps.flat().flatMap((step) => (step.kind === 'barrier' ? [step.fenced] : []))
    );
    expect(fences(write(numbers), read(numbers), product('a', [operand]))).toEqual([false]);
    expect(fences(write(operand), need(operand), product('a', [operand]))).toEqual([true]);
    // What is read by threads before products read it is fenced where they meet for that.
    expect(fences(write(operand), read(operand), write(numbers), read(numbers), product('a', [operand]))).toEqual([true, false]);
    expect(fences(copy(left), copy(operand), read(left), read(operand), product('a', [operand]))).toEqual([false, true]);
    expect(ordered([[write(numbers), write(operand)]], new Set([operand]))).toMatchObject({ unfenced: true });
    expect(ordered([[write(numbers)]], new Set([operand]))).toMatchObject({ unfenced: false });
  });

  it('stand where all have to meet', () => {
    expect(run(use('x'), { kind: 'meet' }, use('y'))).toEqual(['x', 'barrier', 'y']);
  });

  it('stand once where nothing is done between two, but not where copies or products are waited for', () => {
    const p = pieces();
    const [a, b] = [p.piece(), p.piece()];
    expect(run(write(a), need(a), { kind: 'meet' }, use('x'))).toEqual(['write P0', 'barrier', 'x']);
    expect(run(copy(b), use('x'), { kind: 'meet' }, need(b), use('y'))).toEqual(['copy P1', 'x', 'barrier', 'copied 0', 'barrier', 'y']);
  });
});

describe('copies', () => {
  it('are waited for one group at a time, in the order in which they began', () => {
    const p = pieces();
    const [a, b, c] = [p.piece(), p.piece(), p.piece()];
    expect(run(copy(a), copy(b), copy(c), read(b), read(a), read(c))).toEqual([
      'copy P0', 'copy P1', 'copy P2', 'copied 1', 'barrier', 'read P1', 'read P0', 'copied 0', 'barrier', 'read P2',
    ]);
  });

  it('are all there once they are settled', () => {
    const a = pieces().piece();
    expect(run(copy(a), { kind: 'settle' }, read(a))).toEqual(['copy P0', 'copied 0', 'barrier', 'read P0']);
  });
});

describe('products', () => {
  it('run until somebody reads them, those before them too', () => {
    const products = ['x', 'y', 'z'].map((name) => product(name, []));
    expect(run(...products, { kind: 'await', name: 'y' }, { kind: 'await', name: undefined })).toEqual([
      'product x', 'product y', 'product z',
      'multiplied 1', 'arrived x', 'x is there', 'arrived y', 'y is there',
      'multiplied 0', 'arrived z', 'z is there',
    ]);
  });

  it('are waited for once', () => {
    expect(run(product('x', []), { kind: 'await', name: 'x' }, { kind: 'await', name: 'x' })).toEqual([
      'product x', 'multiplied 0', 'arrived x', 'x is there',
    ]);
  });

  it('keep their operands until they are there', () => {
    const a = pieces().piece();
    const { spans } = ordered([[write(a), product('x', [a]), { kind: 'meet' }, { kind: 'meet' }, { kind: 'await', name: 'x' }]]);
    expect(spans.get(a)).toEqual({ first: 0, last: 2 });
  });
});

describe('spans', () => {
  it('end with the statement that needs a piece, or with the instruction that reads it', () => {
    const p = pieces();
    const [a, b] = [p.piece(), p.piece()];
    const { spans } = ordered([[
      write(a), write(b), { kind: 'meet' }, STATEMENT, need(a), read(b), { kind: 'meet' }, use('reads a'), STATEMENT, { kind: 'meet' },
    ]]);
    expect(spans.get(a)).toEqual({ first: 0, last: 2 });
    expect(spans.get(b)).toEqual({ first: 0, last: 1 });
  });

  it('of what lasts go from the beginning to the end', () => {
    const a = pieces().piece(1024, true);
    expect(ordered([[{ kind: 'meet' }, write(a)]]).spans.get(a)).toEqual({ first: 0, last: Infinity });
  });

  it('are those that are told, where no access does', () => {
    const a = pieces().piece();
    const hold: Instruction = { kind: 'hold', piece: a };
    const { steps, spans } = ordered([[{ kind: 'meet' }, hold, { kind: 'meet' }, hold]]);
    expect(steps.flat().map(short)).toEqual(['barrier', 'barrier']);
    expect(spans.get(a)).toEqual({ first: 1, last: 2 });
  });

  it('go on from one part of a draft to the next', () => {
    const a = pieces().piece();
    const { steps, spans } = ordered([[write(a)], [{ kind: 'meet' }, read(a)]]);
    expect(steps.map((part) => part.map(short))).toEqual([['write P0'], ['barrier', 'read P0']]);
    expect(spans.get(a)).toEqual({ first: 0, last: 1 });
  });
});

describe('loops', () => {
  const begin: Instruction = { kind: 'loop', edge: 'begin' };
  const end: Instruction = { kind: 'loop', edge: 'end' };

  it('end with a barrier where the next iteration writes what this one still reads', () => {
    const a = pieces().piece();
    expect(run(begin, write(a), read(a), end)).toEqual(['write P0', 'barrier', 'read P0', 'barrier']);
  });

  it('do without one where threads keep to their own elements, or have met since', () => {
    const p = pieces();
    const [a, b] = [p.piece(), p.piece()];
    expect(run(begin, write(a, 'owner'), need(a, 'owner'), use('x'), end)).toEqual(['write P0', 'x']);
    expect(run(begin, write(b), read(b), { kind: 'meet' }, end)).toEqual(['write P1', 'barrier', 'read P1', 'barrier']);
  });

  it('end with one where what is read last lies where the first is written', () => {
    const p = pieces();
    const [a, b] = [p.piece(), p.piece()];
    const body = [begin, write(a), read(a), { kind: 'meet' }, write(b), read(b), end] as const;
    expect(run(...body).at(-1)).toBe('barrier');
    const { spans } = ordered([body]);
    const { offsets, fixedBytes } = arenaOf(p.all, spans);
    expect([offsets.get(a), offsets.get(b), fixedBytes]).toEqual([0, 0, 1024]);
  });
});

describe('addresses', () => {
  const p = pieces();
  const [large, small, later] = [p.piece(4096), p.piece(1024), p.piece(2048)];
  const spans = new Map([[large, { first: 0, last: 1 }], [small, { first: 1, last: 3 }], [later, { first: 2, last: 3 }]]);

  it('are shared by pieces that are never in use together', () => {
    const { offsets, fixedBytes } = arenaOf(p.all, spans);
    expect([large, small, later].map((piece) => offsets.get(piece))).toEqual([0, 4096, 0]);
    expect(fixedBytes).toBe(5120);
  });

  it('of stages lie one after the other, for a copy of all of them', () => {
    const staged = createPieces('S');
    for (const bytes of [100, 3000]) staged.take(bytes, { staged: true, lasting: false });
    const { offsets, fixedBytes, stageBytes, stageUsed } = arenaOf(staged.all, new Map());
    expect([...offsets.values()]).toEqual([0, 3072]);
    expect({ fixedBytes, stageBytes, stageUsed }).toEqual({ fixedBytes: 0, stageBytes: 4096, stageUsed: 3328 });
  });

  it('keep pieces apart in random programs, and readers behind barriers', () => {
    for (let seed = 1; seed <= 200; seed++) {
      let state = seed;
      const random = (n: number) => {
        state = (state * 48271) % 2147483647;
        return state % n;
      };
      const some = pieces();
      const taken = Array.from({ length: 6 }, () => some.piece(256 * (1 + random(12))));
      const list: Instruction[] = taken.map((piece) => write(piece));
      for (let i = 0; i < 30; i++) {
        const piece = taken[random(6)];
        list.push([STATEMENT, need(piece), read(piece), write(piece), { kind: 'meet' } as const][random(5)]);
      }
      const { steps, spans: lives } = ordered([list]);
      const { offsets } = arenaOf(some.all, lives);
      for (const one of taken) for (const other of taken) {
        const [x, y] = [lives.get(one), lives.get(other)];
        if (one === other || x === undefined || y === undefined || x.last < y.first || y.last < x.first) continue;
        const [from, to] = [offsets.get(one) ?? NaN, offsets.get(other) ?? NaN];
        expect(from + one.bytes <= to || to + other.bytes <= from, `seed ${seed}`).toBe(true);
      }
      const dirty = new Set<Piece>();
      for (const step of steps[0]) {
        if (step.kind === 'barrier') dirty.clear();
        if (step.kind !== 'call') continue;
        expect((step.reads ?? []).some((piece) => dirty.has(piece)), `seed ${seed}`).toBe(false);
        for (const { piece } of step.writes ?? []) dirty.add(piece);
      }
    }
  });

  it('leave products alone that go on adding to registers which are asked for by another name', () => {
    const p = pieces();
    const [a, b, c] = [p.piece(), p.piece(), p.piece()];
    const wait = (name?: string, piece?: Piece): Instruction => ({ kind: 'await', name, ...(piece && { piece }) });
    // The sum is there with its last product.
    expect(run(product('s', [a]), product('s', [b]), product('o', [c]), wait('s'), use('x'))).toEqual([
      'product s', 'product s', 'product o', 'multiplied 1', 'arrived s', 's is there', 'x',
    ]);
    // The first of them is done, its registers are not.
    expect(run(product('s', [a]), product('o', [c]), product('s', [b]), wait('o'), use('x'), wait('s'))).toEqual([
      'product s', 'product o', 'product s', 'multiplied 1', 'arrived o', 'o is there', 'x', 'multiplied 0', 'arrived s', 's is there',
    ]);
    expect(run(product('s', [a]), product('s', [b]), wait(undefined, a), use('a is free'), wait('s'))).toEqual([
      'product s', 'product s', 'multiplied 1', 'a is free', 'multiplied 0', 'arrived s', 's is there',
    ]);
  });
});
