import { describe, expect, it } from 'vitest';
import { renderAll } from '../../../src/diagnostics/render.js';
import { frontend } from '../../../src/passes/frontend.js';
import { tryNormalize } from '../../../src/passes/normalize/diagnose.js';
import { lowerScan } from '../../../src/passes/pipeline.js';

const SIZES = new Map([['K', 16], ['V', 16]]);
const scan = (body: string) => `scan f(q, k: [K], v: [V], a: [] in 0..1) -> o: [V] {\n  state S: [K, V]\n${body}\n}\n`;
const lines = (n: number, line: (i: number) => string): string => Array.from({ length: n }, (_, i) => line(i)).join('\n');
const repeated = (text: string, n: number): string => Array.from({ length: n }, () => text).join('');

/** Codes of what is wrong with a text; lowered to Tile where nothing is. */
function codes(text: string, read?: (path: string) => string | undefined): string[] {
  const { specs, diagnostics } = frontend('t.lmoe', text, read);
  const found = diagnostics.filter((d) => d.severity === 'error').map((d) => d.code as string);
  for (const spec of found.length > 0 ? [] : specs) {
    const refused = tryNormalize(spec).refused;
    if (refused !== undefined) found.push(refused.code);
    else lowerScan(spec, SIZES);
  }
  return [...new Set(found)];
}

/** Twenty-four lines, each of which uses the one before twice: 2^24 ways through them. */
const shared: readonly (readonly [string, string])[] = [
  ['products in a gate', `${lines(24, (i) => `let a${i + 1} = a${i} * a${i}`)}\nS = a24 * S[t-1] + outer(k, v)`
    .replace('a0 * a0', 'a * a')],
  ['powers in a gate', `S = ${repeated('(', 24)}a${repeated('^8)', 24)} * S[t-1] + outer(k, v)`],
  ['powers that are no products', `S = ${repeated('(', 24)}a${repeated('^1.5)', 24)} * S[t-1] + outer(k, v)`],
  ['sums of outer products', `let m0 = outer(k, v)\n${lines(24, (i) => `let m${i + 1} = m${i} + m${i}`)}\nS = S[t-1] + m24`],
  ['products of sums of outer products', 'let m0 = outer(k, v) + outer(q, v)\n'
    + `${lines(24, (i) => `let m${i + 1} = m${i} * m${i}`)}\nS = S[t-1] + m24`],
  ['sums that differ in their vectors', 'let m0 = outer(k, v)\n'
    + `${lines(24, (i) => `let m${i + 1} = m${i} * tanh(${i + 1} * k) + m${i}`)}\nS = S[t-1] + m24`],
];

describe('shared values stay shared', () => {
  it.each(shared)('%s', (_, body) => {
    const [spec] = frontend('t.lmoe', scan(`${body}\n  o = q @ S`)).specs;
    const found = tryNormalize(spec);
    expect(found.refused).toBeUndefined();
    expect('scan' in found && found.scan.nodes.length).toBeLessThan(100 * 24);
  });

  it('of a state, too: at most a diagnostic', () => {
    expect(codes(scan('let m0 = S[t-1] + outer(k, v)\n'
      + `${lines(24, (i) => `let m${i + 1} = 0.5 * m${i} + 0.5 * m${i}`)}\nS = m24\no = q @ S`))).toEqual(['E306']);
  });
});

const deep = (n: number): readonly (readonly [string, string])[] => [
  ['parentheses', `o = ${repeated('(', n)}q${repeated(')', n)} @ S`],
  ['calls', `o = ${repeated('tanh(', n)}q${repeated(')', n)} @ S`],
  ['signs', `o = ${repeated('-', n)}q @ S`],
  ['exponents', `o = q${repeated('^1.01', n)} @ S`],
  ['terms', `o = q @ S${repeated(' + v', n)}`],
  ['factors', `o = (q @ S)${repeated(' * v', n)}`],
  ['names', `let x0 = q\n${lines(n, (i) => `let x${i + 1} = gelu(x${i})`)}\no = x${n} @ S`],
  ['brackets that stay open', `o = ${repeated('(', n)}`],
];

const layer = (body: string): string => `layer f(x: [D]) -> y: [D] with D = 64, L = 4 {\n${body}\n}\n`;

/** What only layers nest. */
const layers = (n: number): readonly (readonly [string, string])[] => [
  ['nots', `y = x * mask(${repeated('not ', n)}(L > 2))`],
  ['blocks of if', `y = x\n${repeated('if L > 2 {\n', n)}y = x\n${repeated('}\n', n)}`],
  ['branches behind else', `if L > 2 {\n}${repeated(' else if L > 2 {\n}', n)}\ny = x`],
  ['turns in turns', `y = x\n${repeated('repeat i in 0..0 {\n', n)}${repeated('}\n', n)}`],
  ['indices', `y = ${repeated('x[', n)}t${repeated(']', n)}`],
  ['arguments with names', `y = ${repeated('rmsnorm(x, eps: ', n)}1${repeated(')', n)}`],
  ['joined dimensions', `y = x\nnames hf {\nw = "w" [${repeated('(', n)}D${repeated(')', n)}]\n}`],
  ['prefixes', `y = x\nnames hf {\n${repeated('"p." {\n', n)}${repeated('}\n', n)}}`],
  ['blocks that stay open', repeated('if L > 2 {\n', n)],
].filter(([what]) => n > 1000 || what !== 'blocks that stay open').map(([what, body]) => [what, body] as const);

describe('depth is an answer or a diagnostic', () => {
  const text = (body: string) => scan(`S = S[t-1] + outer(k, v)\n${body}`);
  it.each(deep(60).slice(0, -1))('sixty %s compile', (_, body) => expect(codes(text(body))).toEqual([]));
  it.each(deep(250).slice(4, -1))('two hundred and fifty %s compile', (_, body) => expect(codes(text(body))).toEqual([]));
  it.each(deep(20_000))('twenty thousand %s do not', (_, body) => expect(codes(text(body))).toEqual(['E106']));

  it('what lies side by side is not deep', () => {
    expect(codes(text(`${lines(400, (i) => `let x${i} = -(-q * (2 + ${i})^-2)`)}\no = x399 @ S`))).toEqual([]);
  });

  it.each(layers(20_000))(
    'twenty thousand %s are refused before anything follows them', (_, body) => expect(codes(layer(body))).toEqual(['E106']),
  );
  it.each(layers(50))('fifty %s are read', (_, body) => expect(codes(layer(body))).not.toContain('E106'));

  it('turns in turns multiply', () => {
    expect(codes(layer(`y = x\n${lines(30, (i) => `repeat i${i} in 0..9 {`)}\n${repeated('}\n', 30)}`))).toEqual(['E106']);
  });

  it('parts in parts', () => {
    const chain = (n: number, use: string): string => lines(
      n, (i) => `layer l${i}(x: [D]) -> y: [D] with D = 4, k = 0 {\n${use.replaceAll('NEXT', `l${i + 1}`)}\n}`,
    );
    const last = (n: number): string => `\nlayer l${n}(x: [D]) -> y: [D] with D = 4, k = 0 {\ny = (1 + k) * x\n}\n`;
    const once = 'use n = NEXT\ny = n(x)';
    const twice = 'use a = NEXT with k = 2 * k\nuse b = NEXT with k = 2 * k + 1\ny = b(a(x))';
    expect(codes(chain(50, once) + last(50))).toEqual([]);
    expect(codes(chain(2000, once) + last(2000))).toEqual(['E106']);
    expect(codes(chain(40, twice) + last(40))).toEqual(['E106']);
  });

  it.each(['and', 'or', '+', '-', '*', '/', '%', '@'])('operators in a row: %s', (op) => {
    expect(codes(layer(`let c = x${repeated(` ${op} x`, 20_000)}\ny = x`))).toEqual(['E106']);
    expect(codes(layer(`let c = x${repeated(` ${op} x`, 200)}\ny = x`))).not.toContain('E106');
  });

  it('what lies side by side in a layer is not deep', () => {
    const flat = lines(
      400,
      (i) => `let a${i} = -(x * -2)^-2\nif not (L > 2) {\n  y = -x\n} else if L == 1 {\n  y = x\n}\nparam w${i}: [D] = -1 f32 no decay`,
    );
    const names = lines(400, (i) => `w${i} = "w.${i}" [(D)]\n"p${i}." {\n}`);
    expect(codes(layer(`${flat}\nnames hf {\n${names}\n}\ninit -1\ny = x`))).not.toContain('E106');
  });

  it('imports', () => {
    const chain = (path: string): string => `import { f } from "${Number.parseInt(path, 10) + 1}.lmoe"\n`;
    expect(codes('import { f } from "1.lmoe"\n', chain)).toEqual(['E218']);
  });

  it(
    'writes of a state',
    () => expect(codes(scan(`S = S[t-1] + ${lines(100, (i) => `${i === 0 ? '' : '+ '}outer(tanh(${i + 1} * k), v)`)}\no = q @ S`)))
      .toEqual(['E306']),
  );
});

describe('many mistakes', () => {
  const show = (text: string): string => renderAll(frontend('t.lmoe', text).diagnostics, { source: () => text, colour: false });

  it('of unknown names: the first ones are shown', () => {
    const text = scan(`${lines(3000, (i) => `let x${i} = y${i} + z${i}`)}\nS = S[t-1] + outer(k, v)\no = q @ S`);
    expect(show(text)).toContain('and 50 more');
    expect(show(text).length).toBeLessThan(20_000);
  });

  it('on one long line: a part of it is shown, with the mark below its place', () => {
    const names = Array.from({ length: 3000 }, (_, i) => `x${i}`).join(', ');
    const shown = show(`scan f(${names}: [K]) -> o: [K] { o = x0 }`).split('\n');
    expect(shown.length).toBeLessThan(500);
    expect(Math.max(...shown.map((line) => line.length))).toBeLessThan(200);
    shown.forEach((line, i) => {
      if (!line.includes('^')) return;
      expect(shown[i - 1].slice(line.indexOf('^'), line.lastIndexOf('^') + 1)).toMatch(/^x\d+$/);
    });
  });
});
