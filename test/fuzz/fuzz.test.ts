import { expect, it } from 'vitest';
import { compiler } from '../unit/cuda/emulate.js';
import { openSoftwareGpu } from '../webgpu/adapters.js';
import { generate } from './generate.js';
import { judge, TARGETS, type Devices, type Verdict } from './judge.js';
import { paper } from './papers.js';
import { printProgram } from './program.js';
import { shrunk } from './shrink.js';

/** `npm run fuzz` gives them; else a fixed number of seconds from a fixed seed. */
const SECONDS = Number(process.env['LMOEC_FUZZ_SECONDS'] ?? 40);
const FIRST = Number(process.env['LMOEC_FUZZ_SEED'] ?? 1);
const ALL = process.env['LMOEC_FUZZ_SECONDS'] !== undefined;

/** What a fault is called, numbers and names left out. */
const kindOf = (verdict: Verdict): string => {
  if (verdict.kind !== 'fault') return verdict.kind;
  return verdict.what.split('(')[0].replace(/\d+(\.\d+)?(e[+-]?\d+)?/g, '#').replace(/\b[A-Za-z_]+#/g, 'N');
};

/** Two authors. What the second one writes is held against plain loops over its tree, too. */
const AUTHORS = [
  { author: 'types', write: generate, loops: false }, { author: 'papers', write: paper, loops: true },
] as const;

it.each(AUTHORS)(`$author from seed ${FIRST} on, half of ${SECONDS} s: compile or are refused, and mean what they say`, async (
  { author, write, loops },
) => {
  const counts = new Map<string, number>();
  const faults = new Map<string, string>();
  const opened = ALL ? await openSoftwareGpu('lavapipe', 'swiftshader') : undefined;
  const adapter = opened === undefined || 'why' in opened ? undefined : opened;
  // Of what opening took nothing is taken off, and one seed is always judged.
  const end = Date.now() + 1000 * SECONDS / AUTHORS.length;
  let ran = 0;
  let seed = FIRST;
  for (; seed === FIRST || Date.now() < end; seed++) {
    const program = write(seed);
    const targets = seed % 20 === 0 ? TARGETS : [TARGETS[seed % TARGETS.length]];
    const devices: Devices = {
      loops, ...(ALL && compiler && seed % 150 === 0 && { emulator: true }), ...(adapter !== undefined && seed % 150 === 75 && { adapter }),
    };
    const slow = devices.emulator === true || devices.adapter !== undefined;
    if (slow) ran++;
    const verdict = await judge(program, targets, devices);
    const key = verdict.kind === 'refused' ? `refused ${verdict.code}` : verdict.kind;
    counts.set(key, (counts.get(key) ?? 0) + 1);
    const kind = kindOf(verdict);
    if (verdict.kind !== 'fault' || faults.has(kind)) continue;
    const smallest = await shrunk(program, async (candidate) => kindOf(await judge(candidate, targets, devices)) === kind, slow ? 30 : 400);
    faults.set(kind, `seed ${seed}: ${verdict.what}\n${printProgram(smallest)}`);
    if (ALL) process.stdout.write(`${faults.get(kind)}\n`);
  }
  process.stdout.write(`fuzz, ${author}: ${seed - FIRST} programs, ${ran} on devices, `
    + `${[...counts].map(([key, count]) => `${key}: ${count}`).join(', ')}\n`);
  adapter?.release();
  expect([...faults.values()].join('\n')).toBe('');
  expect(counts.get('right') ?? 0).toBeGreaterThan((seed - FIRST) / 4);
}, 1000 * SECONDS + 600_000);
