import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { extentsOf, type CallSizes } from '../../../src/runtime/extents.js';
import { randomSource } from '../../../src/support/random.js';
import { compiler } from './emulate.js';
import { templates } from './templates.js';
import { TOKEN_ROWS, tablesOf } from '../rows.js';

const planOf = (pays?: number) => ({
  ...TOKEN_ROWS, chunk: 16, segmentation: { programs: 12, least: 2, ...(pays !== undefined && { pays }) },
});
type SomePlan = ReturnType<typeof planOf>;

/** Offsets come as numbers; those of the table are int32 or int64 by `bytes`, or none. Tables have guard pages around them. */
const MAIN = `
int main(int argc, char** argv) {
  set_order(0);
  catch_faults();
  const int bytes = atoi(argv[1]);
  const Dims d = {atoi(argv[2]), atoi(argv[3]), atoi(argv[3]), atoi(argv[4]), atoi(argv[5]), atoi(argv[6])};
  const Guarded offsets = guard("offsets", (d.sequences + 1) * 8, 8);
  for (int i = 7; i < argc; ++i) {
    if (bytes == 8) ((i64*)offsets.at)[i - 7] = atoll(argv[i]);
    if (bytes == 4) ((int*)offsets.at)[i - 7] = atoi(argv[i]);
  }
  const Guarded s = guard("sequences", 24 * d.sequences, 4), g = guard("segments", 16 * d.segments, 4),
    c = guard("chunks", 16 * d.chunks, 4);
  launch("tables", {1, 1, 1}, 1024, 4096, [=] {
    lmoec_tables(bytes ? offsets.at : nullptr, bytes, (int*)s.at, (int*)g.at, (int*)c.at, d);
  });
  for (auto& table : {s, g, c}) {
    for (size_t i = 0; i < table.bytes / 4; ++i) printf("%d ", ((int*)table.at)[i]);
    printf("\\n");
  }
}
`;

function run(
  folder: string, bytes: 0 | 4 | 8, extents: ReturnType<typeof extentsOf>, offsets: readonly number[],
): readonly (readonly number[])[] {
  const { tokens, heads, sequences, chunks, segments } = extents;
  const done = spawnSync(
    join(folder, 'tables'), [bytes, tokens, heads, sequences, chunks, segments, ...offsets].map(String), { encoding: 'utf8' },
  );
  expect(done.stderr).toBe('');
  expect(done.status).toBe(0);
  return done.stdout.split('\n').slice(0, 3).map((line) => line.split(' ').filter((word) => word !== '').map(Number));
}

const offsetsOf = (lengths: readonly number[]) => lengths.reduce<readonly number[]>(
  (list, length) => [...list, list[list.length - 1] + length], [0],
);

/** The extents of a host that does not know lengths (ir/plan/rows.ts). */
function bounds(plan: SomePlan, { heads, groups, lengths }: CallSizes): ReturnType<typeof extentsOf> {
  const tokens = lengths.reduce((sum, length) => sum + length, 0);
  const chunks = Math.floor((tokens + lengths.length * (plan.chunk - 1)) / plan.chunk);
  const { programs, least, pays = 1 } = plan.segmentation;
  const more = Math.min(Math.floor(chunks / least), Math.floor(programs / heads));
  const segments = lengths.length + (more < pays ? 0 : more);
  return { tokens, heads, groups, sequences: lengths.length, chunks, segments };
}

const withTables = describe.skipIf(!compiler).each([undefined, 3]);
withTables('tables made on the device against those of the host, cut where %s segments pay (skipped without g++)', (pays) => {
  const plan = planOf(pays);
  let folder = '';
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'lmoec-tables-'));
    writeFileSync(join(folder, 'tables.cc'), [
      '#include "emulator.cc"',
      `constexpr int kChunk = ${plan.chunk}, kTablePrograms = ${plan.segmentation.programs}, `
        + `kTableLeast = ${plan.segmentation.least}, kTablePays = ${pays ?? 1};`,
      templates['rt/tables.cuh'], MAIN,
    ].join('\n'));
    execFileSync(
      'g++', ['-std=c++17', '-O1', '-w', '-I', import.meta.dirname, '-o', join(folder, 'tables'), join(folder, 'tables.cc')],
      { stdio: 'pipe' },
    );
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  const random = randomSource(11, 'tables');
  const draws: readonly (readonly number[])[] = [
    [1], [0], [16], [0, 0, 5], [400], [33, 0, 1, 16, 90, 0],
    ...Array.from({ length: 12 }, () => Array.from(
      { length: 1 + random.below(40) }, () => (random.below(4) === 0 ? 0 : random.below(random.below(2) === 0 ? 20 : 200)),
    )),
    Array.from({ length: 1500 }, () => random.below(20)),
  ];
  it.each(draws.map((lengths) => [
    lengths.length > 8 ? `${lengths.length} sequences` : lengths.join(' '), lengths,
  ] as const))('%s', (_, lengths) => {
    for (const heads of [1, 5]) {
      const call = { heads, groups: heads, lengths };
      const expected = tablesOf(plan, call).map(([, table]) => [...table]);
      for (const bytes of [4, 8] as const) {
        expect(run(folder, bytes, extentsOf(plan, call), offsetsOf(lengths))).toEqual(expected);
        const found = run(folder, bytes, bounds(plan, call), offsetsOf(lengths));
        expect(found.map((table, i) => table.slice(0, expected[i].length))).toEqual(expected);
        expect(found.flatMap((table, i) => table.slice(expected[i].length)).filter((x) => x !== 0 && x !== -1)).toEqual([]);
      }
    }
  });
  it('equal lengths without offsets', () => {
    const call = { heads: 2, groups: 2, lengths: [37, 37, 37] };
    expect(run(folder, 0, extentsOf(plan, call), [])).toEqual(tablesOf(plan, call).map(([, table]) => [...table]));
  });
  it('wrong offsets lead nowhere outside', () => {
    for (const offsets of [[0, 90, 0, 90, 0, 90], [90, 80, 70, 60, 50, 40], [-5, 1000, -7, 2 ** 30, 3, 90], [0, 90, 90, 1, 90, 12]]) {
      const extents = bounds(plan, { heads: 1, groups: 1, lengths: [90, 0, 0, 0, 0] });
      const [sequences, segments, chunks] = run(folder, 8, extents, offsets);
      for (let i = 0; i < extents.sequences; i++) {
        const [first, end, chunk, count, segment, pieces] = sequences.slice(6 * i);
        expect([
          first >= 0, end >= first, end <= 90, chunk + count <= extents.chunks, segment + pieces <= extents.segments,
        ]).toEqual([true, true, true, true, true]);
      }
      for (let i = 0; i < extents.chunks; i++) expect(chunks[4 * i + 1] + chunks[4 * i + 2]).toBeLessThanOrEqual(90);
      for (let i = 0; i < extents.segments; i++) expect(segments[4 * i + 1] + segments[4 * i + 2]).toBeLessThanOrEqual(extents.chunks);
    }
  });
});
