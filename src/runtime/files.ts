import type { ReadFile } from './bindings.js';
import { IN_NODE } from './environment.js';
import { RuntimeError } from './runtime.js';

const ON_DISK = 'kernels lie beside the module that `lmoec build` wrote, which a compiler with an `outDir` moves without them: '
  + 'copy the folder along, or give `load` its place: filesBeside(new URL(\'../generated/NAME/\', import.meta.url))';
const REMEDY = 'serve the folder of the binding, and give `load` its place: filesBeside(\'https://...\')';

/** Files that lie beside a module, given its `import.meta.url`: from the disk, or fetched where that is an http address. */
export function filesBeside(url: string | URL): ReadFile {
  return async (name) => {
    const address = new URL(name, url);
    if (address.protocol === 'file:') {
      // Some bundlers write the place of the source for `import.meta.url`.
      if (!IN_NODE) throw new RuntimeError(`a browser cannot read ${address.href}`, REMEDY);
      // Imported here, so that a browser never asks for it; bundlers for browsers are to leave it alone.
      const { readFile } = await import(/* webpackIgnore: true */ 'node:fs/promises');
      return readFile(address).catch((error: unknown) => {
        throw new RuntimeError(`${address.href} cannot be read: ${error instanceof Error ? error.message : String(error)}`, ON_DISK);
      });
    }
    const response = await fetch(address);
    if (!response.ok) throw new RuntimeError(`${address.href}: ${response.status} ${response.statusText}`, REMEDY);
    // What servers of one-page sites say to every address that they do not know.
    if (response.headers.get('content-type')?.startsWith('text/html')) throw new RuntimeError(
      `${address.href} is a page, not a file of the binding`, REMEDY,
    );
    return new Uint8Array(await response.arrayBuffer());
  };
}
