import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { printAst } from '../../../src/ir/ast/print.js';
import { meaning, parsed } from './meaning.js';
import { commentsOf, messyProgram, program } from './programs.js';

const format = (text: string): string => printAst(parsed(text));

describe('printAst', () => {
  it('says the same as what was parsed', () => {
    fc.assert(fc.property(program, (text) => {
      expect(meaning(parsed(format(text)))).toBe(meaning(parsed(text)));
    }), { seed: 1, numRuns: 150 });
  });

  it('does not depend on white space, keeps every comment, and is idempotent', () => {
    fc.assert(fc.property(messyProgram, (text) => {
      const once = format(text);
      expect(meaning(parsed(once))).toBe(meaning(parsed(text)));
      expect(commentsOf(once)).toEqual(commentsOf(text));
      expect(format(once)).toBe(once);
    }), { seed: 1, numRuns: 150 });
  });

  it('keeps parentheses that hold something together, and no others', () => {
    const body = (text: string) => format(`scan f(q, k: [K], v: [V]) -> o: [V] { state S: [K, V] S = ${text} o = q @ S }`)
      .split('\n')[2].trim();
    expect(body('((S[t-1])) + outer((k), ((-v)))')).toBe('S = S[t-1] + outer(k, -v)');
    expect(body('(((2 * (S[t-1] + outer(k, v)))))')).toBe('S = 2 * (S[t-1] + outer(k, v))');
    expect(body('(-2)^2 * S[t-1] + 2^(-(1)) * outer(k, v)')).toBe('S = (-2)^2 * S[t-1] + 2^(-1) * outer(k, v)');
  });

  it('lays a file out', () => {
    expect(format(`
import {a,b} from "./x.lmoe"
/// Doc.
scan f ( q,k:[K] in -inf .. 0 , v : [V] per group ) -> o:[V] with K=64 { // first
state S:[K,V]


let P=exp(g)*S[t-1]// survives
S = P+outer(k , beta*(v-k@P)) /* written */
o=q@S/sqrt(K)
// last
}
scan g(x:[D])->h:[D] sequential{state h:[D] h=(tanh(-h[t-1]))^2}
// end
`)).toMatchInlineSnapshot(`
  "import { a, b } from "./x.lmoe"

  /// Doc.
  scan f(q, k: [K] in -inf..0, v: [V] per group) -> o: [V] with K = 64 {
    // first
    state S: [K, V]

    let P = exp(g) * S[t-1]               // survives
    S = P + outer(k, beta * (v - k @ P))  /* written */
    o = q @ S / sqrt(K)
    // last
  }

  scan g(x: [D]) -> h: [D] sequential {
    state h: [D]
    h = tanh(-h[t-1])^2
  }
  // end
  "
`);
  });

  it('breaks what does not fit', () => {
    const long = 'a_rather_long_name';
    const text = `scan f(${[1, 2, 3, 4, 5].map((i) => `${long}_${i}: [K] in -inf..0`).join(', ')}) -> y: [K] { `
      + `y = ${[1, 2, 3, 4, 5, 6].map((i) => `${long}_${i}`).join(' + ')} - 1 }`;
    const formatted = format(text);
    expect(Math.max(...formatted.split('\n').map((line) => line.length))).toBeLessThanOrEqual(120);
    expect(format(formatted)).toBe(formatted);
    expect(formatted).toContain('\n    - 1\n');
  });
});
