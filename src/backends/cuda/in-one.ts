import { conflict } from '../../ir/plan/queues.js';
import type { PlanArg, PlanKernel } from '../../ir/plan/plan.js';
import { sizeName } from '../../ir/tile/domain.js';
import { mapPrograms, type Programs, type TileKernel } from '../../ir/tile/tile.js';
import { freeName } from '../../support/free-name.js';
import { fewLaunches, plainName, rowsKernelName, type FewLaunches } from '../describe.js';
import { bufferNamed, strides } from './address.js';
import { createCode } from './code.js';
import { elementType, PART_THREADS, pointer, type CudaContext, type LoweredKernel } from './lowered.js';
import { openKernel } from './prologue.js';
import { isRefused } from './refused.js';
import { lowerPlain } from './plain/lower.js';
import { lowerRows } from './rows/lower.js';
import { hasOp } from './uses.js';

/** Several launches as a kernel of one block. */
export interface InOne {
  readonly members: readonly string[];
  readonly kernel: Omit<PlanKernel, 'file'>;
  readonly text: string;
  readonly runtime: readonly string[];
}

/** Blocks that one may be in the place of, one after the other: all rows of a chunk, where a warp has one. */
const MOST_BLOCKS = 2;

/**
 * Of calls of few rows the launches that follow each other and are a block each, or few blocks, as one kernel of one block: with so little
 * to do it is launches that take the time, and what one hands on to the next is in the caches still. Programs that have the same ones share
 * their kernel, others have names of their own.
 */
export function kernelsInOne(cx: CudaContext, kernels: readonly PlanKernel[]): Programs<readonly InOne[]> {
  const made = new Map<string, InOne>();
  const taken = new Set(kernels.map(({ name }) => name));
  return mapPrograms(cx.module.programs, (program) => {
    const few = fewLaunches(cx.module, program);
    return few === undefined ? [] : groupsOf(cx, kernels, few, taken).map((group) => {
      const key = group.parts.map(({ member }) => member.name).join();
      const one = made.get(key) ?? inOne(cx, group);
      made.set(key, one);
      taken.add(one.kernel.name);
      return one;
    });
  });
}

/** Groups of two at least, called as nothing that is `taken`. */
function groupsOf(
  cx: CudaContext, kernels: readonly PlanKernel[], { extent, names }: FewLaunches, taken: ReadonlySet<string>,
): readonly Group[] {
  const byName = new Map(kernels.map((kernel) => [kernel.name, kernel]));
  // Parts are called as their kernel, with a number behind it.
  const isTaken = (name: string) => [...taken].some((one) => one === name || one.startsWith(`${name}_`));
  const groups: Group[] = [];
  let open: Group | undefined;
  for (const kernel of names.flatMap((name) => byName.get(name) ?? [])) {
    const name = open?.name ?? freeName(`${kernel.name}_in_one`, isTaken);
    const called = `${name}_${open?.parts.length ?? 0}`;
    const part = partOf(cx, kernel, extent, called);
    if (part === undefined) {
      // What has nothing to do with those before comes first.
      if (open?.parts.some(({ member }) => conflict(member, kernel)) === true) open = undefined;
      continue;
    }
    if (open === undefined) groups.push(open = { name, parts: [] });
    open.parts.push({ member: kernel, called, ...part });
  }
  return groups.filter(({ parts }) => parts.length > 1);
}

/** Launches that follow each other, and what the kernel in their place is called. */
interface Group {
  readonly name: string;
  readonly parts: (Part & { readonly member: PlanKernel; readonly called: string })[];
}

interface Part {
  readonly text: string;
  readonly runtime: readonly string[];
  readonly sharedBytes: number;
  readonly blocks: number;
}

/** A launch as a function of that name; undefined: it is more than a few blocks, or has more to do than to wait. */
function partOf(given: CudaContext, kernel: PlanKernel, extent: string, part: string): Part | undefined {
  const { module } = given;
  if (module.domains.some((domain) => domain.made !== undefined && rowsKernelName(domain) === kernel.name)) {
    return { text: '', runtime: [], sharedBytes: PART_THREADS / 8, blocks: 0 };
  }
  const own = module.kernels.find(({ name }) => name === kernel.name);
  if (own === undefined || !['rows', 'plain'].includes(kernel.lowering) || !isSmall(own, extent)) return undefined;
  const cx = { ...given, part };
  const made = kernel.lowering === 'rows' ? lowerRows(cx, own) : lowerPlain(cx, own);
  if (isRefused(made) || made.scratch.length > 0) return undefined;
  const blocks = countOf(made);
  return blocks > (kernel.lowering === 'rows' ? MOST_BLOCKS : 1) ? undefined : { ...made, blocks };
}

/** Has it the rows of a call's one chunk, or none, and no loops over more? */
function isSmall(kernel: TileKernel, extent: string): boolean {
  const { outer, domain, inner, split, body } = kernel;
  return inner === 'once' && split === undefined && body.every(({ kind }) => kind !== 'loop')
    && !hasOp(kernel, 'contract', 'nth', 'inverse')
    && (outer === 'once' || (outer === 'chunk' && domain.made === undefined && sizeName(domain, 'chunk') === extent));
}

const countOf = ({ grid }: LoweredKernel): number => grid.flat().reduce<number>((n, x) => (typeof x === 'number' ? n * x : n), 1);

function inOne(cx: CudaContext, { name, parts }: Group): InOne {
  const members = parts.map(({ member }) => member);
  const args = argsOf(members);
  const code = createCode();
  const doc = `Of few rows, one after the other: ${members.map((member) => member.name).join(', ')}.`;
  code.line(`// ${doc}`);
  openKernel(code, { name }, [PART_THREADS], args.map((arg) => parameter(cx, arg)).join(', '));
  parts.forEach(({ member, called, blocks }, i) => {
    // What one has written another reads.
    if (i > 0) code.line('__syncthreads();');
    const values = member.args.map(argument).join(', ');
    if (blocks === 0) code.line(`table_rows<true>(${values});`);
    else {
      code.line('#pragma unroll 1');
      code.line(`for (int block = 0; block < ${blocks}; ++block) ${called}(${values}, block);`);
    }
  });
  code.close();
  const plainWhy = members.find((member) => member.plainWhy !== undefined)?.plainWhy;
  return {
    members: members.map((member) => member.name),
    text: [...parts.map(({ text }) => text), code.text()].filter((text) => text !== '').join('\n'),
    runtime: ['rt/base.cuh', ...parts.flatMap(({ runtime }) => runtime)],
    kernel: {
      name, doc, entry: name, block: PART_THREADS, sharedBytes: Math.max(...parts.map(({ sharedBytes }) => sharedBytes)),
      grid: [[1], [1], [1]], args, lowering: plainWhy === undefined ? 'rows' : 'plain', ...(plainWhy !== undefined && { plainWhy }),
      flops: members.flatMap(({ flops }) => flops), bytes: members.flatMap(({ bytes }) => bytes),
      singles: members.flatMap(({ singles }) => singles),
    },
  };
}

const keyOf = (arg: PlanArg): string => {
  switch (arg.kind) {
    case 'tensor': case 'tensorMap': case 'strides': return `${arg.kind} ${arg.tensor}`;
    case 'table': return `table ${arg.table}`;
    case 'dims': return `dims ${arg.domain}`;
    case 'arena': return 'arena';
  }
};

/** What the parts take, each once: read only where none of them writes it, written where nobody has read it before. */
function argsOf(members: readonly PlanKernel[]): readonly PlanArg[] {
  const found = new Map<string, PlanArg>();
  for (const arg of members.flatMap(({ args }) => args)) {
    const known = found.get(keyOf(arg));
    if (known === undefined) found.set(keyOf(arg), arg);
    else if (known.kind === 'tensor' && known.access === 'read' && arg.kind === 'tensor' && arg.access !== 'read') {
      found.set(keyOf(arg), { ...known, access: 'readwrite' });
    } else if (arg.kind === 'table' && arg.access === 'write') found.set(keyOf(arg), arg);
  }
  return [...found.values()];
}

const dimsName = (domain: string): string => `d_${plainName(domain)}`;

function parameter({ module, dtype }: CudaContext, arg: PlanArg): string {
  switch (arg.kind) {
    case 'tensor': {
      const type = elementType(bufferNamed(module, arg.tensor), dtype);
      return `${arg.access === 'read' ? 'const ' : ''}${type}* ${pointer(arg.tensor)}`;
    }
    case 'table': return `${arg.access === 'write' ? '' : 'const '}int* ${arg.table}`;
    case 'dims': return `const Dims ${dimsName(arg.domain)}`;
    case 'strides': return `const Strides ${strides(arg.tensor)}`;
    case 'tensorMap': case 'arena': throw new Error(`${arg.kind} of a part`);
  }
}

function argument(arg: PlanArg): string {
  switch (arg.kind) {
    case 'tensor': return pointer(arg.tensor);
    case 'table': return arg.table;
    case 'dims': return dimsName(arg.domain);
    case 'strides': return strides(arg.tensor);
    case 'tensorMap': case 'arena': throw new Error(`${arg.kind} of a part`);
  }
}
