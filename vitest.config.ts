import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // Two cores: more workers only fight each other; the software GPUs are processes of their own.
    maxWorkers: 2,
    testTimeout: 120_000,
  },
});
