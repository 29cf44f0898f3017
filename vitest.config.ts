import { defineConfig } from 'vitest/config';
import { LongestFirst } from './test/longest-first.js';
import { skippedTests } from './test/skipped.js';

const report = process.env['LMOEC_TEST_REPORT'];

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // Two cores: more workers only fight each other; the software GPUs are processes of their own.
    maxWorkers: 2,
    sequence: { sequencer: LongestFirst },
    // Only what hangs takes so long: on a busy machine a software GPU compiles a large kernel for minutes.
    testTimeout: 600_000,
    hookTimeout: 600_000,
    reporters: ['default', skippedTests(), ...(report === undefined ? [] : [['json', { outputFile: report }] as const])],
  },
});
