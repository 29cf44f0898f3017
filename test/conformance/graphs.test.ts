import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readSafetensors, writeSafetensors } from '../../src/driver/run/safetensors.js';
import { evaluate, gradients } from '../../src/interp/graph/machine.js';
import { update } from '../../src/interp/graph/update.js';
import { NO_EXAMPLES } from '../examples.js';
import { OWN_FILES } from './files.js';
import { graphOf, LENGTHS, makeGraphReference, PARTS } from './graphs.js';

const FOLDER = join(OWN_FILES, 'graphs');

function read(name: string): Map<string, Float64Array> {
  const path = join(FOLDER, `${name}.safetensors`);
  const tensors = readSafetensors(readFileSync(path), path);
  if ('code' in tensors) throw new Error(String(tensors.title));
  return new Map([...tensors].map(([tensor, { data }]) => [tensor, Float64Array.from(data)]));
}

/** The largest difference, beside the size of the tensor. */
function distance(found: ArrayLike<number> | undefined, expected: ArrayLike<number>): number {
  if (found?.length !== expected.length) return Infinity;
  let [most, size] = [0, 1];
  for (let i = 0; i < expected.length; i++) {
    const away = Math.abs(found[i] - expected[i]);
    if (!(away <= most)) most = away;
    size = Math.max(size, Math.abs(expected[i]));
  }
  return most / size;
}

describe.skipIf(NO_EXAMPLES)('layers and mixtures agree with loops written by hand', () => {
  // LMOEC_WRITE_REFERENCE=1 writes the files anew.
  it.each(PARTS.map((part) => [part.name, part] as const))('%s: the file is what the loops give', (name, part) => {
    const made = makeGraphReference(part);
    if (process.env['LMOEC_WRITE_REFERENCE'] === '1') {
      mkdirSync(FOLDER, { recursive: true });
      writeFileSync(join(FOLDER, `${name}.safetensors`), writeSafetensors(made));
    }
    const tensors = read(name);
    expect([...tensors.keys()].sort()).toEqual([...made.keys()].sort());
    for (const [tensor, { data }] of made) expect(distance(tensors.get(tensor), data), tensor).toBeLessThan(1e-9);
  });

  it.each(PARTS.map((part) => [part.name, part] as const))('%s: outputs, losses, updates and gradients', (name, part) => {
    const tensors = read(name);
    const graph = graphOf(part);
    const made = evaluate(graph, { program: 'train', params: tensors, inputs: tensors, lengths: LENGTHS });
    const results = new Map<string, ArrayLike<number>>([
      ...made.outputs, ...[...made.losses].map(([path, value]) => [`loss.${path}`, [value]] as const),
      ...[...update([made], tensors)].map(([path, data]) => [`update.${path}`, data] as const),
    ]);
    // A mixer's loops give no loss.
    const quiet = part.kind === 'router' ? [] : [...made.losses.keys()].map((path) => [`d_loss.${path}`, Float64Array.of(0)] as const);
    for (const [path, data] of gradients(made, new Map([...tensors, ...quiet]))) results.set(path, data);
    const expected = [...tensors].filter(([tensor]) => tensor.startsWith('expect.'));
    expect(expected.length).toBeGreaterThan(5);
    for (const [tensor, data] of expected) {
      const slope = tensor.startsWith('expect.d_');
      expect(distance(results.get(tensor.slice('expect.'.length)), data), tensor).toBeLessThan(slope ? 1e-8 : 1e-12);
    }
  });
});
