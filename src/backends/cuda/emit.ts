import type { IoDtype } from '../../ir/common/dtype.js';
import type { Plan, PlanArg, PlanKernel, PlanTensor, Segmentation } from '../../ir/plan/plan.js';
import type { TableArg, TableKernel } from '../../ir/plan/rows.js';
import { verifyPlan } from '../../ir/plan/verify.js';
import { sizeName, type Domain } from '../../ir/tile/domain.js';
import { withLaunches, type TileKernel, type TileModule } from '../../ir/tile/tile.js';
import { lineComment } from '../../support/text.js';
import { verified } from '../../support/verified.js';
import { costsOf, mappedSegmentation, planPrograms, planRows, planTensor, rowsKernel, tablesOf } from '../describe.js';
import { productsApart } from './tensor-cores/apart.js';
import { rowsCopied } from './tensor-cores/rows-copied.js';
import { lowerTensorCores } from './tensor-cores/lower.js';
import { filesOf } from './files.js';
import { kernelsInOne } from './in-one.js';
import { isRefused, type Refused } from './refused.js';
import { hasOp } from './uses.js';
import { lowerPlain } from './plain/lower.js';
import { lowerRegisters } from './registers/lower.js';
import { lowerRows } from './rows/lower.js';
import { isOptional, type CudaContext, type CudaTarget, type LoweredKernel } from './lowered.js';

export interface CudaOptions {
  readonly target: CudaTarget;
  readonly dtype: IoDtype;
  readonly source: Plan['source'];
  readonly doc: string;
  /** Texts of templates/cuda by path relative to it (`rt/base.cuh`). */
  readonly templates: Readonly<Record<string, string>>;
  /** Keeps every kernel on the plain lowering: what tests compare the fast ones with. */
  readonly plain?: boolean;
}

/**
 * With two blocks each (of 64 value channels) just under two rounds on 132 multiprocessors; shorter walks would spend their time on filling
 * the pipeline.
 */
const SEGMENTATION: Segmentation = { programs: 128, least: 8 };

/** Where segments are counts and sums of numbers alone, which have no pipeline to fill, and leave little behind. */
const SHORT: Segmentation = { programs: 128, least: 4 };

/** As templates/cuda/rt/tables.cuh has it: a number of shared memory for each thread. */
const TABLES = { entry: 'lmoec_tables', block: 1024, sharedBytes: 4096 };

/** What files of kernels include, beside them. */
const PRELUDE = 'prelude.cuh';
/** Of templates/cuda/rt, each after those that it needs. */
const PIECES: readonly string[] = [
  'base', 'whole', 'math', 'ptx', 'lanes', 'tile', 'mma', 'solve', 'decay', 'fit', 'ragged', 'near', 'gather', 'wgmma', 'pipe', 'runs',
  'plain', 'draw', 'order', 'running', 'pack',
];

const tableKernelOf = (domain: Domain): string => `tables_${sizeName(domain, 'run')}`;

/** The tables of a domain on the device: parameters of the kernel in templates/cuda/rt/tables.cuh. */
function tableKernel(domain: Domain, file: string): TableKernel {
  const { row } = domain;
  return {
    file, ...TABLES, args: [
      { kind: 'offsets', domain: row }, { kind: 'offsetBytes', domain: row },
      ...tablesOf(domain).map((table): TableArg => ({ kind: 'table', table })),
      { kind: 'dims', domain: row },
    ],
  };
}

/** Writes the CUDA C++ of a module, files of kernels and what they include, and the plan a host needs to launch them. */
export function emitCuda(given: TileModule, options: CudaOptions): { plan: Plan; files: Map<string, string> } {
  const plain = options.plain ?? false;
  const { target, dtype } = options;
  const divided = plain || dtype === 'f32' ? given : productsApart(given);
  const copied = plain || dtype === 'f32' || target !== 'cuda.sm90' ? divided : rowsCopied(divided);
  const module = withFreeNames(copied, options.templates);
  const cx: CudaContext = { module, target, dtype };
  const architecture = options.target === 'cuda.sm90' ? 'sm90a' : options.target.replace('cuda.', '');
  const lowered = module.kernels.map((kernel) => ({ kernel, ...lower(cx, kernel, plain) }));
  const fileOf = filesOf(`${module.name}.${options.dtype}.${architecture}`, lowered.map(({ code }) => code.text));
  // Tables are made by the first one.
  const [file] = fileOf;
  const kernels = lowered.map((one, i) => planKernel(cx, one.kernel, one, fileOf[i]));
  const tensors = [...module.buffers.map(
    (buffer) : PlanTensor => ({ ...planTensor(module, buffer, options.dtype), ...(isOptional(buffer) && { optional: true }) })
  ), ...lowered.flatMap(({ code }) => code.scratch)];
  const made = module.domains.flatMap((domain) => (domain.made === undefined ? [] : [{ domain, offsets: domain.made.offsets }]));
  const all = [...kernels, ...made.map(({ domain, offsets }) => rowsKernel(domain, {
    file, ...TABLES, entry: 'lmoec_rows', args: [
      { kind: 'tensor', tensor: offsets, access: 'read' },
      ...tablesOf(domain).map((table): PlanArg => ({ kind: 'table', table, access: 'write' })), { kind: 'dims', domain: domain.row },
    ],
  }))];
  const joined = plain ? {} : kernelsInOne(cx, all);
  const inOne = [...new Set(Object.values(joined).flat())];
  const every = [...all, ...inOne.map(({ kernel }): PlanKernel => ({ ...kernel, file }))];
  const programs = planPrograms(module, every, joined);
  // Those for few rows that are nowhere but in others are not there by themselves.
  const calls = Object.values(programs).flatMap(({ launches, few }) => [...launches, ...few?.launches ?? []]);
  const isGone = new Set(module.kernels.flatMap(({ name, few }) => (
    few === 'only' && !calls.some(({ kernel }) => kernel === name) ? [name] : []
  )));
  const walks = module.kernels.some((kernel) => kernel.inner !== 'once' || (kernel.outer === 'segment' && hasOp(kernel, 'contract')));
  const segmentation = mappedSegmentation(module, kernels) ?? (walks ? SEGMENTATION : SHORT);
  const plan: Plan = {
    format: 'lmoec-plan-4',
    scan: module.name,
    doc: options.doc,
    source: options.source,
    target: options.target,
    dtype: options.dtype,
    sizes: Object.fromEntries(module.sizes),
    chunk: module.chunk,
    segmentation,
    ...planRows(module, tableKernelOf),
    tableKernels: Object.fromEntries(module.domains.filter(({ made: own }) => own === undefined).map((domain) => [
      tableKernelOf(domain), tableKernel(domain, file),
    ])),
    tensors,
    kernels: every.filter(({ name }) => !isGone.has(name)),
    programs,
    prelude: PRELUDE,
    ...(options.target === 'cuda.sm90' && { overlaps: true }),
    arena: [],
  };
  const textOf = (name: string): string => [
    `// ${lineComment(`${module.name}: ${options.doc}`)}`,
    `// ${lineComment(
      `Generated by lmoec ${options.source.compiler} from source ${options.source.hash}; command: ${options.source.command}. Do not edit.`,
    )}`,
    `// By hand: nvcc -cubin -std=c++17 -arch=${architecture.replace('sm', 'sm_')} ${name}`,
    `constexpr bool kExact = ${options.dtype === 'f32'}, kHalf = ${options.dtype === 'f16'};`,
    `constexpr int kChunk = ${module.chunk};`,
    `#include "${PRELUDE}"`,
    `typedef ${options.dtype} io;`,
    '',
    ...(name === file ? tablesText(options, segmentation, made.length > 0) : []),
    ...lowered.flatMap(({ kernel, code }, i) => (fileOf[i] === name && !isGone.has(kernel.name) ? [code.text] : [])),
    ...(name === file ? inOne.map(({ text }) => text) : []),
  ].join('\n');
  const files = new Map([
    [PRELUDE, preludeText(options, [...lowered.flatMap(({ code }) => code.runtime), ...inOne.flatMap(({ runtime }) => runtime)])],
    ...[...new Set(fileOf)].map((name): [string, string] => [name, textOf(name)]),
  ]);
  return { plan: verified(`the plan of ${module.name}`, plan, verifyPlan(plan)), files };
}

/** Once for all kernels of a target: helpers, those that its kernels use. */
function preludeText({ templates, source }: CudaOptions, used: readonly string[]): string {
  return [
    `// What kernels of lmoec ${lineComment(source.compiler)} call. Their files include this one`,
    '// after they have said what kExact, kHalf and kChunk are. Do not edit.',
    ...PIECES.map((name) => `rt/${name}.cuh`).filter((name) => used.includes(name)).map((name) => template(templates, name)),
    'extern __shared__ __align__(1024) u8 smem[];',
    '',
  ].join('\n');
}

/** The kernels that make tables; `made`: of what kernels count, too. */
function tablesText({ templates }: CudaOptions, { programs, least, pays }: Segmentation, made: boolean): readonly string[] {
  return [
    `constexpr int kTablePrograms = ${programs}, kTableLeast = ${least}, kTablePays = ${pays ?? 1};`,
    template(templates, 'rt/tables.cuh'),
    ...(made ? [template(templates, 'rt/rows.cuh')] : []),
  ];
}

/**
 * The module with other names for kernels that are called as something of the runtime text is, such as `decays_join` of a state `decays`.
 */
function withFreeNames(module: TileModule, templates: CudaOptions['templates']): TileModule {
  // Names of one word are what kernels of every scan are called: the text has them as variables at most.
  const taken = (name: string) => name.includes('_') && Object.values(templates).some((text) => text.includes(name));
  const names = new Set(module.kernels.map((kernel) => kernel.name));
  const renamed = new Map(module.kernels.filter(({ name }) => taken(name)).map(({ name }): [string, string] => {
    let free = `${name}_`;
    while (taken(free) || names.has(free)) free += '_';
    return [name, free];
  }));
  if (renamed.size === 0) return module;
  const of = (name: string) => renamed.get(name) ?? name;
  return {
    ...module, kernels: module.kernels.map((kernel) => ({ ...kernel, name: of(kernel.name) })),
    programs: withLaunches(module.programs, ({ launches }) => launches.map(of)),
  };
}

interface Chosen extends Pick<PlanKernel, 'lowering' | 'plainWhy'> {
  readonly code: LoweredKernel;
}

/** What a kernel is offered to, best first; the plain lowering takes what none of them does. */
const LOWERINGS: readonly {
  readonly lowering: PlanKernel['lowering'];
  readonly lower: (cx: CudaContext, kernel: TileKernel) => LoweredKernel | Refused;
}[] = [
  { lowering: 'registers', lower: lowerRegisters },
  { lowering: 'rows', lower: lowerRows },
  { lowering: 'tensor cores', lower: lowerTensorCores },
];

/** The first lowering that takes a kernel; the last one's reason is what the plan says of plain ones. */
function lower(cx: CudaContext, kernel: TileKernel, plain: boolean): Chosen {
  let plainWhy = 'asked for';
  for (const { lowering, lower: made } of plain ? [] : LOWERINGS) {
    const code = made(cx, kernel);
    if (!isRefused(code)) return { code, lowering };
    plainWhy = code.why;
  }
  return { code: lowerPlain(cx, kernel), lowering: 'plain', plainWhy };
}

function template(templates: CudaOptions['templates'], name: string): string {
  const text = templates[name];
  if (text === undefined) throw new Error(`templates/cuda/${name} is missing`);
  return text;
}

function planKernel(cx: CudaContext, kernel: TileKernel, { code, lowering, plainWhy }: Chosen, file: string): PlanKernel {
  const { flops, bytes, singles } = costsOf(cx.module, kernel, cx.dtype);
  return {
    name: kernel.name,
    doc: kernel.doc,
    file,
    entry: kernel.name,
    block: code.block,
    sharedBytes: code.sharedBytes,
    grid: code.grid,
    args: code.args,
    lowering,
    ...(plainWhy !== undefined && { plainWhy }),
    flops,
    bytes,
    singles,
  };
}
