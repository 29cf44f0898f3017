import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { halvesOf, philox, type NoiseKey } from '../../../src/support/noise.js';
import { compiler } from './emulate.js';
import { templates } from './templates.js';

type Counter = readonly [number, number, number, number];

/** What a kernel makes of elements 4 n to 4 n + 3 of each key and counter. */
function drawn(cases: readonly (readonly [Counter, NoiseKey])[]): readonly number[] {
  const folder = mkdtempSync(join(tmpdir(), 'lmoec-draw-'));
  const calls = cases.flatMap(([[block, ...place], key]) => [0, 1, 2, 3].map((at) => (
    `printf("%.9g\\n", draw(${[...halvesOf(key), 4 * block + at, ...place].map((n) => `${n}.f`).join(', ')}));`
  )));
  try {
    writeFileSync(join(folder, 'draw.cc'), [
      '#include <cmath>', '#include <cstdio>', 'typedef unsigned int u32;', '#define DEV static inline', '#define UNROLL',
      'using std::fminf;', templates['rt/draw.cuh'], 'int main() {', ...calls, '}',
    ].join('\n'));
    execFileSync('g++', ['-std=c++17', '-w', '-o', join(folder, 'draw'), join(folder, 'draw.cc')], { stdio: 'pipe' });
    return execFileSync(join(folder, 'draw'), { encoding: 'utf8' }).trim().split('\n').map(Number);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** The middle of a step of 2^-32, in the digits of f32, below 1. */
const unit = (word: number): number => Math.min(Math.fround(Math.fround(Math.fround(word) + 0.5) * 2 ** -32), Math.fround(0.99999994));

it.skipIf(!compiler)('a kernel\'s draws are the published words of Philox 4x32, by key, element and place (skipped without g++)', () => {
  // Of a counter and a key of zeros the words are known; others are those of the generator that is held against all published ones.
  expect(drawn([[[0, 0, 0, 0], [0, 0]]])).toEqual([0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8].map((word) => (
    Number(unit(word).toPrecision(9))
  )));
  const cases: readonly (readonly [Counter, NoiseKey])[] = [
    [[0, 1, 0, 0], [0, 0]], [[0, 0, 1, 0], [0, 0]], [[0, 0, 0, 1], [0, 0]], [[1, 0, 0, 0], [0, 0]],
    [[2 ** 22 - 1, 2 ** 24 - 1, 2 ** 24 - 1, 2 ** 24 - 1], [0xffffffff, 0xffffffff]], [[5, 1234567, 89, 3], [0xa4093822, 0x299f31d0]],
  ];
  const wanted = cases.flatMap(([counter, key]) => philox([...counter], key)).map((word) => Number(unit(word).toPrecision(9)));
  expect(drawn(cases)).toEqual(wanted);
  expect(new Set(wanted).size).toBe(wanted.length);
});
