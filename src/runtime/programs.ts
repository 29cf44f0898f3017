import type { Launch, Plan, PlanKernel, PlanTensor } from '../ir/plan/plan.js';
import { elementCount } from './arrays.js';
import { extentsOf, gridOf, shapeOf, type CallSizes, type Extents } from './extents.js';
import { RuntimeError } from './runtime.js';

/** A tensor that a program uses, at given sizes. */
export interface Slot {
  readonly declared: PlanTensor;
  /** What it is for the program: a workspace that it takes is an input, one that it gives an output. */
  readonly role: PlanTensor['role'];
  readonly shape: readonly number[];
  /** Elements. */
  readonly count: number;
  /** The slot whose tensor is used in its place (`ungrouped`). */
  readonly place: number | undefined;
}

/** What a program needs at given sizes: the same for every call that has them. */
export interface SizedProgram {
  readonly program: string;
  readonly sizes: CallSizes;
  readonly extents: Extents;
  /** By domain: the numbers that kernels over it take. */
  readonly dims: Readonly<Record<string, readonly number[]>>;
  /** In the order of the plan. */
  readonly slots: readonly Slot[];
  /** Of the program, in its order. Empty grids have nothing to do. */
  readonly launches: readonly { readonly kernel: PlanKernel; readonly grid: readonly [number, number, number] }[];
}

/** How many sizes of a program are remembered: a loop over a few buckets of lengths makes nothing anew. */
const REMEMBERED = 8;

/** What a device makes of a program for given sizes; made once while calls have them. */
export interface Programs<X> {
  at(program: string, sizes: CallSizes): X;
  release(): void;
}

/** `inPlace`: see `sizedProgram`. `drop` gives back what `make` took. */
export function createPrograms<X>(plan: Plan, inPlace: boolean, make: (sized: SizedProgram) => X, drop: (made: X) => void): Programs<X> {
  const known = new Map<string, { readonly sizes: CallSizes; readonly made: X }[]>();
  return {
    at(program, sizes) {
      const list = known.get(program) ?? [];
      const found = list.findIndex((entry) => sameSizes(entry.sizes, sizes));
      if (found === 0) return list[0].made;
      const [entry] = found < 0
        ? [{ sizes: kept(sizes), made: make(sizedProgram(plan, program, sizes, inPlace)) }]
        : list.splice(found, 1);
      list.unshift(entry);
      known.set(program, list);
      if (list.length > REMEMBERED) list.splice(REMEMBERED).forEach(({ made }) => drop(made));
      return entry.made;
    },
    release() {
      for (const list of known.values()) list.splice(0).forEach(({ made }) => drop(made));
    },
  };
}

/** Whoever holds the lists may change them. */
function kept({ others, lengths, ...sizes }: CallSizes): CallSizes {
  const copies = others && Object.fromEntries(Object.entries(others).map(([domain, counts]) => [domain, [...counts]]));
  return { ...sizes, lengths: [...lengths], ...(copies && { others: copies }) };
}

export function sameSizes(a: CallSizes, b: CallSizes): boolean {
  if (a.heads !== b.heads || a.groups !== b.groups || !sameCounts(a.lengths, b.lengths)) return false;
  if (a.others === undefined || b.others === undefined) return a.others === b.others;
  const [mine, domains] = [a.others, Object.keys(b.others)];
  return domains.length === Object.keys(mine).length && domains.every((domain) => sameCounts(mine[domain] ?? [], b.others?.[domain] ?? []));
}

function sameCounts(a: readonly number[], b: readonly number[]): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/**
 * `inPlace`: where every head is a group of its own, tensors that have an `ungrouped` are that one, and what sums over groups is left out.
 */
export function sizedProgram(plan: Plan, program: string, sizes: CallSizes, inPlace: boolean): SizedProgram {
  const extents = extentsOf(plan, sizes);
  const alone = inPlace && sizes.heads === sizes.groups;
  const launches = launchesOf(plan, program, extents).map((launch) => {
    const kernel = kernelNamed(plan, launch.kernel);
    return { kernel, grid: isNeedless(launch, extents, inPlace) ? [0, 0, 0] as const : gridOf(kernel, extents) };
  });
  const used = tensorsUsed(launches.map(({ kernel }) => kernel));
  const declared = plan.tensors.filter(({ name }) => used.has(name));
  const { takes, gives } = plan.programs[program];
  const roleOf = ({ name, role }: PlanTensor): Slot['role'] => (
    role !== 'workspace' ? role : takes.includes(name) ? 'input' : gives.includes(name) ? 'output' : role
  );
  const slots = declared.map((tensor): Slot => {
    const shape = shapeOf(tensor, extents);
    const place = alone && tensor.ungrouped !== undefined ? declared.findIndex(({ name }) => name === tensor.ungrouped) : -1;
    return { declared: tensor, role: roleOf(tensor), shape, count: elementCount(shape), place: place < 0 ? undefined : place };
  });
  const dims = Object.fromEntries(Object.entries(plan.dims).map(([domain, names]) => [domain, names.map((name) => extents[name])]));
  return { program, sizes, extents, dims, slots, launches };
}

/** Has the call no use for a launch, since nothing is shared, no run is cut, or one is? `inPlace`: sums of groups may be left out. */
export function isNeedless({ grouped, cut, whole }: Launch, extents: Extents, inPlace: boolean): boolean {
  const agree = (both: readonly [string, string] | undefined) => both !== undefined && extents[both[0]] === extents[both[1]];
  return (inPlace && agree(grouped)) || agree(cut) || (whole !== undefined && !agree(whole));
}

/** Those of a call. */
export function launchesOf(plan: Plan, program: string, extents: Extents): readonly Launch[] {
  const found = plan.programs[program];
  if (found === undefined) throw new RuntimeError(
    `${plan.scan} has no program ${program}`, `it has ${Object.keys(plan.programs).join(', ')}`,
  );
  return found.few !== undefined && extents[found.few.extent] === 1 ? found.few.launches : found.launches;
}

function kernelNamed(plan: Plan, name: string): PlanKernel {
  const found = plan.kernels.find((kernel) => kernel.name === name);
  if (found === undefined) throw new RuntimeError(`the plan of ${plan.scan} launches ${name}, which it does not describe`, INCONSISTENT);
  return found;
}

/** Tensors that some kernel of a program names; those of the arena are no tensors of their own. */
function tensorsUsed(launches: readonly PlanKernel[]): ReadonlySet<string> {
  const args = launches.flatMap((kernel) => kernel.args);
  return new Set(args.flatMap((arg) => (arg.kind === 'tensor' || arg.kind === 'tensorMap' ? [arg.tensor] : [])));
}

/** The slot that an argument names. */
export function slotOf({ slots }: Pick<SizedProgram, 'slots'>, kernel: PlanKernel, tensor: string): number {
  const found = slots.findIndex(({ declared }) => declared.name === tensor);
  if (found < 0) throw new RuntimeError(`${kernel.name} needs the tensor ${tensor}, which the plan does not know`, INCONSISTENT);
  return found;
}

const INCONSISTENT = 'this plan is inconsistent: build it again';
