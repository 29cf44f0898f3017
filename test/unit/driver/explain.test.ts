import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { explain } from '../../../src/driver/scan/explain/model.js';
import { explainHtml } from '../../../src/driver/scan/explain/html.js';
import { flowPicture } from '../../../src/driver/scan/explain/svg.js';
import { explainText } from '../../../src/driver/scan/explain/text.js';
import { runSpec } from '../../../src/interp/spec.js';
import type { PartItem } from '../../../src/ir/ast/ast.js';
import { frontend } from '../../../src/passes/frontend.js';
import { lowerScan } from '../../../src/passes/pipeline.js';
import { emitCuda } from '../../../src/backends/cuda/emit.js';
import { EXAMPLES } from '../../examples.js';
import { PROGRAMS } from '../../programs.js';
import { templates } from '../cuda/templates.js';
import { emitWgsl } from '../../../src/backends/wgsl/emit.js';
import { templates as wgslTemplates } from '../wgsl/templates.js';
import { draw, specOf } from '../passes/scans.js';

const CALL = { batch: 1, tokens: 64, heads: 2, groups: 1 };
const source = { hash: '', compiler: '', command: '' };

function explained(text: string, target: 'cuda.sm90' | 'webgpu' = 'cuda.sm90') {
  const spec = specOf(text);
  const sizes = new Map(spec.axes.map(({ name }) => [name, 16]));
  const { scan, module } = lowerScan(spec, sizes, { chunk: 16, keeps: target !== 'webgpu' });
  const { plan } = target === 'webgpu'
    ? emitWgsl(module, { dtype: 'f32', source, doc: '', templates: wgslTemplates })
    : emitCuda(module, { target, dtype: 'f32', source, doc: '', templates });
  return {
    spec, sizes,
    explanation: explain(spec, scan, plan, { ...CALL, groups: spec.inputs.some(({ scope }) => scope === 'group') ? 1 : CALL.groups }, 't'),
  };
}

/** The text with the formulas of its outputs as `explain` prints them. */
function printedBack(text: string): { readonly text: string; readonly replaced: number } {
  const { explanation, spec } = explained(text);
  const scan = frontend('t', text).ast?.items.find((item): item is PartItem => item.kind === 'scan');
  const states = new Set(spec.states.map(({ name }) => name));
  // What the text calls something is still there under its name.
  const names = explanation.lets.map((line) => line.split(' ')[0]);
  const printed = (formula: string) => names.reduce(
    (whole, name) => whole.replaceAll(new RegExp(`\\b${name}\\b`, 'g'), `${name}_printed`), formula,
  );
  const edits = explanation.outputs.flatMap((line) => {
    const [, name, own] = /^(\w+) = (.*)$/.exec(line) ?? [];
    const value = printed(own ?? '');
    const statement = scan?.body.find((own) => own.kind === 'assign' && own.name.text === name);
    return statement?.kind === 'assign' && !states.has(name)
      ? [{ ...statement.value.origin, value, statement: statement.origin.start }]
      : [];
  });
  // Outputs come last in the examples, so that names for values stand before the first of them.
  const first = Math.min(...edits.map(({ statement }) => statement));
  const lets = explanation.lets.map((own) => `let ${printed(own)}\n`).join('');
  const edited = edits.sort((x, y) => y.start - x.start).reduce(
    (whole, { start, end, value }) => whole.slice(0, start) + value + whole.slice(end), text,
  );
  return { text: edits.length === 0 ? text : edited.slice(0, first) + lets + edited.slice(first), replaced: edits.length };
}

function sameMeaning(text: string, other: string): void {
  const [spec, again] = [specOf(text), specOf(other)];
  const sizes = new Map(spec.axes.map(({ name }) => [name, 16]));
  const { call, given } = draw(spec, sizes, [5], 1);
  const [wanted, found] = [spec, again].map((own) => runSpec(own, call, given));
  for (const { name } of spec.outputs) {
    wanted.get(name)?.forEach((value, i) => expect(found.get(name)?.[i], `${name} of\n${other}`).toBeCloseTo(value, 9));
  }
}

const HEAD = 'scan f(q, k, r: [K], v, w: [V]) -> o: [V] {\n  state S: [K, V]\n  S = S[t-1] + outer(k, v)\n';
const FORMULAS = [
  '(q + r) @ S', '-(q - r) @ S', 'v - (w - v)', 'v / (w / (1 + v^2))', '(q @ S) * (v - w) / 3', 'abs(v)^(0.5^2.5)', '(abs(v)^1.5)^2.5',
  '(q - (k - r)) @ S + -(v + w)', '(v + w) @ (v - w) * w', 'l2norm(q) @ S', 'rmsnorm(q @ S)', 'softmax[V](v + w) * w + softmax[V](v)',
  'sum[K](2 * S)', 'sum[K](sum[V](v) * S) + v', 'sum[K](tanh(outer(q, v)))', 'sum[K](tanh(S) * outer(k, w))',
  'v * sum[K, V](tanh(S) * outer(k, w))',
];

describe('what explain prints means what was meant', () => {
  it('an input of several axes at the token before, which a scan keeps', () => {
    const text = 'scan f(k: [V], a: [] in 0..1, B: [K, M]) -> o: [M] {\n  state h: [V, M, K]\n'
      + '  h = a * h[t-1] + outer(k, B[t-1])\n  o = sum[V, K](h)\n}\n';
    expect(explained(text).explanation.states.find(({ name }) => name === 'h')?.update).toBe('a * h[t-1] + outer(B[t-1], k)');
  });

  it.each(FORMULAS)('%s', (formula) => {
    const text = `${HEAD}  o = ${formula}\n}\n`;
    const printed = printedBack(text);
    expect(printed.replaced).toBe(1);
    sameMeaning(text, printed.text);
  });

  it.each(EXAMPLES)('%s', (name) => {
    const text = readFileSync(new URL(`../../../examples/${name}.lmoe`, import.meta.url), 'utf8');
    sameMeaning(text, printedBack(text).text);
  });

  /** The scan with every formula that is printed in place of its own, each after what it reads. */
  function rewritten(text: string): { readonly text: string; readonly replaced: readonly string[] } {
    const { explanation, spec } = explained(text);
    const scan = frontend('t', text).ast?.items.find((item): item is PartItem => item.kind === 'scan');
    const verbatim = (statement: { readonly origin: { readonly start: number; readonly end: number } }) => text.slice(
      statement.origin.start, statement.origin.end,
    );
    const states = spec.states.filter(({ hidden }) => !hidden).map(({ name }) => name);
    const updates = new Map(explanation.states.flatMap(({ name, update }) => (
      update === undefined ? [] : [[name, `${name} = ${update}`] as const]
    )));
    const outputs = explanation.outputs.filter((line) => !states.includes(line.split(' ')[0]));
    if (scan === undefined || scan.body.length === 0) return { text, replaced: [] };
    const declarations = scan.body.filter(({ kind }) => kind === 'param' || kind === 'state').map(verbatim);
    // Where an update has no formula, nothing of the text is replaced: what it is made of has other names.
    if (updates.size < states.length) return { text, replaced: [] };
    const names = new Set([...states, ...explanation.lets.map((line) => line.split(' ')[0])]);
    let pending = [...explanation.lets.map((line) => `let ${line}`), ...states.map((name) => updates.get(name) ?? ''), ...outputs];
    const placed: string[] = [];
    const known = new Set<string>();
    while (pending.length > 0) {
      const ready = pending.find((line) => [...line.slice(line.indexOf('=')).matchAll(/\b([A-Za-z_]\w*)\b(?!\[t-1\])/g)].every(
        ([, name]) => !names.has(name) || known.has(name)
      ));
      if (ready === undefined) throw new Error(`no order of\n${pending.join('\n')}`);
      pending = pending.filter((line) => line !== ready);
      placed.push(ready);
      known.add(ready.replace(/^let /, '').split(' ')[0]);
    }
    const body = [...declarations, ...placed].join('\n  ');
    return { text: `${text.slice(scan.origin.start, scan.body[0].origin.start)}${body}\n}\n`, replaced: placed };
  }

  it.each(EXAMPLES)('%s, its updates too', (name) => {
    const text = readFileSync(new URL(`../../../examples/${name}.lmoe`, import.meta.url), 'utf8');
    const { text: printed, replaced } = rewritten(text);
    expect(replaced).not.toEqual([]);
    sameMeaning(text, printed);
  });

  it.each(PROGRAMS)('%s, of the programs', (name) => {
    const text = readFileSync(new URL(`../../programs/${name}.lmoe`, import.meta.url), 'utf8');
    sameMeaning(text, rewritten(text).text);
  });

  it('a state in the midst of a token has a name; along which axis it is read; walks one after the other', () => {
    const read = (name: string) => explained(readFileSync(new URL(`../../programs/${name}.lmoe`, import.meta.url), 'utf8')).explanation;
    const recall = read('recall_by_softmax');
    expect(recall.lets.at(-1)).toBe('S1 = exp(g) * S[t-1] + outer(k1, v1 * beta1 + (-beta1 * k1) @ (exp(g) * S[t-1]))');
    expect(recall.states[0].update).toBe('S1 + outer(k2, v2 * beta2 + (-beta2 * k2) @ S1)');
    expect(recall.outputs[1]).toContain('r = ((exp(g) * S[t-1]) @ x1) + ');
    expect(read('read_scaled').states.map(({ pass }) => pass)).toEqual([1, 2]);
    expect(read('read_both_ways').outputs[1]).toBe('r = (S @ p)');
  });

  it('keeps the names that the text has for values', () => {
    const read = (body: string) => {
      const { explanation } = explained(`${HEAD}  ${body}\n}\n`);
      return [...explanation.lets.map((line) => `let ${line}`), ...explanation.outputs];
    };
    expect(read('let n = l2norm(v + w)  o = n * n')).toEqual(['let n = l2norm[V](v + w)', 'o = n * n']);
    expect(read('let a = v^4  let b = a * w  o = b + a')).toEqual(['let a = v * v * (v * v)', 'let b = a * w', 'o = b + a']);
    // Names of what is made of a state stand for nothing in the normal form.
    expect(read('let twice = 2 * (q @ S)  o = twice')[0]).not.toMatch(/^let/);
  });

  it('keeps norms and softmax, and takes nothing else for one', () => {
    const out = (formula: string) => explained(`${HEAD}  o = ${formula}\n}\n`).explanation.outputs[0];
    expect(out('l2norm(v + w)')).toBe('o = l2norm[V](v + w)');
    expect(out('rmsnorm(v)')).toBe('o = rmsnorm[V](v)');
    expect(out('softmax[V](2 * v)')).toMatch(/^o = softmax\[V\]\((?:2 \* v|v \* 2)\)$/);
    for (const other of [
      'v / sqrt(sum[V](v * w) + 1e-6)', 'v / sqrt(sum[V](v^2) + 1e-5)', 'w / sqrt(sum[V](v^2) + 1e-6)', 'v / sqrt(sum[V](v^2) / K + 1e-5)',
      'exp(v - max[V](w)) / sum[V](exp(v - max[V](w)))',
    ]) {
      expect(out(other), other).not.toMatch(/norm|softmax/);
    }
  });

  it('is as long as the formula, not as the ways through it', () => {
    const lines = Array.from({ length: 24 }, (_, i) => `let a${i + 1} = a${i} * a${i} + a${i}`).join('\n');
    const { explanation } = explained('scan f(q, k: [K], v: [V], a0: [V]) -> o: [V] {\nstate S: [K, V]\n'
      + `${lines}\nS = S[t-1] + outer(k, v)\no = (q @ S) * a24\n}`);
    expect(explainText(explanation).length).toBeLessThan(8000);
    expect(explanation.lets.length).toBeGreaterThan(10);
  });

  it('says which lowering a kernel got, and why not a better one', () => {
    const text = explainText(explained(`${HEAD}  o = q @ S + w + 0 * (r @ S)\n}\n`).explanation);
    expect(text).toMatch(/plain, not on tensor cores \(f32 operands\): S_/);
    expect(text).toMatch(/registers/);
  });
});

/** Texts of the pictures in a page with where they end, about, and where their pictures do. */
function captions(html: string): { readonly text: string; readonly end: number; readonly width: number }[] {
  return [...html.matchAll(/<svg viewBox="0 0 ([\d.]+) [\d.]+".*?<\/svg>/gs)].flatMap(([svg, width]) => (
    [...svg.matchAll(/<text x="([\d.]+)" y="[\d.]+" class="(\w*)" text-anchor="start">([^<]*)/g)].map(([, x, kind, text]) => (
      { text, end: Number(x) + text.length * (kind === 'name' ? 7 : 6), width: Number(width) }
    ))
  ));
}

describe('the page of explain', () => {
  const template = readFileSync(new URL('../../../templates/explain/report.html.hbs', import.meta.url), 'utf8');
  const text = readFileSync(new URL('../../../examples/gated_delta.lmoe', import.meta.url), 'utf8');
  const { explanation } = explained(text);
  const page = explainHtml(template, explanation, text);

  it('says what may be kept for backward, and what that spares', () => {
    const gated = `scan s(q, k: [K], v: [V], g: [K] in -inf..0) -> o: [V] {
      state S: [K, V]  S = exp(g) * S[t-1] + outer(k, v)  o = q @ S }`;
    const { explanation } = explained(gated);
    const [chunks, heads, C, K] = [4, 2, 16, 16];
    // Scores, two tensors of vectors, the decays of chunks.
    expect(explanation.kept?.tensors.reduce((sum, { bytes }) => sum + bytes, 0)).toBe(
      4 * (chunks * heads * C * C + 2 * 64 * heads * K + chunks * heads * K),
    );
    expect(explainText(explanation)).toMatch(/kept for backward, where a host asks for it: 25\.1 kB\n.*\n {4}backward without S_prepare: /);
    expect(explanation.kept?.backward.bytes).toBeLessThan(explanation.backward.bytes);
    expect(explainText(explained(gated, 'webgpu').explanation)).not.toContain('kept for backward');
    expect(explained('scan s(x: [D]) -> h: [D] { state h: [D]  h = 0.5 * h[t-1] + x }').explanation.kept).toBeUndefined();
  });

  it('cuts no caption off, and names reads by what they read', () => {
    const found = captions(page);
    expect(found.length).toBeGreaterThan(30);
    expect(found.filter(({ end, width }) => end > width)).toEqual([]);
    expect(explanation.masks.map(({ title, erase }) => [title, erase])).toEqual([['(q * 0.25) @ S', false], ['(-beta * k) @ S', true]]);
    for (const { title } of explanation.masks) expect(page).toContain(`class="name" text-anchor="start">${title}<`);
  });

  it('has no section for masks where there are none', () => {
    const without = explainHtml(template, { ...explanation, masks: [] }, text);
    expect([page.includes('Masks and decays'), without.includes('Masks and decays')]).toEqual([true, false]);
  });

  it('draws arrows down to kernels that read, and says beside a kernel who reads what', () => {
    const { backward } = explanation;
    const picture = flowPicture(backward, 't', true);
    const down = [...picture.matchAll(/<path d="M([\d.]+) ([\d.]+)L([\d.]+) ([\d.]+)" class="arrow"/g)].filter(([, x1, , x2]) => x1 === x2);
    const direct = backward.kernels.filter((kernel, i) => kernel.writes.some((name) => backward.kernels[i + 1]?.reads.includes(name)));
    expect(direct.length).toBeGreaterThan(0);
    expect(direct.length).toBeLessThan(backward.kernels.length - 1);
    expect(down).toHaveLength(4 * direct.length);
    for (const kernel of backward.kernels) {
      for (const name of kernel.writes.filter((written) => written.startsWith('ws.'))) {
        const readers = backward.kernels.filter(
          (other) => other !== kernel && other.reads.includes(name)
        ).map((other) => other.name).join(', ');
        expect(picture).toMatch(new RegExp(`→ ${readers}: [^<]*${name.replaceAll('.', '\\.')}`));
      }
    }
  });
});

describe('the numbers of explain', () => {
  it('warn where a program moves more than four times its tensors, with the figure, and nowhere else', () => {
    const warned = (text: string) => {
      const { explanation } = explained(text);
      const figures = [...explainText(explanation).matchAll(/warning: moves ([\d.]+) times its tensors/g)].map(([, figure]) => figure);
      const costs = [explanation.forward, explanation.backward].map(({ bytes, headBytes }) => bytes / headBytes);
      return { figures, costs };
    };
    const plain = warned(`${HEAD}  o = q @ S\n}\n`);
    expect(Math.max(...plain.costs)).toBeLessThan(4);
    expect(plain.figures).toEqual([]);
    const erases = warned(readFileSync(new URL('../../programs/three_erases.lmoe', import.meta.url), 'utf8'));
    expect(Math.min(...erases.costs)).toBeGreaterThan(4);
    expect(erases.figures).toEqual(erases.costs.map((times) => times.toFixed(1)));
  });

  it('know what lies between kernels in one buffer', () => {
    const kernels = explained(`${HEAD}  o = (q + r) @ S * w\n}\n`, 'webgpu').explanation.backward.kernels;
    for (const kernel of kernels.slice(1)) expect(kernel.reads.length, kernel.name).toBeGreaterThan(0);
    const made = new Set<string>();
    for (const { reads, writes } of kernels) {
      for (const name of reads.filter((read) => read.startsWith('ws.'))) expect(made).toContain(name);
      writes.forEach((name) => made.add(name));
    }
  });

  it('take time for what comes one after the other, however little moves', () => {
    const text = 'scan rnn(x: [D]) -> h: [D] sequential {\n  state h: [D]\n  h = tanh(h[t-1]) + x\n}\n';
    const { forward, machine } = explained(text).explanation;
    expect(forward.kernels).toMatchObject([{ bound: 'latency' }]);
    expect(forward.seconds).toBeCloseTo(machine.launch + CALL.tokens * machine.tokenStep, 12);
    expect(forward.flops).toBeGreaterThanOrEqual(2 * CALL.tokens * CALL.heads * 16);
  });

  it('measure traffic against what heads read, not against what groups share', () => {
    const shared = (group: string) => explained(`scan f(q, k: [K]${group}, v: [V]) -> o: [V] {\n`
      + '  state S: [K, V]\n  S = S[t-1] + outer(k, v)\n  o = q @ S\n}\n').explanation.forward;
    const [own, grouped] = [shared(''), shared(' per group')];
    expect(grouped.headBytes).toBe(own.headBytes);
    expect(grouped.floorBytes).toBeLessThan(own.floorBytes);
  });
});
