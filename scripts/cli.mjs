#!/usr/bin/env node
// The command `lmoec`. In a clone in which nothing was built, what is missing is installed and built before.
import { existsSync } from 'node:fs';

const main = new URL('../dist/src/cli/main.js', import.meta.url);
if (!existsSync(main)) {
  const { build } = await import('./setup.mjs');
  if (!build()) process.exit(1);
}
await import(main.href);
