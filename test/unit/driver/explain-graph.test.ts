import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { graphHtml } from '../../../src/driver/graph/explain/html.js';
import { explainGraph, type GraphExplanation } from '../../../src/driver/graph/explain/model.js';
import { graphText } from '../../../src/driver/graph/explain/text.js';
import { frontend } from '../../../src/passes/frontend.js';

const ROOT = join(import.meta.dirname, '../../..');
const read = (path: string): string | undefined => (existsSync(path) ? readFileSync(path, 'utf8') : undefined);

function explained(text: string, name: string, tokens = 8, settings: Readonly<Record<string, number | string>> = {}): GraphExplanation {
  const { parts } = frontend(join(ROOT, 'examples/models/test.lmoe'), text, read);
  const { graph, diagnostics } = parts.elaborate(name, new Map(Object.entries(settings)), true);
  if (graph === undefined) throw new Error(diagnostics.map(({ title }) => title).join('\n'));
  return explainGraph(graph, { batch: 1, tokens }, 'test.lmoe:1');
}

const LAYERS = `
layer two(x: [D]) -> y: [D] with D = 8, F = 16 { param up: [D, F], down: [F, D]   y = relu(x @ up) @ down }
moe mixture(x: [D]) -> y: [D] with D = 8, E = 6, k = 2, F = 16 {
  param gate: [D, E]
  use expert[E] = two with F
  let p = softmax[E](x @ gate)
  let chosen = top[E, k](p)
  y = sum[E](p[chosen] * expert(x))
}
layer attention(x: [D]) -> y: [D] with D = 8, K = 4 {
  param Wq, Wk, Wv: [D, K], Wo: [K, D]
  let q = x @ Wq   let k = x @ Wk   let v = x @ Wv
  y = softmax[past](q @[K] k[past]) @[past] v[past] @ Wo
}
layer latent(x: [D]) -> y: [D] with D = 8, C = 2, K = 4 {
  param Wq: [D, K], Wc: [D, C], Wk, Wv: [C, K], Wo: [K, D]
  let c = x @ Wc
  y = softmax[past](x @ Wq @[K] (c[past] @ Wk)) @[past] (c[past] @ Wv) @ Wo
}
model lm(ids, labels: one of W) -> logits: [W] with D = 8, W = 10, L = 6 {
  param embed, head: [W, D]
  init normal(0.02)
  let x = embed[ids]
  repeat i in 0..L - 1 {
    use ffn = mixture
    if i % 3 == 2 { use attn = attention   x += attn(x) } else { use dense = two   x += dense(x) }
    x += ffn(x)
  }
  logits = x @ head
  loss lm = mean[tokens](logsumexp[W](logits) - logits[labels])
}
`;

describe('what a token costs', () => {
  it('is two operations a weight of a product, four with their gradients', () => {
    const { costs, counts } = explained(LAYERS, 'two');
    // relu besides, and its gradient.
    expect([costs.forward, costs.backward]).toEqual([2 * counts.params + 16, 4 * counts.params + 2 * 16]);
  });

  it('counts of a family the members that are chosen', () => {
    const { costs, counts } = explained(LAYERS, 'mixture');
    expect([counts.params, counts.active]).toEqual([8 * 6 + 6 * 256, 8 * 6 + 2 * 256]);
    const expert = 2 * 256 + 16;
    // Router, softmax (four a value), choice, two experts, their weights, the sum.
    expect(costs.forward).toBe(2 * 48 + 4 * 6 + 6 + 2 * expert + 2 * 8 + 2 * 8);
  });

  it('sees half of the context on average, and makes once what is of the past alone', () => {
    const [short, long] = [9, 99].map((tokens) => explained(LAYERS, 'attention', tokens).costs.forward);
    // Logits and values: two products of K numbers, and a softmax, for each token that is seen.
    expect(long - short).toBe((50 - 5) * (2 * 4 + 2 * 4 + 4));
    const [near, far] = [9, 99].map((tokens) => explained(LAYERS, 'latent', tokens).costs.forward);
    expect(far - near).toBe(long - short);
  });
});

describe('what a token moves', () => {
  it('is its share of the params, and values that are written and read', () => {
    const { bytes, counts, costs } = explained(LAYERS, 'two', 32);
    expect(bytes.forward).toBe((2 * counts.params) / 32 + 4 * costs.kept);
    expect(bytes.backward).toBe((4 * counts.params) / 32 + 6 * costs.kept);
  });

  it('is no more than the members that it chooses where it is alone', () => {
    const { bytes, counts, costs } = explained(LAYERS, 'mixture', 1);
    expect(bytes.forward - 4 * costs.kept).toBe(2 * counts.active);
    expect(explained(LAYERS, 'mixture', 1000).bytes.forward - 4 * costs.kept).toBeCloseTo((2 * counts.params) / 1000, 9);
  });
});

describe('the words of explain', () => {
  const text = graphText(explained(LAYERS, 'lm', 64));

  it('tell parts with their shapes, once for each use', () => {
    expect(text).toContain('parts       mixture(x: [D = 8]) -> y: [D = 8]    E=6 k=2 F=16 1,584 params\n');
    expect(text).toContain('attention(x: [D = 8]) -> y: [D = 8]    K=4 128 params\n');
    expect(text.match(/ two\(x/g)).toHaveLength(1);
  });

  it('tell like turns together, choices, losses, and params with and without the vocabulary', () => {
    expect(text).toContain('calls       4 x [0-1, 3-4] dense = two, ffn = mixture');
    expect(text).toContain('2 x [2, 5] attn = attention, ffn = mixture');
    expect(text).toContain('chooses     ffn (mixture): 2 of 6 along E for every token');
    expect(text).toContain('losses      lm');
    const { counts, withoutEmbedding, withoutVocabulary } = explained(LAYERS, 'lm');
    expect(withoutEmbedding).toEqual({ params: counts.params - 80, active: counts.active - 80 });
    expect(withoutVocabulary).toEqual({ params: counts.params - 160, active: counts.active - 160 });
    expect(text)
      .toContain(`${counts.params.toLocaleString('en-US')} in all, ${counts.active.toLocaleString('en-US')} active for a token\n`);
  });

  it('share params and operations out to the last', () => {
    const { shares, counts, costs } = explained(LAYERS, 'lm');
    expect(shares.reduce((sum, { params }) => sum + params, 0)).toBe(counts.params);
    expect(shares.reduce((sum, { forward }) => sum + forward, 0)).toBeCloseTo(costs.forward, 6);
    expect(shares.map(({ name, times }) => [name, times])).toEqual([['ffn', 6], ['dense', 4], ['attn', 2], ['lm', 1]]);
  });

  it('count a tied embedding as read by every token', () => {
    const tied = explained(LAYERS.replace('param embed, head: [W, D]', 'param embed: [W, D]').replace('x @ head', 'x @ embed'), 'lm');
    expect(tied.withoutEmbedding).toBeUndefined();
    expect(tied.withoutVocabulary?.params).toBe(tied.counts.params - 80);
  });
});

it('makes a report with pictures whose text is text', () => {
  const template = readFileSync(join(ROOT, 'templates/explain/graph.html.hbs'), 'utf8');
  const html = graphHtml(template, { ...explained(LAYERS, 'lm'), doc: '<script>alert(1)</script>' }, 'a < b & c');
  expect(html).not.toContain('<script>');
  expect(html).toContain('a &lt; b &amp; c');
  expect(html.match(/<svg /g)).toHaveLength(3);
  expect(html).not.toMatch(/NaN|undefined|Infinity/);
});
