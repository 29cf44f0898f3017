import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { explain } from '../../../src/driver/explain/model.js';
import { explainText } from '../../../src/driver/explain/text.js';
import { runSpec } from '../../../src/interp/spec.js';
import { frontend } from '../../../src/passes/frontend.js';
import { lowerScan } from '../../../src/passes/pipeline.js';
import { emitCuda } from '../../../src/backends/cuda/emit.js';
import { EXAMPLES } from '../../examples.js';
import { templates } from '../cuda/templates.js';
import { draw, specOf } from '../passes/scans.js';

const CALL = { batch: 1, tokens: 64, heads: 2, groups: 1 };
const source = { hash: '', compiler: '', command: '' };

function explained(text: string) {
  const spec = specOf(text);
  const sizes = new Map(spec.axes.map(({ name }) => [name, 16]));
  const { scan, module } = lowerScan(spec, sizes, { chunk: 16 });
  const { plan } = emitCuda(module, { target: 'cuda.sm90', dtype: 'f32', source, doc: '', templates });
  return { spec, sizes, explanation: explain(spec, scan, plan, CALL, 't') };
}

/** The text with the formulas of its outputs as `explain` prints them. */
function printedBack(text: string): { readonly text: string; readonly replaced: number } {
  const { explanation, spec } = explained(text);
  const scan = frontend('t', text).ast?.items.find((item) => item.kind === 'scan');
  const states = new Set(spec.states.map(({ name }) => name));
  const edits = explanation.outputs.flatMap((line) => {
    const [, name, value] = /^(\w+) = (.*)$/.exec(line) ?? [];
    const statement = scan?.body.find((own) => own.kind === 'assign' && own.name.text === name);
    return statement?.kind === 'assign' && !states.has(name) ? [{ ...statement.value.origin, value, statement: statement.origin.start }] : [];
  });
  // Outputs come last in the examples, so that names for values stand before the first of them.
  const first = Math.min(...edits.map(({ statement }) => statement));
  const lets = explanation.lets.map((own) => `let ${own}\n`).join('');
  const edited = edits.sort((x, y) => y.start - x.start).reduce((whole, { start, end, value }) => whole.slice(0, start) + value + whole.slice(end), text);
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
const FORMULAS = ['(q + r) @ S', '-(q - r) @ S', 'v - (w - v)', 'v / (w / (1 + v^2))', '(q @ S) * (v - w) / 3', 'abs(v)^(0.5^2.5)', '(abs(v)^1.5)^2.5', '(q - (k - r)) @ S + -(v + w)', '(v + w) @ (v - w) * w'];

describe('what explain prints means what was meant', () => {
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

  it('is as long as the formula, not as the ways through it', () => {
    const lines = Array.from({ length: 24 }, (_, i) => `let a${i + 1} = a${i} * a${i} + a${i}`).join('\n');
    const { explanation } = explained(`scan f(q, k: [K], v: [V], a0: [V]) -> o: [V] {\nstate S: [K, V]\n${lines}\nS = S[t-1] + outer(k, v)\no = (q @ S) * a24\n}`);
    expect(explainText(explanation).length).toBeLessThan(8000);
    expect(explanation.lets.length).toBeGreaterThan(10);
  });

  it('says which lowering a kernel got, and why not a better one', () => {
    const text = explainText(explained(`${HEAD}  o = q @ S + w + 0 * (r @ S)\n}\n`).explanation);
    expect(text).toMatch(/plain, not on tensor cores \(f32 operands\): S_/);
    expect(text).toMatch(/registers/);
  });
});
