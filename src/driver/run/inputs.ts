import type { Host } from '../host.js';
import type { Problem } from '../problem.js';
import { unreadable } from '../session.js';
import { readSafetensors } from './safetensors.js';
import type { AnyTensor } from './validate.js';

/** The tensors of a file that `--inputs` names, or why they cannot be read. */
export function readInputs(host: Host, path: string): ReadonlyMap<string, AnyTensor> | Problem {
  const bytes = host.readBytes(path);
  return bytes === undefined ? unreadable(host, path, 'name a .safetensors file') : readSafetensors(bytes, path);
}
