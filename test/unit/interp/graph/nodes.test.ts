import { describe, expect, it } from 'vitest';
import { evaluate, gradients } from '../../../../src/interp/graph/machine.js';
import { axis, gradientError, makeGraph, past, someCall, type Made, type Shape, type Words } from './make-graph.js';

const [D, E, F] = [axis('D', 5), axis('E', 4), axis('F', 3)];

interface Case {
  readonly shape: Shape;
  readonly lengths?: readonly number[];
  /** Of the numbers, where those of 1 come near a kink. */
  readonly seed?: number;
  body(w: Words): Made;
}

/** One graph for every kind of node that has a gradient, at points where it is smooth. */
const smooth: Readonly<Record<string, Case>> = {
  'map, broadcast over axes and tokens': {
    shape: { inputs: { x: [D], s: [] }, params: { w: [F, D], b: [] } },
    body: (w) => ({ outputs: { y: w.map('mul', w.map('tanh', w.map('add', w.get('x'), w.get('w'))),
      w.map('exp', w.map('sub', w.get('s'), w.get('b')))) } }),
  },
  'map of one number': { shape: { params: { a: [] }, inputs: { x: [] } },
    body: (w) => ({ outputs: { y: w.map('div', w.get('x'), w.map('add', w.num(3), w.get('a'))) } }) },
  'remainder': { shape: { inputs: { x: [D] } },
    body: (w) => ({ outputs: { y: w.map('%', w.map('mul', w.get('x'), w.num(3.1)), w.num(0.7)) } }) },
  'contract with a param': { shape: { inputs: { x: [D] }, params: { w: [E, D, F] } },
    body: (w) => ({ outputs: { y: w.mm(w.get('x'), w.get('w'), D) } }) },
  'contract of params': { shape: { inputs: { x: [D] }, params: { a: [D, E], b: [E, F] } },
    body: (w) => ({ outputs: { y: w.mm(w.get('x'), w.mm(w.get('a'), w.get('b'), E), D) } }) },
  'contract of tokens, with axes side by side': {
    shape: { inputs: { x: [E, D, F], z: [F, E] } }, body: (w) => ({ outputs: { y: w.mm(w.get('x'), w.get('z'), F) } }),
  },
  'contract over two axes': { shape: { inputs: { x: [F, D, E] }, params: { w: [E, D] } },
    body: (w) => ({ outputs: { y: w.mm(w.get('x'), w.get('w'), D, E) } }) },
  'contract of tokens with sequences': {
    shape: { inputs: { x: [D] }, params: { w: [D, E] } }, lengths: [3, 0, 2],
    body: (w) => ({ outputs: { y: w.mm(w.get('x'), w.map('mul', w.fold('mean', w.get('x'), [], ['time']), w.get('w')), D) } }),
  },
  ...Object.fromEntries((['sum', 'mean', 'max', 'min', 'prod', 'logsumexp'] as const).map((op): [string, Case] => [`${op} over axes`, {
    shape: { inputs: { x: [E, D, F] } }, body: (w) => ({ outputs: { y: w.fold(op, w.get('x'), [E, F]) } }),
  }])),
  ...Object.fromEntries((['sum', 'mean', 'max', 'min', 'prod', 'logsumexp'] as const).map((op): [string, Case] =>
    [`${op} over tokens, time and batch`, {
    shape: { inputs: { x: [E] } }, lengths: [3, 1],
    body: (w) => ({
      outputs: { y: w.map('mul', w.fold(op, w.get('x'), [], ['time']), w.get('x')),
        z: w.map('mul', w.fold(op, w.fold(op, w.get('x'), [], ['time']), [], ['batch']), w.get('x')) },
      losses: { l: w.fold(op, w.map('mul', w.get('x'), w.get('x')), [E], ['tokens']) },
    }),
  }])),
  'softmax': { shape: { inputs: { x: [E, D] } },
    body: (w) => ({ outputs: { y: w.node({ kind: 'softmax', arg: w.get('x'), axes: [E], sink: undefined }) } }) },
  'softmax with a sink': {
    shape: { inputs: { x: [E, D] }, params: { s: [D] } },
      body: (w) => ({ outputs: { y: w.node({ kind: 'softmax', arg: w.get('x'), axes: [E], sink: w.get('s') }) } }),
  },
  'restrict, fold and lift': {
    shape: { inputs: { x: [E, D], s: [E] } }, seed: 2,
    body(w) {
      const kept = w.restrict(w.get('x'), w.top(w.get('s'), [E], w.num(2)));
      return { outputs: { y: w.fold('prod', kept, [E]), z: w.node({ kind: 'lift', arg: w.map('exp', kept) }),
        m: w.fold('max', kept, [E]) } };
    },
  },
  'contract over an axis of a choice': {
    shape: { inputs: { x: [E, D], s: [E], g: [E] } },
    body: (w) => ({ outputs: { y: w.mm(w.restrict(w.get('g'), w.compare(w.get('s'), '>', w.num(0))), w.get('x'), E) } }),
  },
  'pick, some without an index': {
    shape: { inputs: { i: E, x: [E] }, params: { w: [D, E, F] } },
    body: (w) => ({ outputs: { y: w.node({ kind: 'pick', arg: w.get('w'), axis: E, index: w.get('i') }),
      z: w.node({ kind: 'pick', arg: w.get('x'), axis: E, index: w.get('i') }) } }),
  },
  'before': { shape: { inputs: { x: [D] } }, lengths: [3, 2],
    body: (w) => ({ outputs: { y: w.map('mul', w.node({ kind: 'before', arg: w.get('x') }), w.get('x')) } }) },
  'before, along the tokens of a choice': {
    shape: { inputs: { x: [D], s: [E] } }, lengths: [4, 3],
    body(w) {
      const kept = w.restrict(w.get('x'), w.compare(w.get('s'), '>', w.num(0)));
      return { outputs: { y: w.fold('sum', w.map('mul', kept, w.node({ kind: 'before', arg: w.map('exp', kept) })), [E]) } };
    },
  },
  'conv': { shape: { inputs: { x: [D] }, params: { w: [F, D] } }, lengths: [5, 1],
    body: (w) => ({ outputs: { y: w.node({ kind: 'conv', arg: w.get('x'), weight: w.get('w'), taps: F }) } }) },
  'conv, along the tokens of a choice': {
    shape: { inputs: { x: [D], s: [E] }, params: { w: [F, D] } }, lengths: [4, 3],
    body(w) {
      const kept = w.restrict(w.get('x'), w.compare(w.get('s'), '>', w.num(0)));
      return { outputs: { y: w.fold('sum', w.node({ kind: 'conv', arg: kept, weight: w.get('w'), taps: F }), [E]) } };
    },
  },
  'attention over the past': {
    shape: { inputs: { q: [E, F, D], k: [E, D], v: [E, D] } }, lengths: [4, 3],
    body(w) {
      const seen = past();
      const at = (name: string): number => w.node({ kind: 'past', arg: w.get(name), axis: seen });
      return { outputs: { y: w.mm(w.node({ kind: 'softmax', arg: w.mm(w.get('q'), at('k'), D), axes: [seen], sink: undefined }), at('v'),
        seen) } };
    },
  },
  'attention over a window, with a sink, a bias and a cap': {
    shape: { inputs: { q: [F, D], k: [D], v: [D], b: [] }, params: { sink: [F] } }, lengths: [5, 2],
    body(w) {
      const seen = past(3, 'near');
      const at = (arg: number): number => w.node({ kind: 'past', arg, axis: seen });
      const logits = w.map('tanh', w.map('add', w.mm(w.get('q'), at(w.get('k')), D), at(w.map('mul', w.get('b'), w.num(2)))));
      const index = w.node({ kind: 'index', axes: [], over: 'time' });
      const distance = w.map('mul', w.num(0.1), w.map('sub', index, at(index)));
      const p = w.node({ kind: 'softmax', arg: w.map('sub', logits, distance), axes: [seen], sink: w.get('sink') });
      return { outputs: { y: w.mm(p, w.map('exp', at(w.get('v'))), seen) } };
    },
  },
  ...Object.fromEntries((['halves', 'adjacent'] as const).map((pairs): [string, Case] => [`rope, ${pairs}`, {
    shape: { inputs: { x: [E, D] }, params: { f: [axis('I', 2)] } }, lengths: [3, 2],
    body: (w) => ({ outputs: { y: w.node({ kind: 'rope', arg: w.get('x'), axis: D, frequency: w.get('f'), turn: axis('I', 2), pairs }) } }),
  }])),
  'draws and dropout': {
    shape: { inputs: { x: [D] } },
    body(w) {
      const noise = w.node({ kind: 'normal', draw: 0 }, { axes: [D] });
      const lot = w.node({ kind: 'uniform', draw: 1, lo: 1, hi: 2 }, { axes: [] });
      return { outputs: { y: w.map('mul', w.node({ kind: 'dropout', draw: 2, arg: w.map('mul', w.get('x'), noise), rate: 0.5 }), lot) } };
    },
  },
};

describe('gradients', () => {
  for (const [name, { shape, body, lengths = [3, 2], seed }] of Object.entries(smooth)) {
    it(`${name}: equal to differences`, () => {
      const graph = makeGraph(shape, body);
      const call = someCall(graph, lengths, seed);
      call.inputs.get('i')?.set([-1], 1);
      expect(gradientError(graph, call)).toBeLessThan(1e-8);
    });
  }

  it('stop and f32: the value stays, the gradient of one goes', () => {
    const graph = makeGraph({ inputs: { x: [D] } }, (w) => ({
      outputs: { y: w.map('mul', w.node({ kind: 'stop', arg: w.get('x') }), w.node({ kind: 'f32', arg: w.get('x') })) },
    }));
    const call = someCall(graph, [2]);
    const made = evaluate(graph, call);
    const x = call.inputs.get('x') ?? new Float64Array();
    expect(made.outputs.get('y')).toEqual(x.map((v) => v * v));
    expect(gradients(made, new Map([['d_y', x.map(() => 1)]])).get('d_x')).toEqual(x);
  });

  it('max: the first of equals has the slope', () => {
    const graph = makeGraph({ inputs: { x: [E] } }, (w) => ({ outputs: { y: w.fold('max', w.get('x'), [E]) } }));
    const made = evaluate(graph, someCall(graph, [1], 1, { inputs: new Map([['x', Float64Array.of(1, 3, 3, 2)]]) }));
    expect(gradients(made, new Map([['d_y', Float64Array.of(2)]])).get('d_x')).toEqual(Float64Array.of(0, 2, 0, 0));
  });

  it('prod: with zeros', () => {
    const graph = makeGraph({ inputs: { x: [F] } }, (w) => ({ outputs: { y: w.fold('prod', w.get('x'), [F]) } }));
    const made = evaluate(graph, someCall(graph, [3], 1, { inputs: new Map([['x', Float64Array.of(2, 0, 3, 0, 0, 5, 2, 3, 4)]]) }));
    expect(gradients(made, new Map([['d_y', Float64Array.of(1, 1, 1)]])).get('d_x')).toEqual(Float64Array.of(0, 6, 0, 0, 0, 0, 12, 8, 6));
  });
});
