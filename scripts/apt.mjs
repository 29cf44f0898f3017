// Debian's packages on Debian and Ubuntu. apt's lists, archives and sources are read into a folder of their own, so no source of the system
// is added or changed. Installing needs root or sudo without a password; unpacking a package needs no rights.
import { spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export const missing = (program) => spawnSync(program, ['--version'], { stdio: 'ignore' }).error !== undefined;

function release() {
  const text = existsSync('/etc/os-release') ? readFileSync('/etc/os-release', 'utf8') : '';
  const value = (key) => new RegExp(`^${key}="?([^"\n]*)"?$`, 'm').exec(text)?.[1] ?? '';
  return { id: value('ID'), codename: value('VERSION_CODENAME'), name: value('PRETTY_NAME') || 'this system' };
}

/** What goes before a command that needs root, or why there is none. */
function privilege() {
  if (process.getuid?.() === 0) return { prefix: [] };
  if (missing('sudo')) return { why: 'only root can install, and there is no sudo' };
  return spawnSync('sudo', ['-n', 'true']).status === 0
    ? { prefix: ['sudo', '-n'] }
    : { why: 'only root can install, and sudo asks for a password' };
}

/** Where this system gets Debian's packages from. */
function debianMirror() {
  const texts = [
    '/etc/apt/sources.list.d/debian.sources', '/etc/apt/sources.list',
  ].filter(existsSync).map((path) => readFileSync(path, 'utf8'));
  const found = texts.map((text) => /^URIs:\s*(\S+)|^deb\s+(?:\[[^\]]*\]\s*)?(\S+)/m.exec(text)).find((match) => match !== null);
  return found?.[1] ?? found?.[2] ?? 'http://deb.debian.org/debian';
}

const backportsOf = (codename) => `Types: deb\nURIs: ${debianMirror()}\nSuites: ${codename}-backports\nComponents: main\n`
  + 'Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n';

const reason = (done) => done.error?.message
  ?? `${done.stdout}\n${done.stderr}`.split('\n').map((line) => line.trim()).find((line) => /^E:|error/i.test(line))
    ?? `exit status ${done.status}`;

/** apt, or why there is none. `install` gives the reason why it could not, or undefined. Call `close` in the end. */
export function openApt() {
  const { id, codename, name } = release();
  if (missing('apt-get') || !['debian', 'ubuntu'].includes(id)) return { why: `${name} has no apt of Debian or Ubuntu` };
  const rights = privilege();
  const folder = mkdtempSync(join(tmpdir(), 'lmoec-apt-'));
  // apt drops its rights to `_apt` while it fetches.
  chmodSync(folder, 0o755);
  for (const part of ['lists/partial', 'archives/partial', 'sources.d', 'work']) mkdirSync(join(folder, part), { recursive: true });
  if (existsSync('/etc/apt/sources.list.d')) {
    // Third parties have nothing that is wanted here.
    const official = readdirSync('/etc/apt/sources.list.d').filter((entry) => /^(debian|ubuntu)\.(sources|list)$/.test(entry));
    for (const entry of official) copyFileSync(join('/etc/apt/sources.list.d', entry), join(folder, 'sources.d', entry));
  }
  // bookworm's own Mesa (22.3) is older than Dawn wants.
  const backports = id === 'debian' && codename === 'bookworm';
  if (backports) writeFileSync(join(folder, 'sources.d/lmoec.sources'), backportsOf(codename));
  const options = [
    ['Dir::State::Lists', join(folder, 'lists')], ['Dir::Cache::Archives', join(folder, 'archives')], [
      'Dir::Etc::SourceParts', join(folder, 'sources.d'),
    ],
    ['Dir::Cache::pkgcache', ''], ['Dir::Cache::srcpkgcache', ''], ['APT::Get::List-Cleanup', 'false'],
    // A new machine may be busy with its own upgrades.
    ['DPkg::Lock::Timeout', '120'],
  ].flatMap(([key, value]) => ['-o', `${key}=${value}`]);
  const aptGet = (args, prefix = [], cwd = folder) => {
    const [program, ...rest] = [...prefix, 'env', 'DEBIAN_FRONTEND=noninteractive', 'LC_ALL=C', 'apt-get', ...options, '-q', '-y', ...args];
    const done = spawnSync(program, rest, { encoding: 'utf8', timeout: 900_000, cwd });
    return done.status === 0 ? undefined : reason(done);
  };
  const close = () => rmSync(folder, { recursive: true, force: true });
  // Without a network this is no error of apt's, and leaves it without lists.
  const failed = aptGet(['update']) ?? (
    readdirSync(join(folder, 'lists')).some((entry) => entry.endsWith('Release')) ? undefined : 'none answers'
  );
  if (failed !== undefined) {
    close();
    return { why: `apt cannot read its sources: ${failed}` };
  }
  const snap = (names) => (
    id === 'ubuntu' && names.some((entry) => entry.startsWith('chromium')) ? 'chromium is a snap on Ubuntu' : undefined
  );
  return {
    close,
    install(packages, { fresh = false } = {}) {
      const args = [...(fresh && backports ? ['-t', `${codename}-backports`] : []), ...packages];
      return snap(packages) ?? (rights.why === undefined
        ? aptGet(['install', '--no-install-recommends', ...args], rights.prefix)
        : `${rights.why}; as root: apt-get install ${args.join(' ')}`);
    },
    /** The folder that holds what a package would install, or why there is none. */
    unpack(package_) {
      const archives = join(folder, 'work', package_);
      mkdirSync(archives);
      const why = snap([package_]) ?? aptGet(['download', package_], [], archives);
      const file = readdirSync(archives).find((entry) => entry.endsWith('.deb'));
      if (why !== undefined || file === undefined) return { why: why ?? 'apt downloaded nothing' };
      const into = join(archives, 'files');
      const done = spawnSync('dpkg-deb', ['--extract', join(archives, file), into], { encoding: 'utf8', timeout: 120_000 });
      return done.status === 0 ? { into } : { why: reason(done) };
    },
  };
}
