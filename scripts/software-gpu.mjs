// Software Vulkan drivers for WebGPU: SwiftShader (from Debian's chromium-common, unpacked but not installed) and lavapipe (mesa-vulkan-drivers).
//   node scripts/software-gpu.mjs [--install] [--json]
// --install fetches what is missing with apt: SwiftShader needs no rights, lavapipe and the Vulkan loader need root or sudo without a password.
// apt's lists are read into a folder of their own, so no source of the system is added or changed. To undo: `apt-get remove mesa-vulkan-drivers`
// and delete the cache folder that this prints.
import { spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'lmoec', 'swiftshader');
const SWIFTSHADER = [cache, '/usr/lib/chromium', '/usr/lib/chromium-browser', '/opt/google/chrome', '/usr/lib64/chromium-browser'];
const ICD_FOLDERS = ['/usr/share/vulkan/icd.d', '/usr/local/share/vulkan/icd.d', '/etc/vulkan/icd.d'];
const LOADERS = ['/usr/lib', '/usr/lib64', '/lib', `/usr/lib/${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-linux-gnu`, '/usr/local/lib'];

/** The variables that make the Vulkan loader take one driver. The loader and some drivers complain where there is no XDG_RUNTIME_DIR. */
export function environmentOf(gpu) {
  // lavapipe compiles a kernel twice as fast for four lanes as for eight, and test kernels run less long than they compile.
  const env = { ...process.env, VK_ICD_FILENAMES: gpu.icd, VK_DRIVER_FILES: gpu.icd, ...(gpu.name === 'lavapipe' ? { LP_NATIVE_VECTOR_WIDTH: '128' } : {}) };
  if (!env.XDG_RUNTIME_DIR) {
    env.XDG_RUNTIME_DIR = join(tmpdir(), `lmoec-runtime-${process.getuid?.() ?? 0}`);
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
  const done = spawnSync(process.execPath, ['--input-type=module', '-e', PROBE], { cwd: root, env: environmentOf(gpu), encoding: 'utf8', timeout: 60_000 });
  return done.status === 0 && done.stdout.trim() !== '';
}

/** The software GPUs of this machine that WebGPU can use: [{ name, icd }]. */
export function softwareGpus() {
  if (process.platform !== 'linux') return [];
  return candidates().filter(answers);
}

function release() {
  const text = existsSync('/etc/os-release') ? readFileSync('/etc/os-release', 'utf8') : '';
  const value = (key) => new RegExp(`^${key}="?([^"\n]*)"?$`, 'm').exec(text)?.[1] ?? '';
  return { id: value('ID'), codename: value('VERSION_CODENAME'), name: value('PRETTY_NAME') };
}

const missing = (program) => spawnSync(program, ['--version'], { stdio: 'ignore' }).error !== undefined;

/** apt with lists and sources of its own: what it reads leaves nothing behind. */
function privateApt(extraSources) {
  const folder = mkdtempSync(join(tmpdir(), 'lmoec-apt-'));
  // apt drops its rights to `_apt` while it fetches.
  chmodSync(folder, 0o755);
  for (const part of ['lists/partial', 'archives/partial', 'sources.d', 'work']) mkdirSync(join(folder, part), { recursive: true });
  if (existsSync('/etc/apt/sources.list.d')) {
    // Third parties have nothing that is wanted here.
    const official = readdirSync('/etc/apt/sources.list.d').filter((name) => /^(debian|ubuntu)\.(sources|list)$/.test(name));
    for (const name of official) copyFileSync(join('/etc/apt/sources.list.d', name), join(folder, 'sources.d', name));
  }
  if (extraSources !== undefined) writeFileSync(join(folder, 'sources.d/lmoec.sources'), extraSources);
  const options = [
    ['Dir::State::Lists', join(folder, 'lists')], ['Dir::Cache::Archives', join(folder, 'archives')], ['Dir::Etc::SourceParts', join(folder, 'sources.d')],
    ['Dir::Cache::pkgcache', ''], ['Dir::Cache::srcpkgcache', ''], ['APT::Get::List-Cleanup', 'false'],
  ].flatMap(([key, value]) => ['-o', `${key}=${value}`]);
  const run = (program, args, how = {}) => spawnSync(program, args, { encoding: 'utf8', timeout: 600_000, ...how });
  return {
    work: join(folder, 'work'),
    get: (args, how) => run('apt-get', [...options, '-q', '-y', ...args], how),
    getAsRoot(args) {
      const command = ['env', 'DEBIAN_FRONTEND=noninteractive', 'apt-get', ...options, '-q', '-y', ...args];
      return process.getuid?.() === 0 ? run(command[0], command.slice(1)) : run('sudo', ['-n', ...command]);
    },
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}

/** Where this system gets Debian's packages from. */
function debianMirror() {
  const texts = ['/etc/apt/sources.list.d/debian.sources', '/etc/apt/sources.list'].filter(existsSync).map((path) => readFileSync(path, 'utf8'));
  const found = texts.map((text) => /^URIs:\s*(\S+)|^deb\s+(?:\[[^\]]*\]\s*)?(\S+)/m.exec(text)).find((match) => match !== null);
  return found?.[1] ?? found?.[2] ?? 'http://deb.debian.org/debian';
}

/** bookworm's own Mesa (22.3) is older than Dawn wants. */
function backports(codename) {
  if (codename !== 'bookworm') return undefined;
  return `Types: deb\nURIs: ${debianMirror()}\nSuites: ${codename}-backports\nComponents: main\nSigned-By: /usr/share/keyrings/debian-archive-keyring.gpg\n`;
}

const why = (done) => (done.error?.message ?? `${done.stdout}\n${done.stderr}`).split('\n').map((line) => line.trim()).filter((line) => /^E:|error|password|permission/i.test(line))[0] ?? `exit status ${done.status}`;

/** Unpacks the two files of SwiftShader from a package. Returns why it could not. */
function fetchSwiftshader(apt) {
  for (const name of ['chromium-common', 'chromium']) {
    const got = apt.get(['download', name], { cwd: apt.work });
    const file = readdirSync(apt.work).find((entry) => entry.startsWith(`${name}_`) && entry.endsWith('.deb'));
    if (got.status !== 0 || file === undefined) return `${name}: ${why(got)}`;
    const into = join(apt.work, name);
    spawnSync('dpkg-deb', ['--extract', join(apt.work, file), into], { timeout: 120_000 });
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

/** Fetches what is missing; a line for each driver says what came of it. */
export function install() {
  const lines = [];
  if (process.platform !== 'linux') return ['software GPUs: Linux only; other systems have drivers of their own'];
  const working = new Set(softwareGpus().map(({ name }) => name));
  const wanted = ['swiftshader', 'lavapipe'].filter((name) => !working.has(name));
  if (wanted.length === 0 && hasLoader()) return ['software GPUs: swiftshader and lavapipe are there'];
  const { id, codename, name } = release();
  if (missing('apt-get') || !['debian', 'ubuntu'].includes(id)) return [`software GPUs: ${wanted.join(' and ')} missing; ${name || 'this system'} has no apt of Debian or Ubuntu, install mesa-vulkan-drivers by its own means`];
  const apt = privateApt(id === 'debian' ? backports(codename) : undefined);
  try {
    const updated = apt.get(['update']);
    if (updated.status !== 0) return [`software GPUs: apt cannot read its sources: ${why(updated)}`];
    const packages = [...(hasLoader() ? [] : ['libvulkan1']), ...(wanted.includes('lavapipe') ? ['mesa-vulkan-drivers'] : [])];
    if (packages.length > 0) {
      const target = id === 'debian' && backports(codename) !== undefined ? ['-t', `${codename}-backports`] : [];
      const done = apt.getAsRoot(['install', '--no-install-recommends', ...target, ...packages]);
      if (done.status !== 0) lines.push(`software GPUs: ${packages.join(' and ')} not installed: ${why(done)}`);
    }
    if (wanted.includes('swiftshader')) {
      if (id === 'ubuntu') lines.push('software GPUs: no swiftshader, since chromium is a snap on Ubuntu');
      else {
        const failed = fetchSwiftshader(apt);
        if (failed !== undefined) lines.push(`software GPUs: no swiftshader: ${failed}`);
      }
    }
  } finally {
    apt.remove();
  }
  const now = softwareGpus();
  const gained = now.filter((gpu) => wanted.includes(gpu.name));
  if (gained.length > 0) lines.push(`software GPUs: installed ${gained.map((gpu) => `${gpu.name} (${gpu.icd})`).join(' and ')}`);
  const silent = candidates().filter((gpu) => !now.some((other) => other.name === gpu.name));
  for (const gpu of silent) lines.push(`software GPUs: ${gpu.name} is there, but WebGPU does not take it (too old?): ${gpu.icd}`);
  return lines;
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  if (process.argv.includes('--install')) for (const line of install()) console.log(line);
  else if (process.argv.includes('--json')) console.log(JSON.stringify(softwareGpus()));
  else {
    const gpus = softwareGpus();
    for (const gpu of gpus) console.log(`${gpu.name.padEnd(12)} ${gpu.icd}`);
    if (gpus.length === 0) console.log('no software GPU; --install fetches them');
  }
}
