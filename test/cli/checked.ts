import { expect } from 'vitest';
import { environmentOf, softwareGpus, type SoftwareGpu } from '../../scripts/software-gpu.mjs';
import { lmoec } from './lmoec.js';

export const gpus = softwareGpus();
export const gpu = (name: SoftwareGpu['name']): SoftwareGpu | undefined => gpus.find((one) => one.name === name);

/** The variables that make a program take one adapter. */
export function environmentFor(on: SoftwareGpu): Record<string, string> {
  return Object.fromEntries(Object.entries(environmentOf(on)).map(([key, value]) => [key, value ?? '']));
}

export interface Report {
  readonly passed: boolean;
  readonly backend: string;
  readonly counts: Readonly<Record<string, readonly number[]>>;
  readonly tensors: readonly { readonly name: string; readonly role: string; readonly error: number }[];
}

/** `lmoec run --check` on a device, whose results must all be held against what the formula means. */
export function checked(cwd: string, on: SoftwareGpu, file: string, name: string, size: string, ...more: string[]): Report {
  const options = ['--name', name, '--size', size, '--backend', 'webgpu', '--check', '--json', ...more];
  const { code, out, err } = lmoec(['run', file, ...options], { env: environmentFor(on), cwd });
  if (code !== 0) throw new Error(`${name}: ${out}${err}`);
  const report: Report = JSON.parse(out);
  expect([report.passed, report.backend]).toEqual([true, 'webgpu']);
  return report;
}
