import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { compare } from '../../src/driver/run/compare.js';
import { readSafetensors, writeSafetensors } from '../../src/driver/run/safetensors.js';
import { gradSpec } from '../../src/interp/spec-gradient.js';
import { NO_EXAMPLES } from '../examples.js';
import { filesOf, LARGE_FILES, loadReference, OWN_FILES } from './files.js';
import { RECURRENCES } from './loops.js';
import { makeReference } from './reference.js';

/** Every tensor that the oracle and the file disagree on, with the error. */
function disagreements(path: string): readonly string[] {
  const { spec, call, given, cotangents, expected } = loadReference(path);
  expect(expected.size).toBeGreaterThan(3);
  const results = gradSpec(spec, call, given, cotangents);
  return [...expected].flatMap(([name, values]) => {
    const { passed, error, allowed } = compare(name, 'output', 'output', 'f64', results.get(name), values);
    return passed ? [] : [`${name}: ${error.toExponential(1)} > ${allowed}`];
  });
}

describe.skipIf(NO_EXAMPLES)('the oracle agrees with loops written by hand', () => {
  // LMOEC_WRITE_REFERENCE=1 writes the files anew.
  it.each(RECURRENCES.map((recurrence) => [
    recurrence.example, recurrence,
  ] as const))('%s: the file is what the loops give', (example, recurrence) => {
    const made = makeReference(recurrence, 1);
    const path = join(OWN_FILES, `${example}.safetensors`);
    if (process.env['LMOEC_WRITE_REFERENCE'] === '1') writeFileSync(path, writeSafetensors(made));
    const read = readSafetensors(readFileSync(path), path);
    if ('code' in read) throw new Error(String(read.title));
    expect([...read.keys()].sort()).toEqual([...made.keys()].sort());
    for (const [name, { shape, data }] of made) {
      expect(read.get(name)?.shape, name).toEqual(shape);
      // Math.exp differs between machines in its last digit, and differences of its values in a few more.
      expect(compare(name, 'output', 'output', 'f64', read.get(name)?.data, data), name).toMatchObject({ passed: true });
    }
  });

  it.each(filesOf(OWN_FILES))('%s: outputs, states and gradients', (_, path) => {
    expect(disagreements(path)).toEqual([]);
  });

  it('has a file for each of them', () => {
    expect(filesOf(OWN_FILES).map(([name]) => name)).toEqual(RECURRENCES.map((recurrence) => recurrence.example).sort());
  });
});

const large = filesOf(LARGE_FILES);

describe.skipIf(large.length === 0 || NO_EXAMPLES)('the oracle agrees with the large reference files', () => {
  it.each(large)('%s', (_, path) => {
    expect(disagreements(path)).toEqual([]);
  });
});

if (large.length === 0) {
  it.skip(`the large reference files are not here: set LMOEC_CONFORMANCE to their folder (looked in ${LARGE_FILES})`, () => undefined);
}
