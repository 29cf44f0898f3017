import type { Host } from './host.js';

/**
 * What compilers made in earlier runs, by a key of everything that decides it. A convenience: where it cannot be kept, it is made again.
 */
export interface Cache {
  /** Undefined where it is not known, or empty, as a machine that stopped may leave files. */
  get(key: string): Uint8Array | undefined;
  keep(key: string, content: Uint8Array): void;
}

export function cacheOf(host: Host, compiler: string): Cache {
  const { cacheFolder } = host;
  if (cacheFolder === undefined) return { get: () => undefined, keep: () => undefined };
  const place = (key: string): string => host.join(cacheFolder, compiler, key);
  return {
    get(key) {
      const content = host.readBytes(place(key));
      return content === undefined || content.length === 0 ? undefined : content;
    },
    keep: (key, content) => { host.write(place(key), content); },
  };
}
