import { describe, expect, it } from 'vitest';
import { softwareDriver } from '../../../src/driver/adapters.js';
import { nodeHost, type Host } from '../../../src/driver/host.js';

const driver = (library: string) => JSON.stringify({ ICD: { library_path: library, api_version: '1.3.0' } });
const LAVAPIPE = { '/usr/share/vulkan/icd.d/lvp_icd.json': driver('libvulkan_lvp.so') };
const SWIFTSHADER = { '/etc/vulkan/icd.d/a.json': driver('/opt/x/libvk_swiftshader.so') };
const CARD = { '/usr/share/vulkan/icd.d/radeon_icd.json': driver('libvulkan_radeon.so') };

function host(files: Readonly<Record<string, string>>, env: Readonly<Record<string, string>> = {}): Host {
  const below = (folder: string) => Object.keys(files).filter((path) => path.startsWith(`${folder}/`))
    .map((path) => path.slice(folder.length + 1));
  return {
    ...nodeHost(), env: (name) => env[name], exists: (path) => path in files, isFolder: (path) => below(path).length > 0, list: below,
    readText: (path) => files[path],
  };
}

describe('the software driver for WebGPU', () => {
  it('is the faster one of several, wherever the loader finds them', () => {
    expect(softwareDriver(host({ ...SWIFTSHADER, ...LAVAPIPE }))).toBe('/usr/share/vulkan/icd.d/lvp_icd.json');
    // What a package of drivers brings for cards that are not there stands in nobody's way.
    expect(softwareDriver(host({ ...CARD, ...SWIFTSHADER, ...LAVAPIPE }))).toBe('/usr/share/vulkan/icd.d/lvp_icd.json');
    const own = { '/home/me/.local/share/vulkan/icd.d/l.json': driver('/home/me/libvulkan_lvp.so') };
    expect(softwareDriver(host({ ...SWIFTSHADER, ...own }, { HOME: '/home/me' }))).toBe('/home/me/.local/share/vulkan/icd.d/l.json');
  });

  it.each([
    ['there is one', LAVAPIPE, {}],
    ['there is none', CARD, {}],
    ['a card is there', { ...SWIFTSHADER, ...LAVAPIPE, '/dev/dri/renderD128': '' }, {}],
    ['the user chose', { ...SWIFTSHADER, ...LAVAPIPE }, { VK_DRIVER_FILES: '/etc/vulkan/icd.d/a.json' }],
    ['a description is broken', { ...LAVAPIPE, '/etc/vulkan/icd.d/a.json': '{' }, {}],
  ])('is left to the loader where %s', (_, files, env) => {
    expect(softwareDriver(host(files, env))).toBeUndefined();
  });
});
