// Builds what the benches here want, as sources: on a machine without a GPU or nvcc, for one that has both and perhaps no Node.
//
//   npm run build && node bench/prepare.mjs --out bench-out                  all of it; or: prepare.mjs --out bench-out scans tests
//   python3 bench/images.py bench-out                                         there: compiles every kernel, as many at a time as it has cores
//
// Sets, a folder each, by what reads them: `scans` and `written` (compare.py --plans, --written), `mixtures` (moe.py --plans), `memory`
// (torch_memory.py, host_torch.py), `models` (torch_models.py, torch_train.py), `tests` (fla_tests.py), `ranks` (two_gpus.py), `webgpu` (moe.mjs, host.mjs).
import { readdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { examples, inOrder, lmoec } from '../scripts/lmoec.mjs';
import { root } from '../scripts/setup.mjs';

const example = (...names) => names.map((name) => `examples/${name}.lmoe`);
const FORMULAS = readdirSync(join(root, 'examples/torch/fla/formulas')).map((name) => `examples/torch/fla/formulas/${name}`);
const GSA = 'examples/torch/fla/formulas/fla_gsa.lmoe';
/** Functions of FLA whose head sizes are K and V, and the others. */
const HEADS = [
  ...example('comba', 'delta_net', 'gated_delta', 'gdn2', 'gla', 'iplr', 'kda', 'retention', 'rwkv6', 'rwkv7', 'simple_gla'),
  ...FORMULAS.filter((path) => path !== GSA),
];
const OTHERS = [...example('hgrn', 'mamba2'), GSA];
const torch = (...more) => ['--target', 'torch,cuda.sm90', ...more];
/** As FLA's tests call it: in every dtype. */
const tested = (...sizes) => torch(...sizes.flatMap((size) => ['--size', size]), '--dtype', 'bf16,f16,f32');
/** Functions that FLA's tests call with larger heads too, and the sizes. */
const WIDE = new Map([
  ['examples/gla.lmoe', ['K=128,V=128', 'K=256,V=256', 'K=512,V=512']],
  ['examples/kda.lmoe', ['K=128,V=128', 'K=256,V=256']],
  ['examples/retention.lmoe', ['K=128,V=128', 'K=128,V=256', 'K=256,V=512']],
  ['examples/rwkv6.lmoe', ['K=128,V=128', 'K=256,V=256']],
]);
const mixture = (folder, size) => ({ folder, args: [...example('moe/softmax'), '--name', 'olmoe', '--target', 'cuda.sm90', '--size', size] });

/** By set: `lmoec build` with these arguments, each into a folder of its own in the set's. */
const SETS = {
  scans: [{ args: [...examples(), '--target', 'cuda.sm90', '--size', 'K=128,V=128,N=128,P=64,D=2048'] }],
  written: [{ args: ['bench/written.lmoe', '--target', 'cuda.sm90'] }],
  mixtures: [
    mixture('a1b', 'D=2048,E=64,F=1024,k=8'), mixture('a03b', 'D=1024,E=64,F=896,k=8'), mixture('qwen3_next', 'D=2048,E=512,F=512,k=10'),
    mixture('deepseek_v3', 'D=7168,E=32,F=2048,k=8'), mixture('mixtral', 'D=4096,E=8,F=14336,k=2'),
    { folder: 'dense', args: ['bench/dense.lmoe', '--target', 'cuda.sm90'] },
  ],
  memory: [{ args: [...example('gla', 'gated_delta', 'kda', 'simple_gla'), ...torch('--size', 'K=128,V=128')] }],
  models: [{ args: [...HEADS, ...torch('--size', 'K=64,V=64', '--size', 'K=128,V=128')] }, { args: [...OTHERS, ...torch()] }],
  // Head sizes that are not there are padded with zeros to the next that are; slots of a softmax cannot be.
  tests: [
    { args: [...HEADS.filter((path) => !WIDE.has(path)), ...tested('K=128,V=128')] }, { args: [...OTHERS.filter((path) => path !== GSA), ...tested()] },
    ...[...WIDE].map(([path, sizes]) => ({ args: [path, ...tested(...sizes)] })),
    { args: [GSA, ...tested('K=64,V=64,M=64', 'K=64,V=64,M=32', 'K=32,V=32,M=32', 'K=128,V=128,M=32', 'K=128,V=128,M=64', 'K=128,V=128,M=128', 'K=256,V=256,M=64')] },
  ],
  ranks: [{ args: [...example('gla', 'gated_delta', 'kda', 'rwkv7', 'mamba2'), ...torch('--dtype', 'bf16,f32')] }],
  webgpu: [
    { folder: 'wide', args: [...example('moe/softmax'), '--name', 'mixtral', '--size', 'D=1024,F=512,E=16', '--with', 'k=2', '--target', 'webgpu'] },
    {
      folder: 'tiny',
      args: [
        ...example('moe/groups'), '--name', 'deepseek_v3', '--size', 'D=64,G=2,M=4,F=48,S=48', '--with', 'keep=1', '--with', 'k=2', '--with', 'scale=2',
        '--target', 'webgpu',
      ],
    },
    { args: [...example('gla', 'gated_delta'), '--target', 'webgpu'] },
  ],
};

const { values: { out }, positionals } = parseArgs({ allowPositionals: true, options: { out: { type: 'string', default: 'bench-out' } } });
const unknown = positionals.filter((name) => !(name in SETS));
if (unknown.length > 0) {
  console.error(`prepare: no set ${unknown.join(', ')}; there are ${Object.keys(SETS).join(', ')}`);
  process.exit(2);
}
const names = positionals.length > 0 ? positionals : Object.keys(SETS);
const builds = names.flatMap((set) => SETS[set].map(({ folder = '', args }) => ({ set, folder: join(out, set, folder), args })));
await inOrder(builds, availableParallelism(), ({ args, folder }) => lmoec(['build', ...args, '--sources', '-o', folder]), ({ folder }, { code, err }) => {
  if (code !== 0) process.exitCode = 1;
  console.log(`${folder}: ${code === 0 ? 'built' : `lmoec build ended with ${code}\n${err}`}`);
});
