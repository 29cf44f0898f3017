import type { Spec } from './spec.js';

/**
 * The name of a state's last value in files: that of the state, or `final.NAME` where an output has the same name (README: files in, files
 * out).
 */
export function finalName(spec: Spec, state: string): string {
  return spec.outputs.some((output) => output.name === state) ? `final.${state}` : state;
}
