import { describe, expect, it } from 'vitest';
import { evaluate, gradients } from '../../../src/interp/graph/machine.js';
import { initial } from '../../../src/interp/graph/initial.js';
import { graphJson, readGraph } from '../../../src/ir/graph/json.js';
import { printGraph } from '../../../src/ir/graph/print.js';
import { frontend } from '../../../src/passes/frontend.js';
import { openGraph, type GraphTypes } from '../../../src/runtime/interpreter/index.js';
import { tensor, type Tensor } from '../../../src/runtime/tensors.js';

const TEXT = `
scan sums(k: [K], v: [], g: [] in -inf..0) -> o: [] with K = 3 { state S: [K]   S = exp(g) * S[t-1] + v * k   o = sum[K](S) }
layer two(x: [D]) -> y: [D] with D = 4, F = 5 { param up: [D, F], down: [F, D]   y = relu(x @ up) @ down }
moe mixture(x: [D]) -> y: [D] with D = 4, E = 3, k = 2 {
  param gate: [D, E]
  buffer b: [E] = 0
  use expert[E] = two
  let p = softmax[E](x @ gate)
  let chosen = top[E, k](p + b)
  y = sum[E](p[chosen] * expert(x))
  loss balance = 0.1 * sum[E](mean[tokens](mask(chosen)) * mean[tokens](p))
  let n = sum[tokens, calls](mask(chosen))
  update b += sign(mean[E](n) - n)
}
layer mixer(x: [D]) -> y: [D] with D = 4, H = 2, K = 3, T = 3 {
  param Wk: [D, H, K], Wv: [D, H], C: [T, H], Wo: [H, D], Wq: [D, K]
  let o = sums(x @ Wk, conv[T](x @ Wv, C), -softplus(x @ Wv))
  let q = x @ Wq
  let seen = softmax[past](q @[K] q[past]) @[past] x[past]
  y = o @ Wo + seen + x[t-1]
}
model lm(ids, labels: one of W) -> logits: [W] with D = 4, W = 7 {
  param embed: [W, D]
  init normal(0.7)
  let x = embed[ids]
  repeat i in 0..1 { use mix = mixer   use ffn = mixture   x += mix(x)   x += ffn(x) }
  logits = x @ embed
  loss lm = mean[tokens](logsumexp[W](logits) - logits[labels])
}
`;

const { parts, diagnostics } = frontend('lm.lmoe', TEXT);
const graphOf = (training: boolean) => {
  const { graph } = parts.elaborate('lm', new Map(), training);
  if (graph === undefined) throw new Error(diagnostics.map(({ title }) => title).join('\n'));
  return graph;
};
const files: Readonly<Record<string, string>> = { 'train.json': graphJson(graphOf(true)), 'eval.json': graphJson(graphOf(false)) };

interface Types extends GraphTypes {
  readonly params: { readonly embed: Tensor<'W D'>; readonly 'ffn.1.expert.up': Tensor<'E D F'>; readonly 'ffn.0.b': Tensor<'E'> };
  readonly buffers: { readonly 'ffn.0.b': Tensor<'E'> };
  readonly inputs: { readonly ids: Tensor<'B T'>; readonly labels: Tensor<'B T'> };
  readonly outputs: { readonly logits: Tensor<'B T W'> };
  readonly losses: { readonly lm: number; readonly 'ffn.0.balance': number; readonly 'ffn.1.balance': number };
  readonly stepInputs: { readonly ids: Tensor<'B'> };
  readonly stepOutputs: { readonly logits: Tensor<'B W'> };
}
const open = () => openGraph<Types>(async (name) => new TextEncoder().encode(files[name]));
const numbers = ({ values }: Tensor<string>): number[] => (ArrayBuffer.isView(values) ? Array.from(values) : []);
const ids = (shape: readonly number[], from = 0) => Int32Array.from(
  { length: shape.reduce((a, b) => a * b, 1) }, (_, i) => (5 * i + from) % 7,
);
const inputs = { ids: tensor('B T', [2, 6], ids([2, 6])), labels: tensor('B T', [2, 6], ids([2, 6], 3)) };

describe('a graph as JSON', () => {
  it.each([true, false])('is the same graph when it is read, training %s', (training) => {
    const graph = graphOf(training);
    expect(printGraph(readGraph(graphJson(graph)))).toBe(printGraph(graph));
  });

  it('has parts that are called often once', () => {
    expect(JSON.parse(files['eval.json']).parts).toHaveLength(4);
  });

  it('is refused where it is something else', () => {
    expect(() => readGraph('{}')).toThrow('no graph of the format');
  });
});

describe('a model in the interpreter, by its binding', () => {
  it('gives what the meaning gives: outputs, losses, gradients, updates', async () => {
    const model = await open();
    const params = model.init(3);
    const graph = graphOf(true);
    const start = initial(graph, 3);
    const rounded = new Map([...start].map(([path, data]) => [path, Float64Array.from(data, Math.fround)]));
    const made = await model.train(params, inputs);
    const meaning = evaluate(graph, {
      program: 'train', params: rounded,
      inputs: new Map([['ids', Float64Array.from(ids([2, 6]))], ['labels', Float64Array.from(ids([2, 6], 3))]]), lengths: [6, 6],
    });
    expect(numbers(made.outputs.logits)).toEqual(Array.from(meaning.outputs.get('logits') ?? [], Math.fround));
    expect(made.losses).toEqual(Object.fromEntries(meaning.losses));
    const found = made.gradients(undefined, { lm: 2 });
    const expected = gradients(meaning, new Map([['d_loss.lm', Float64Array.of(2)]]));
    expect(Object.keys(found.params).sort()).toEqual([...start.keys()].filter((path) => !path.endsWith('.b')).sort());
    expect(numbers(found.params['ffn.1.expert.up'])).toEqual(Array.from(expected.get('d_ffn.1.expert.up') ?? [], Math.fround));
    expect(made.update()['ffn.0.b'].shape).toEqual([3]);
    expect(made.counts['ffn.0.expert'].reduce((a, b) => a + b, 0)).toBe(2 * 12);
  });

  it('decodes token by token what it gives at once, from the start and after a prompt', async () => {
    const model = await open();
    const params = model.init(1);
    const { outputs } = await model.eval(params, { ids: inputs.ids });
    for (const prompt of [0, 4]) {
      let state = prompt === 0 ? model.begin(2) : (await model.eval(
        params,
        { ids: tensor('B T', [2, prompt], Int32Array.from([0, 1].flatMap((b) => Array.from(ids([2, 6]).slice(6 * b, 6 * b + prompt))))) },
      )).state;
      for (let t = prompt; t < 6; t++) {
        const next = await model.step(params, state, { ids: tensor('B', [2], Int32Array.of(ids([2, 6])[t], ids([2, 6])[6 + t])) });
        state = next.state;
        const row = (b: number) => numbers(outputs.logits).slice((6 * b + t) * 7, (6 * b + t + 1) * 7);
        numbers(next.outputs.logits).forEach((value, i) => expect(value).toBeCloseTo([...row(0), ...row(1)][i], 5));
      }
    }
  });

  it('keeps packed sequences apart', async () => {
    const model = await open();
    const params = model.init(1);
    const [apart, packed] = [
      await model.eval(params, inputs), await model.eval(params, { ids: tensor('B T', [1, 12], ids([2, 6])) }, { cuSeqlens: [0, 6, 12] }),
    ];
    expect(numbers(packed.outputs.logits)).toEqual(numbers(apart.outputs.logits));
  });

  it('says what is wrong with what it is given', async () => {
    const model = await open();
    const params = model.init();
    const { embed: _, ...rest } = params;
    // @ts-expect-error a param is missing
    await expect(model.eval(rest, inputs)).rejects.toThrow('lm: embed');
    await expect(model.eval(
      { ...params, embed: tensor('W D', [4, 7], new Float32Array(28)) }, inputs,
    )).rejects.toThrow('embed must be [7, 4], found [4, 7]');
    await expect(model.eval(params, { ids: tensor('B T', [1, 1], Int32Array.of(9)) })).rejects.toThrow('9');
    await expect(model.eval(params, inputs, { cuSeqlens: [0, 5] })).rejects.toThrow('cuSeqlens');
  });
});
