import type { ReadFile } from './bindings.js';

/** Files that lie beside a module, given its `import.meta.url`: from the disk, or fetched where that is an http address. */
export function filesBeside(url: string): ReadFile {
  return async (name) => {
    const address = new URL(name, url);
    // Imported here, so that a browser never asks for it.
    if (address.protocol === 'file:') return (await import('node:fs/promises')).readFile(address);
    const response = await fetch(address);
    if (!response.ok) throw new Error(`${address.href}: ${response.status} ${response.statusText}`);
    return new Uint8Array(await response.arrayBuffer());
  };
}
