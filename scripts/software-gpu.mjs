// Software Vulkan drivers for WebGPU: SwiftShader (from Debian's chromium-common, unpacked but not installed) and lavapipe
// (mesa-vulkan-drivers).
//   node scripts/software-gpu.mjs [--install] [--json]
// --install fetches what is missing with apt: SwiftShader needs no rights, lavapipe and the Vulkan loader need root or sudo without a
// password. To undo: `apt-get remove mesa-vulkan-drivers` and delete the cache folder that this prints.
import { spawnSync } from 'node:child_process';
import { chmodSync, cpSync, existsSync, mkdirSync, readdirSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { isAbsolute, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { openApt } from './apt.mjs';

const uid = process.getuid?.() ?? 0;
const caches = cacheFolder();
const cache = join(caches, 'swiftshader');
const SWIFTSHADER = [cache, '/usr/lib/chromium', '/usr/lib/chromium-browser', '/opt/google/chrome', '/usr/lib64/chromium-browser'];
const ICD_FOLDERS = ['/usr/share/vulkan/icd.d', '/usr/local/share/vulkan/icd.d', '/etc/vulkan/icd.d'];
const LOADERS = [
  '/usr/lib', '/usr/lib64', '/lib', `/usr/lib/${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-linux-gnu`, '/usr/local/lib',
];

/** A user without a home has what is cached among the temporary files. */
function cacheFolder() {
  const { XDG_CACHE_HOME: shared = '' } = process.env;
  if (isAbsolute(shared)) return join(shared, 'lmoec');
  try {
    const home = homedir();
    if (isAbsolute(home)) return join(home, '.cache', 'lmoec');
  } catch {
    // Neither HOME nor an entry for the user.
  }
  return join(tmpdir(), `lmoec-cache-${uid}`);
}

/** The variables that make the Vulkan loader take one driver. The loader and some drivers complain where there is no XDG_RUNTIME_DIR. */
export function environmentOf(gpu) {
  // lavapipe compiles a kernel twice as fast for four lanes as for eight, and test kernels run less long than they compile.
  const lavapipe = { LP_NATIVE_VECTOR_WIDTH: '128', MESA_SHADER_CACHE_DIR: caches };
  const env = { ...process.env, VK_ICD_FILENAMES: gpu.icd, VK_DRIVER_FILES: gpu.icd, ...(gpu.name === 'lavapipe' ? lavapipe : {}) };
  if (!env.XDG_RUNTIME_DIR) {
    env.XDG_RUNTIME_DIR = join(tmpdir(), `lmoec-runtime-${uid}`);
    mkdirSync(env.XDG_RUNTIME_DIR, { recursive: true, mode: 0o700 });
    chmodSync(env.XDG_RUNTIME_DIR, 0o700);
  }
  return env;
}

/** Driver descriptions by the names of the drivers, whether they work or not. */
function candidates() {
  const found = [];
  const swiftshader = SWIFTSHADER.map((folder) => join(folder, 'vk_swiftshader_icd.json')).find(existsSync);
  if (swiftshader !== undefined) found.push({ name: 'swiftshader', icd: swiftshader });
  const lavapipe = ICD_FOLDERS.filter(existsSync)
    .flatMap((folder) => readdirSync(folder).filter((name) => /^lvp_icd.*\.json$/.test(name)).map((name) => join(folder, name)))[0];
  if (lavapipe !== undefined) found.push({ name: 'lavapipe', icd: lavapipe });
  return found;
}

const PROBE = `
import { create } from 'webgpu';
const adapter = await create([]).requestAdapter();
process.stdout.write(adapter === null ? '' : adapter.info.device + ' ' + adapter.info.description);
process.exit(0);
`;

/** Does Dawn take the driver? Asked in a process of its own, since a process loads its drivers once. */
function answers(gpu) {
  const root = fileURLToPath(new URL('..', import.meta.url));
  const done = spawnSync(
    process.execPath, ['--input-type=module', '-e', PROBE], { cwd: root, env: environmentOf(gpu), encoding: 'utf8', timeout: 60_000 },
  );
  return done.status === 0 && done.stdout.trim() !== '';
}

/** The software GPUs of this machine that WebGPU can use: [{ name, icd }]. */
export function softwareGpus() {
  if (process.platform !== 'linux') return [];
  return candidates().filter(answers);
}

/** Unpacks the two files of SwiftShader from a package. Returns why it could not. */
function fetchSwiftshader(apt) {
  for (const name of ['chromium-common', 'chromium']) {
    const { why, into } = apt.unpack(name);
    if (why !== undefined) return why;
    const library = join(into, 'usr/lib/chromium/libvk_swiftshader.so');
    if (!existsSync(library)) continue;
    mkdirSync(cache, { recursive: true });
    cpSync(library, join(cache, 'libvk_swiftshader.so'));
    cpSync(join(into, 'usr/lib/chromium/vk_swiftshader_icd.json'), join(cache, 'vk_swiftshader_icd.json'));
    return undefined;
  }
  return 'chromium no longer holds it';
}

const hasLoader = () => LOADERS.some((folder) => existsSync(join(folder, 'libvulkan.so.1')));

/** What `installGpus` would fetch: names of drivers, and the loader that finds them. */
export function missingGpus() {
  if (process.platform !== 'linux') return [];
  const working = softwareGpus().map(({ name }) => name);
  return [...(hasLoader() ? [] : ['the Vulkan loader']), ...['swiftshader', 'lavapipe'].filter((name) => !working.includes(name))];
}

/** Fetches what is missing; a line for each driver says what came of it. */
export function installGpus(apt, wanted) {
  const lines = [];
  const install = (package_, how) => {
    const why = apt.install([package_], how);
    if (why !== undefined) lines.push(`software GPUs: no ${package_}: ${why}`);
  };
  if (!hasLoader()) install('libvulkan1');
  if (wanted.includes('lavapipe')) install('mesa-vulkan-drivers', { fresh: true });
  // An installed Chromium brings it, and only the loader was missing.
  if (wanted.includes('swiftshader') && !softwareGpus().some(({ name }) => name === 'swiftshader')) {
    const why = hasLoader() ? fetchSwiftshader(apt) : 'no use without libvulkan1';
    if (why !== undefined) lines.push(`software GPUs: no swiftshader: ${why}`);
  }
  const now = softwareGpus();
  const gained = now.filter((gpu) => wanted.includes(gpu.name));
  if (gained.length > 0) lines.push(`software GPUs: installed ${gained.map((gpu) => `${gpu.name} (${gpu.icd})`).join(' and ')}`);
  const silent = candidates().filter((gpu) => !now.some((other) => other.name === gpu.name));
  for (const gpu of silent) lines.push(`software GPUs: ${gpu.name} is there, but WebGPU does not take it (too old?): ${gpu.icd}`);
  return lines;
}

function installAlone() {
  const wanted = missingGpus();
  if (wanted.length === 0) return ['software GPUs: nothing is missing'];
  const apt = openApt();
  if (apt.why !== undefined) return [`software GPUs: no ${wanted.join(', no ')}: ${apt.why}`];
  try {
    return installGpus(apt, wanted);
  } finally {
    apt.close();
  }
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  if (process.argv.includes('--install')) for (const line of installAlone()) console.log(line);
  else if (process.argv.includes('--json')) console.log(JSON.stringify(softwareGpus()));
  else {
    const gpus = softwareGpus();
    for (const gpu of gpus) console.log(`${gpu.name.padEnd(12)} ${gpu.icd}`);
    if (gpus.length === 0) console.log('no software GPU; --install fetches them');
  }
}
