import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { compiled, compiler, STAND_INS } from './emulator.js';
import { templates } from './templates.js';

/** Panels of 64 columns that a head may have, and threads that load them together. */
const PANELS = [1, 2, 3, 4, 5, 6, 7, 8] as const;
const THREADS = [128, 256, 512] as const;

/** What the texts of templates/cuda make of a tile whose every element has a number of its own, as a program with one launch a case. */
const program = (kernels: readonly string[], launches: readonly string[]) => `
${STAND_INS['rt/ptx.cuh']}
${templates['rt/tile.cuh']}
${templates['rt/mma.cuh']}
constexpr int MOST = 512;
bf16 given[MOST * MOST];
int number_of(int r, int c) { return (r * 37 + c * 11) % 251; }
${kernels.join('\n')}
int main() {
  catch_faults();
  set_order(0);
  for (int r = 0; r < MOST; ++r) for (int c = 0; c < MOST; ++c) st(given + r * MOST + c, (float)number_of(r, c));
  ${launches.join('\n  ')}
}`;

function complaint(kernels: readonly string[], launches: readonly string[], sm90: boolean): string {
  const folder = mkdtempSync(join(tmpdir(), 'lmoec-panels-'));
  try {
    writeFileSync(join(folder, 'k'), compiled(program(kernels, launches), { sm90, half: false, races: true }), { mode: 0o755 });
    const { stderr, signal } = spawnSync(join(folder, 'k'), { encoding: 'utf8' });
    return `${stderr}${signal ?? ''}`;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

describe.skipIf(!compiler)('tiles of any number of panels (skipped where g++ is missing)', () => {
  it('are loaded whole, each place by one thread, full or not', () => {
    const kernel = `
template <int R, int P, int THREADS> void loads(int rows, int cols) {
  const u32 base = (saddr(smem) + 1023) & ~1023u;
  tile_load<R, P, THREADS>(base, given, MOST, rows, cols, threadIdx.x);
  cp_commit();
  cp_wait<0>();
  team_sync(1, THREADS);
  for (int i = threadIdx.x; i < R * P * 64; i += THREADS) {
    const int r = i / (P * 64), c = i % (P * 64);
    const float wanted = r < rows && c < cols ? (float)number_of(r, c) : 0.f, found = tile_at<R>(base, r, c);
    if (found != wanted) fail("has %g at %d, %d, not %g", found, r, c, wanted);
  }
}`;
    const launches = PANELS.flatMap((P) => THREADS.flatMap((threads) => [
      [64, 64 * P], [61, 64 * P], [64, 64 * P - 8],
    ].map(([rows, cols]) => (
      `launch("${P} panels, ${threads} threads, ${rows} x ${cols}", {1, 1, 1}, ${threads}, ${P * 64 * 128 + 1024}, `
      + `+[] { loads<64, ${P}, ${threads}>(${rows}, ${cols}); });`
    ))));
    expect(complaint([kernel], launches, true)).toBe('');
  });

  it.each([true, false])('are multiplied by warpgroups that share their columns; wgmma: %s', (sm90) => {
    const kernel = `
template <int P, int PARTS, bool MN> void multiplies() {
  constexpr int N = P * 64 / PARTS, R = MN ? 64 : P * 64, ACROSS = MN ? P : 1, THREADS = 128 * PARTS;
  const u32 base = (saddr(smem) + 1023) & ~1023u;
  tile_load<R, ACROSS, THREADS>(base, given, MOST, R, ACROSS * 64, threadIdx.x);
  cp_commit();
  cp_wait<0>();
  team_sync(1, THREADS);
  const int part = threadIdx.x / 128;
  // The unit matrix: products are the other operand, exactly.
  u32 a[4][4];
  float unit[32];
  for (int i = 0; i < 32; ++i) unit[i] = frag_row(i) == frag_col(i) ? 1.f : 0.f;
  pack<4>(a, unit);
  // What lies behind the registers of a product stays.
  struct { float sum[N / 2], behind[64]; } d;
  for (float& x : d.behind) x = 7.f;
  mma_open();
  mma<N, 4, R, MN, true>(d.sum, a, base, part * N);
  mma_commit();
  mma_wait<0>();
  mma_ready<N / 2>(d.sum);
  for (int i = 0; i < N / 2; ++i) {
    const int r = frag_row(i), c = part * N + frag_col(i), wanted = MN ? number_of(r, c) : number_of(c, r);
    if (d.sum[i] != (float)wanted) fail("has %g at %d, %d, not %d", d.sum[i], r, c, wanted);
  }
  for (float x : d.behind) if (x != 7.f) fail("writes behind its registers");
}`;
    const launches = PANELS.flatMap((P) => [1, 2, 4].flatMap((parts) => [true, false].map((across) => (
      `launch("${P} panels, ${parts} parts, ${across ? 'across' : 'along'}", {1, 1, 1}, ${128 * parts}, ${P * 64 * 128 + 1024}, `
      + `+[] { multiplies<${P}, ${parts}, ${across}>(); });`
    ))));
    expect(complaint([kernel], launches, sm90)).toBe('');
  });
});
