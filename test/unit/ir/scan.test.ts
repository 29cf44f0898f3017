import { describe, expect, it } from 'vitest';
import type { MatrixStage, ScanProgram, Source } from '../../../src/ir/scan/scan.js';
import { verifyScan } from '../../../src/ir/scan/verify.js';
import { adjoint } from '../../../src/passes/adjoint/adjoint.js';
import { normalize } from '../../../src/passes/normalize/normalize.js';
import { specOf } from '../passes/scans.js';

const spec = specOf(`scan f(q, k: [K], v: [V], b: [] in 0..1, g: [] in -inf..0) -> o: [V] {
  param W: [V, K]
  state n: [], S: [K, V]
  n = 0.9 * n[t-1] + 1
  let P = exp(g) * S[t-1]
  let Q = P + outer(k, b * (v - k @ P))
  S = Q + outer(q, b * (v - q @ Q))
  o = (silu(q @ S) @ W) @ S / n
}`);
const program = normalize(spec);

function matrices({ stages }: ScanProgram): readonly [MatrixStage, MatrixStage] {
  const [first, second] = stages.filter((stage): stage is MatrixStage => stage.kind === 'matrix');
  return [first, second];
}

const [first, second] = matrices(program);
const change = (
  stage: MatrixStage, changed: Partial<MatrixStage>,
): ScanProgram => ({ ...program, stages: program.stages.map((other) => (other === stage ? { ...stage, ...changed } : other)) });
const source = (index: number, changed: Partial<Source>) => change(
  first, { sources: first.sources.map((own, i) => (i === index ? { ...own, ...changed } : own)) },
);
const [sourceA, sourceB] = first.sources;

describe('the scan verifier', () => {
  it('has nothing against a program and its adjoint', () => {
    expect(verifyScan(program)).toEqual([]);
    expect(verifyScan(adjoint(spec, program))).toEqual([]);
  });

  const wrong: readonly (readonly [name: string, program: ScanProgram, message: RegExp])[] = [
    ['a stage that reads a later one', { ...program, stages: [program.stages[0], second, first] }, /stage 1 reads node \d+ of stage 1/],
    ['a stage that reads its own result', change(
      first, { reads: first.reads.map((read) => ({ ...read, row: second.reads[0].row })) },
    ), /stage 1 reads node \d+ of stage 1/],
    ['nodes out of order', { ...program, nodes: [...program.nodes].reverse() }, /reads a node that is not before it|of stage \d+/],
    ['a result that there is not', { ...program, stages: program.stages.slice(0, 2) }, /is result 0 of stage 2, which there is not/],
    ['a column along the value axis', source(0, { col: first.sources[0].value ?? 0 }), /has a column with axes beyond K/],
    ['writes that see each other', source(
      0, { erase: sourceA.erase && { ...sourceA.erase, sees: [false, true] } },
    ), /has writes 0 and 1 that see each other/],
    ['a read before the decay that sees a write after it', source(
      1, { erase: sourceB.erase && { ...sourceB.erase, before: true } },
    ), /before its decay that sees writes after it/],
    ['a walk that counts wrong', change(second, { walk: 0 }), /is walk 0 after 1 others/],
    ['a walk that does something else', change(
      second, { gate: { kind: 'none' } },
    ), /does something else to its state than an earlier walk/],
    ['an adjoint of nothing', ((): ScanProgram => {
      const made = adjoint(spec, program);
      return { ...made, stages: made.stages.map((stage) => (stage.kind === 'matrix-adjoint' ? { ...stage, of: { ...stage.of } } : stage)) };
    })(), /is the adjoint of no earlier stage/],
  ];
  it.each(wrong)('finds %s', (_, changed, message) => expect(verifyScan(changed).join('\n')).toMatch(message));
});
