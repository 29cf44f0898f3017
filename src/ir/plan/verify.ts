import type { Extent, Plan, PlanArg, PlanKernel, PlanTensor } from './plan.js';

type Program = keyof Plan['programs'];

const PROGRAMS: readonly Program[] = ['forward', 'backward', 'step'];
const GIVEN: ReadonlySet<PlanTensor['role']> = new Set<PlanTensor['role']>(['input', 'param', 'initial', 'cotangent']);
const RESULTS: Readonly<Record<Program, ReadonlySet<PlanTensor['role']>>> = {
  forward: new Set<PlanTensor['role']>(['output', 'final']), backward: new Set<PlanTensor['role']>(['gradient']), step: new Set<PlanTensor['role']>(['output', 'final']),
};

/** Everything that is wrong with a plan, one sentence each; empty when a host may run it. Every complaint is a mistake of ours. */
export function verifyPlan(plan: Plan): readonly string[] {
  const tensors = new Map(plan.tensors.map((tensor) => [tensor.name, tensor]));
  const kernels = new Map(plan.kernels.map((kernel) => [kernel.name, kernel]));
  return [
    ...(tensors.size === plan.tensors.length ? [] : ['two tensors share a name']),
    ...(kernels.size === plan.kernels.length ? [] : ['two kernels share a name']),
    ...plan.tensors.flatMap((tensor) => shapeFaults(tensor.name, tensor.shape)),
    ...plan.tensors.flatMap(({ name, ungrouped }) => (ungrouped === undefined || tensors.has(ungrouped) ? [] : [`${name} may lie in ${ungrouped}, which there is not`])),
    ...plan.arena.flatMap((name) => (tensors.get(name)?.role === 'workspace' ? [] : [`the arena has ${name}, which is no workspace`])),
    ...plan.kernels.flatMap((kernel) => kernelFaults(plan, kernel, tensors)),
    ...PROGRAMS.flatMap((program) => [...orderFaults(plan, program, kernels), ...flowFaults(plan, program, kernels, tensors)]),
  ];
}

function shapeFaults(what: string, factors: readonly Extent[]): readonly string[] {
  return factors.flatMap((factor) => (typeof factor !== 'number' || (Number.isInteger(factor) && factor > 0) ? [] : [`${what} has an extent of ${factor}`]));
}

function kernelFaults(plan: Plan, kernel: PlanKernel, tensors: ReadonlyMap<string, PlanTensor>): readonly string[] {
  const named = kernel.args.flatMap(namesIn);
  return [
    ...kernel.grid.flatMap((dimension) => [...(dimension.length === 0 ? [`${kernel.name} has an empty grid`] : []), ...shapeFaults(kernel.name, dimension)]),
    ...(Number.isInteger(kernel.block) && kernel.block > 0 && kernel.block <= 1024 ? [] : [`${kernel.name} has blocks of ${kernel.block} threads`]),
    ...(Number.isInteger(kernel.sharedBytes) && kernel.sharedBytes >= 0 ? [] : [`${kernel.name} has ${kernel.sharedBytes} bytes of shared memory`]),
    ...named.flatMap((name) => (tensors.has(name) ? [] : [`${kernel.name} takes ${name}, which there is not`])),
    ...kernel.args.flatMap((arg) => (arg.kind === 'arena' ? arg.tensors.filter((name) => !plan.arena.includes(name)).map((name) => `${kernel.name} takes ${name}, which is not in the arena`) : [])),
    ...kernel.args.flatMap((arg) => (arg.kind === 'tensor' && arg.access !== 'read' && GIVEN.has(tensors.get(arg.tensor)?.role ?? 'workspace') ? [`${kernel.name} writes ${arg.tensor}, which the user gives`] : [])),
  ];
}

function namesIn(arg: PlanArg): readonly string[] {
  switch (arg.kind) {
    case 'tensor': case 'tensorMap': return [arg.tensor];
    case 'arena': return arg.tensors;
    case 'dims': case 'sequences': case 'segments': case 'chunks': return [];
  }
}

/** Tensors that a kernel reads without writing them, and those that it writes. Of the arena it may do either with what it names. */
function touched(kernel: PlanKernel): { readonly reads: readonly string[]; readonly writes: readonly string[]; readonly either: readonly string[] } {
  const of = (wanted: (arg: PlanArg) => boolean) => kernel.args.filter(wanted).flatMap(namesIn);
  return {
    reads: of((arg) => arg.kind === 'tensorMap' || (arg.kind === 'tensor' && arg.access === 'read')),
    writes: of((arg) => arg.kind === 'tensor' && arg.access !== 'read'),
    either: of((arg) => arg.kind === 'arena'),
  };
}

/** Launches that touch what another one writes run after it, in its lane or by waiting. */
function orderFaults(plan: Plan, program: Program, kernels: ReadonlyMap<string, PlanKernel>): readonly string[] {
  const faults: string[] = [];
  const launches = plan.programs[program];
  /** By launch: all that have surely finished before it. */
  const before: ReadonlySet<number>[] = [];
  const last: (number | undefined)[] = [undefined, undefined];
  const readers = new Map<string, number[]>();
  const writers = new Map<string, number[]>();
  launches.forEach((launch, at) => {
    const kernel = kernels.get(launch.kernel);
    const direct = [last[launch.lane], ...launch.waits].filter((index) => index !== undefined);
    if (direct.some((index) => index >= at || index < 0)) faults.push(`${program} waits in ${launch.kernel} for a launch that is not before it`);
    const done = new Set(direct.filter((index) => index < at).flatMap((index) => [index, ...(before[index] ?? [])]));
    before.push(done);
    last[launch.lane] = at;
    if (kernel === undefined) {
      faults.push(`${program} launches ${launch.kernel}, which is no kernel`);
      return;
    }
    const { reads, writes, either } = touched(kernel);
    const mayWrite = [...writes, ...either];
    for (const name of [...reads, ...mayWrite]) {
      const rivals = [...(writers.get(name) ?? []), ...(mayWrite.includes(name) ? readers.get(name) ?? [] : [])];
      const open = rivals.find((index) => !done.has(index));
      if (open !== undefined) faults.push(`${program} may run ${launch.kernel} beside ${launches[open].kernel}, though both touch ${name}`);
    }
    for (const name of reads) readers.set(name, [...(readers.get(name) ?? []), at]);
    for (const name of mayWrite) writers.set(name, [...(writers.get(name) ?? []), at]);
  });
  return faults;
}

/** What is read was given or written before; all results are written. */
function flowFaults(plan: Plan, program: Program, kernels: ReadonlyMap<string, PlanKernel>, tensors: ReadonlyMap<string, PlanTensor>): readonly string[] {
  if (plan.programs[program].length === 0) return [];
  const faults: string[] = [];
  const written = new Set(plan.tensors.filter(({ role }) => GIVEN.has(role)).map(({ name }) => name));
  for (const launch of plan.programs[program]) {
    const kernel = kernels.get(launch.kernel);
    if (kernel === undefined) continue;
    const { reads, writes, either } = touched(kernel);
    for (const name of reads) if (!written.has(name)) faults.push(`${program} launches ${launch.kernel}, which reads ${name} before any kernel has written it`);
    [...writes, ...either].forEach((name) => written.add(name));
  }
  for (const { name, role } of tensors.values()) if (RESULTS[program].has(role) && !written.has(name)) faults.push(`${program} does not write ${name}`);
  return faults;
}
