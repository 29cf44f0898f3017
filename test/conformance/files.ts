import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { readSafetensors } from '../../src/driver/run/safetensors.js';
import { validate, type AnyTensor, type CallShape } from '../../src/driver/run/validate.js';
import { signatureOf } from '../../src/ir/spec/signature.js';
import type { Spec } from '../../src/ir/spec/spec.js';
import { frontend } from '../../src/passes/frontend.js';

const ROOT = join(import.meta.dirname, '..', '..');

/** Small files that lie in the repository: `EXAMPLE.safetensors`. */
export const OWN_FILES = join(import.meta.dirname, 'data');

/** The large files `EXAMPLE.SHAPE.safetensors`: where LMOEC_CONFORMANCE says, or beside the repository. */
export const LARGE_FILES = process.env['LMOEC_CONFORMANCE'] ?? join(ROOT, '..', 'shared', 'conformance');

/** Files of a folder, as [name, path]; [] if there is no such folder. */
export function filesOf(folder: string): readonly (readonly [name: string, path: string])[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder).filter((name) => name.endsWith('.safetensors')).sort().map((name) => [
    name.replace('.safetensors', ''), join(folder, name),
  ]);
}

/** The scan of examples/NAME.lmoe. */
export function exampleSpec(name: string): Spec {
  const path = `examples/${name}.lmoe`;
  const { specs, diagnostics } = frontend(path, readFileSync(join(ROOT, path), 'utf8'));
  const spec = specs[0];
  if (
    spec === undefined || diagnostics.some((d) => d.severity === 'error')
  ) throw new Error(`${path}: ${diagnostics.map((d) => d.title).join('; ')}`);
  return spec;
}

export interface Reference {
  readonly spec: Spec;
  readonly call: CallShape;
  /** What the file gives the scan. */
  readonly given: ReadonlyMap<string, Float64Array>;
  readonly cotangents: ReadonlyMap<string, Float64Array>;
  /** What must come out, by the names of the file contract. */
  readonly expected: ReadonlyMap<string, ArrayLike<number>>;
}

/** Reads a reference file with its example. Throws if they do not fit together. */
export function loadReference(path: string): Reference {
  const spec = exampleSpec(basename(path).split('.')[0]);
  const tensors = readSafetensors(readFileSync(path), path);
  if ('code' in tensors) throw new Error(String(tensors.title));
  const result = validate(signatureOf(spec), tensors);
  if ('problems' in result) throw new Error(result.problems.map((problem) => problem.title).join('\n'));
  const part = (wanted: (name: string) => boolean) => [...tensors].filter(([name]) => wanted(name));
  const exact = (
    list : (readonly [string, AnyTensor])[]
  ) => new Map(list.map(([name, { data }]) => [name, Float64Array.from(data)] as const));
  const expects = (name: string) => name.startsWith('expect.');
  const isCotangent = (name: string) => name.startsWith('d_');
  return {
    spec,
    call: result.call,
    given: exact(part((name) => !expects(name) && !isCotangent(name))),
    cotangents: exact(part(isCotangent)),
    expected: new Map(part(expects).map(([name, { data }]) => [name.replace('expect.', ''), data] as const)),
  };
}
