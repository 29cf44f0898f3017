// Builds the CUDA addon: node-gyp first (it knows compilers and headers), then the compiler by hand with the headers that lie beside Node.
// Neither needs CUDA. Prints one line; exit status 1 and the reason when it cannot be built. Not having it is no error for `npm install`.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const require = createRequire(import.meta.url);
const root = dirname(dirname(fileURLToPath(import.meta.url)));
const native = join(root, 'src/runtime/cuda/native');
const output = join(native, 'build/Release/lmoec_cuda.node');

function nodeGyp() {
  let program;
  try {
    program = require.resolve('node-gyp/bin/node-gyp.js');
  } catch {
    return 'node-gyp is not installed';
  }
  const done = spawnSync(process.execPath, [program, 'rebuild', '--directory', native], { encoding: 'utf8', timeout: 300_000 });
  if (done.status === 0 && existsSync(output)) return undefined;
  const lines = `${done.stdout}\n${done.stderr}`.split('\n');
  return lines.find((line) => /error:|gyp ERR! (stack|find)/i.test(line))?.trim() ?? 'node-gyp failed';
}

/** Folders that may hold node_api.h: beside the program, and where node-gyp or a distribution puts it. */
function headerFolders() {
  const prefix = dirname(dirname(process.execPath));
  const configured = process.env.npm_config_nodedir;
  return [configured && join(configured, 'include/node'), join(prefix, 'include/node'), '/usr/include/node', '/usr/local/include/node']
    .filter((folder) => folder && existsSync(join(folder, 'node_api.h')));
}

function byHand(compiler) {
  const [headers] = headerFolders();
  if (headers === undefined) return "Node's headers (node_api.h) were not found";
  mkdirSync(dirname(output), { recursive: true });
  const sources = readdirSync(native).filter((name) => name.endsWith('.cc')).map((name) => join(native, name));
  const addonApi = dirname(require.resolve('node-addon-api/package.json'));
  // Another process may be building too: each writes a file of its own and the last one wins.
  const partial = `${output}.${process.pid}`;
  const done = spawnSync(compiler, [
    '-std=c++17', '-O2', '-fPIC', '-shared', '-DNAPI_VERSION=8', '-DNODE_ADDON_API_DISABLE_DEPRECATED', '-DNAPI_DISABLE_CPP_EXCEPTIONS',
    '-DBUILDING_NODE_EXTENSION', '-DNODE_GYP_MODULE_NAME=lmoec_cuda', `-I${headers}`, `-I${addonApi}`, ...sources, '-ldl', '-o', partial,
  ], { encoding: 'utf8', timeout: 300_000 });
  if (done.status !== 0) {
    rmSync(partial, { force: true });
    return done.stderr.split('\n').find((line) => line.includes('error'))?.trim() ?? `${compiler} failed`;
  }
  renameSync(partial, output);
  return undefined;
}

/** Why it could not be built, if it could not. */
function build() {
  const compiler = [process.env.CXX, 'g++', 'c++', 'clang++'].find((name) => name && spawnSync(name, ['--version']).status === 0);
  if (compiler === undefined) return 'no C++ compiler was found (g++, c++ or clang++)';
  const first = nodeGyp();
  const second = first === undefined ? undefined : byHand(compiler);
  return second === undefined ? undefined : `${first}; ${second}`;
}

/** Built after the last change of its sources, and for this version of Node? */
function upToDate() {
  if (!existsSync(output)) return false;
  const built = statSync(output).mtimeMs;
  if (readdirSync(native).some((name) => /\.(cc|h|gyp)$/.test(name) && statSync(join(native, name)).mtimeMs > built)) return false;
  try {
    require(output);
    return true;
  } catch {
    return false;
  }
}

if (process.argv.includes('--if-needed') && upToDate()) {
  console.log('native: the CUDA addon is built already');
} else {
  const why = build();
  console.log(why === undefined ? 'native: built the CUDA addon' : `native: the CUDA addon was not built: ${why}`);
  if (why !== undefined) process.exitCode = 1;
}
