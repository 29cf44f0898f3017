import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { emitCuda } from '../../src/backends/cuda/emit.js';
import type { IoDtype } from '../../src/ir/common/dtype.js';
import type { PlanNames } from '../../src/ir/plan/names.js';
import type { Plan, PlanArg, Segmentation } from '../../src/ir/plan/plan.js';
import type { TableArg } from '../../src/ir/plan/rows.js';
import type { TileModule } from '../../src/ir/tile/tile.js';
import { compileKernels, STAND_INS } from '../unit/cuda/emulator.js';
import { templates, wholeText } from '../unit/cuda/templates.js';

const REPOSITORY = join(import.meta.dirname, '../..');

const RUNTIME = /^_(again|bound|driver|graph|host|images|layout|memory|plan|program|runtime)\.py$/;

/** Puts the static modules of a package into FOLDER/pkg. */
export function copyRuntime(folder: string): void {
  const from = join(REPOSITORY, 'templates/torch');
  mkdirSync(join(folder, 'pkg'), { recursive: true });
  writeFileSync(join(folder, 'pkg/__init__.py'), '');
  for (const name of readdirSync(from).filter((name) => RUNTIME.test(name))) cpSync(join(from, name), join(folder, 'pkg', name));
}

/**
 * A plan under FOLDER/plans/SCAN, and a libcuda.so.1 under FOLDER/lib that has its kernels, compiled for the CPU
 * (test/unit/cuda/emulator.h).
 * `segmentation`: so small that short sequences have several segments. `names`: of a layer or mixture.
 */
export function buildStandIn(
  folder: string, module: TileModule, dtype: IoDtype, segmentation: Segmentation, names?: PlanNames,
): Plan {
  const emitted = emitCuda(
    module,
    { target: 'cuda.sm90', dtype, source: { hash: '', compiler: '', command: '' }, doc: '', templates: { ...templates, ...STAND_INS } },
  );
  const plan: Plan = { ...emitted.plan, segmentation, ...(names && { names }) };
  const text = wholeText(emitted).replace(/^extern __shared__.*$/m, '')
    .replace(
      /kTablePrograms = .*;/,
      `kTablePrograms = ${segmentation.programs}, kTableLeast = ${segmentation.least}, kTablePays = ${segmentation.pays ?? 1};`,
    );
  const at = join(folder, 'plans', module.name, [...module.sizes].map(([axis, size]) => `${axis}${size}`).join(''), `cuda.sm90.${dtype}`);
  mkdirSync(at, { recursive: true });
  writeFileSync(join(at, 'plan.json'), JSON.stringify(plan));
  for (const { file } of plan.kernels) writeFileSync(join(at, file.replace('.cu', '.cubin')), `emulated ${dtype}`);
  buildLibrary(folder, [text, entries(plan)].join('\n'), dtype === 'f16');
  return plan;
}

/** A libcuda.so.1 without kernels: launches are kept in its record only. And an NVRTC that compiles nothing. */
export function buildRecorder(folder: string): void {
  buildLibrary(folder, '', false);
  execFileSync(
    'cc', ['-w', '-fPIC', '-shared', '-o', join(folder, 'lib/libnvrtc.so'), join(import.meta.dirname, 'libnvrtc.c')], { stdio: 'pipe' },
  );
}

function buildLibrary(folder: string, text: string, half: boolean): void {
  mkdirSync(join(folder, 'lib'), { recursive: true });
  compileKernels(text, { sm90: true, half, races: false, library: true }, join(folder, 'lib'), 'libcuda.so.1');
}

function typeOf({ tensors }: Plan, tensor: string): string {
  const dtype = tensors.find(({ name }) => name === tensor)?.dtype ?? 'f32';
  return dtype === 'i32' ? 'int' : dtype;
}

/** Of libcuda.cc: what it launches, by name. */
const ENTRIES = `
typedef std::function<void()> Work;
struct TableEntry { std::function<Work(void**)> take; };
std::map<std::string, TableEntry>& registry();
`;

/** Takes the parameters of every kernel as the driver does: by value, when it is launched. */
function entries(plan: Plan): string {
  const type = (arg: PlanArg): string => {
    switch (arg.kind) {
      case 'tensor': return `${typeOf(plan, arg.tensor)}*`;
      case 'table': return arg.access === 'write' ? 'int*' : 'const int*';
      case 'dims': return 'Dims';
      case 'strides': return 'Strides';
      case 'tensorMap': return 'TensorMap';
      case 'arena': throw new Error('an arena in a plan for CUDA');
    }
  };
  const entry = (name: string, types: readonly string[]): string => [
    `  registry()["${name}"] = {[](void** p) -> Work {`,
    ...types.map((each, i) => `    const auto a${i} = *(${each}*)p[${i}];`),
    `    return [=] { ${name}(${types.map((_, i) => `a${i}`).join(', ')}); };`,
    '  }};',
  ].join('\n');
  const tableType = ({ kind }: TableArg): string => ({ offsets: 'const void*', offsetBytes: 'int', table: 'int*', dims: 'Dims' })[kind];
  const tables = Object.values(plan.tableKernels ?? {}).map((kernel) => entry(kernel.entry, kernel.args.map(tableType)));
  return [
    ENTRIES, 'static const bool entered = [] {', ...plan.kernels.map((kernel) => entry(kernel.entry, kernel.args.map(type))), ...tables,
    '  return true;', '}();', '',
  ].join('\n');
}

