import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
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
    expect(temporaryFolder()).toMatch(/^there is no place for temporary files: the folder \/no\/such\/place is not there$/);
  });

  it('of processes that were killed are cleared by the next one, those of others stay', async () => {
    const place = mkdtempSync(join(tmpdir(), 'lmoec-test-'));
    vi.stubEnv('TMPDIR', place);
    // Modules of their own: a process clears once.
    vi.resetModules();
    const { PASSING } = await import('../../../src/driver/host/abandoned.js');
    const machine = PASSING.split('-')[2];
    const dead = spawnSync(process.execPath, ['--version']).pid;
    const names = {
      gone: `lmoec-${dead}-${machine}-AbCd12`, alive: `lmoec-${process.ppid}-${machine}-AbCd12`, elsewhere: `lmoec-${dead}-00000000-AbCd12`,
      room: `.lmoec-${dead}-${machine}-AbCd12`, other: 'lmoec-notes',
    };
    for (const name of Object.values(names)) mkdirSync(join(place, name));
    const made = (await import('../../../src/driver/host/places.js')).temporaryFolder();
    if (typeof made === 'string') throw new Error(made);
    expect(readdirSync(place).filter((name) => !made.path.endsWith(name)).sort()).toEqual([
      names.room, names.alive, names.elsewhere, names.other,
    ].sort());
    made.discard();
    rmSync(place, { recursive: true });
  });
});
