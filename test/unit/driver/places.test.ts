import { afterEach, describe, expect, it, vi } from 'vitest';
import { cacheFolder, temporaryFolder } from '../../../src/driver/host/places.js';

afterEach(() => vi.unstubAllEnvs());
const cacheFor = (env: Readonly<Record<string, string>>): string | undefined => {
  for (const name of ['LMOEC_CACHE', 'XDG_CACHE_HOME', 'HOME']) vi.stubEnv(name, env[name]);
  return cacheFolder();
};

describe('the cache', () => {
  it('lies where the environment says; what is empty says nothing', () => {
    expect(cacheFor({ LMOEC_CACHE: '/own', XDG_CACHE_HOME: '/shared', HOME: '/home/me' })).toBe('/own');
    expect(cacheFor({ XDG_CACHE_HOME: '/shared', HOME: '/home/me' })).toBe('/shared/lmoec');
    expect(cacheFor({ HOME: '/home/me' })).toBe('/home/me/.cache/lmoec');
    expect(cacheFor({ LMOEC_CACHE: '', XDG_CACHE_HOME: '', HOME: '/home/me' })).toBe('/home/me/.cache/lmoec');
    expect(cacheFor({ XDG_CACHE_HOME: 'relative', HOME: '/home/me' })).toBe('/home/me/.cache/lmoec');
  });

  it('is nowhere rather than in the folder where the program runs', () => {
    expect(cacheFor({ HOME: '' }) ?? '/').toMatch(/^\//);
    expect(cacheFor({}) ?? '/').toMatch(/^\//);
  });
});

describe('temporary files', () => {
  it('need a place that is there', () => {
    vi.stubEnv('TMPDIR', '/no/such/place');
    expect(temporaryFolder()).toMatch(/^there is no place for temporary files: \/no\/such\/place cannot be written/);
  });
});
