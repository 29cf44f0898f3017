import { readFile } from 'node:fs/promises';
import type { ReadFile } from './bindings.js';

/** Files that lie beside a module, given its `import.meta.url`: from the disk, or fetched where that is an http address. */
export function filesBeside(url: string): ReadFile {
  return async (name) => {
    const address = new URL(name, url);
    if (address.protocol === 'file:') return readFile(address);
    const response = await fetch(address);
    if (!response.ok) throw new Error(`${address.href}: ${response.status} ${response.statusText}`);
    return new Uint8Array(await response.arrayBuffer());
  };
}
