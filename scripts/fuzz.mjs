// Random programs compile or are refused, and mean what they say. npm run fuzz -- --seconds 600 --seed 7
import { spawnSync } from 'node:child_process';
import { parseArgs } from 'node:util';
import { root } from './setup.mjs';

const { values } = parseArgs({
  options : { seconds: { type: 'string', default: '300' }, seed: { type: 'string', default: String(Date.now() % 1_000_000) } }
});
for (const [name, value] of Object.entries(values)) {
  if (!/^\d+$/.test(value)) {
    console.error(`fuzz: --${name} takes a whole number, not ${value}`);
    process.exit(2);
  }
}
const env = { ...process.env, LMOEC_FUZZ_SECONDS: values.seconds, LMOEC_FUZZ_SEED: values.seed };
const files = ['test/fuzz', 'test/property/goals.test.ts'];
const { status } = spawnSync('npx', ['vitest', 'run', '--maxWorkers=1', ...files], { cwd: root, stdio: 'inherit', env });
process.exit(status ?? 1);
