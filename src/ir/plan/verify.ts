import type { Extent, Plan, PlanArg, PlanKernel, PlanProgram, PlanTensor } from './plan.js';

const rolesOf = (...roles: readonly PlanTensor['role'][]): ReadonlySet<PlanTensor['role']> => new Set(roles);
const GIVEN = rolesOf('input', 'param', 'initial', 'cotangent');

/** Everything that is wrong with a plan, one sentence each; empty when a host may run it. Every complaint is a mistake of ours. */
export function verifyPlan(plan: Plan): readonly string[] {
  const tensors = new Map(plan.tensors.map((tensor) => [tensor.name, tensor]));
  const kernels = new Map(plan.kernels.map((kernel) => [kernel.name, kernel]));
  return [
    ...(tensors.size === plan.tensors.length ? [] : ['two tensors share a name']),
    ...(kernels.size === plan.kernels.length ? [] : ['two kernels share a name']),
    ...plan.tensors.flatMap((tensor) => shapeFaults(plan, tensor.name, tensor.shape)),
    ...plan.tensors.flatMap(({ name, ungrouped }) => (
      ungrouped === undefined || tensors.has(ungrouped) ? [] : [`${name} may lie in ${ungrouped}, which there is not`]
    )),
    ...plan.arena.flatMap((name) => (tensors.get(name)?.role === 'workspace' ? [] : [`the arena has ${name}, which is no workspace`])),
    ...plan.kernels.flatMap((kernel) => kernelFaults(plan, kernel, tensors)),
    ...Object.entries(plan.dims).flatMap(([domain, extents]) => shapeFaults(plan, `what is known of ${domain}s`, extents)),
    ...Object.keys(plan.tables).flatMap((name) => (plan.extents[name] === undefined ? [`no extent counts the rows of ${name}`] : [])),
    ...nameFaults(plan),
    ...Object.entries(plan.made ?? {}).flatMap(([domain, { of }]) => (
      plan.dims[of] === undefined || plan.made?.[of] !== undefined ? [`${domain}s are of ${of}s, of which a call brings none`] : []
    )),
    ...Object.entries(plan.programs).flatMap(([name, program]) => {
      const launched = (one: PlanProgram) => [...orderFaults(name, one, kernels), ...flowFaults(name, one, kernels, tensors)];
      const { few } = program;
      if (few === undefined) return launched(program);
      const fewer = { ...program, launches: few.launches };
      return [...shapeFaults(plan, 'what is for few rows', [few.extent]), ...launched(program), ...launched(fewer)];
    }),
  ];
}

function shapeFaults(plan: Plan, what: string, factors: readonly Extent[]): readonly string[] {
  return factors.flatMap((factor) => {
    if (typeof factor === 'string') {
      return plan.extents[factor] === undefined ? [`${what} has an extent ${factor}, which there is not`] : [];
    }
    return Number.isInteger(factor) && factor > 0 ? [] : [`${what} has an extent of ${factor}`];
  });
}

/** All that programs take is somebody's, and users get what programs give. */
function nameFaults({ names, programs }: Plan): readonly string[] {
  if (names === undefined) return [];
  const given = programs.forward?.gives ?? [];
  const unmade = names.checks.filter(({ tensor }) => !given.includes(tensor))
    .map(({ tensor }) => `forward does not give ${tensor}, which is checked`);
  return [...unmade, ...Object.entries(programs).flatMap(([program, { takes, gives }]) => [
    ...takes.flatMap((name) => (names.given[name] === undefined ? [`${program} takes ${name}, which is nobody's`] : [])),
    ...Object.entries(names.results[program] ?? {}).flatMap(([result, { tensors }]) => (
      tensors.flatMap((name) => (gives.includes(name) ? [] : [`${program} does not give ${name}, which is of ${result}`]))
    )),
  ])];
}

function kernelFaults(plan: Plan, kernel: PlanKernel, tensors: ReadonlyMap<string, PlanTensor>): readonly string[] {
  const { name, grid, block, sharedBytes, args, flops, bytes, singles } = kernel;
  const strangers = args.flatMap(namesIn).filter((tensor) => !tensors.has(tensor));
  const outside = args.flatMap((arg) => (arg.kind === 'arena' ? arg.tensors.filter((tensor) => !plan.arena.includes(tensor)) : []));
  const given = args.flatMap((arg) => (
    arg.kind === 'tensor' && arg.access !== 'read' && GIVEN.has(tensors.get(arg.tensor)?.role ?? 'workspace') ? [arg.tensor] : []
  ));
  return [
    ...grid.flatMap((dimension) => [
      ...(dimension.length === 0 ? [`${name} has an empty grid`] : []), ...shapeFaults(plan, name, dimension),
    ]),
    ...(Number.isInteger(block) && block > 0 && block <= 1024 ? [] : [`${name} has blocks of ${block} threads`]),
    ...(Number.isInteger(sharedBytes) && sharedBytes >= 0 ? [] : [`${name} has ${sharedBytes} bytes of shared memory`]),
    ...[...flops, ...bytes, ...singles].flatMap((term) => shapeFaults(plan, name, term)),
    ...args.flatMap((arg) => argFaults(plan, name, arg)),
    ...strangers.map((tensor) => `${name} takes ${tensor}, which there is not`),
    ...outside.map((tensor) => `${name} takes ${tensor}, which is not in the arena`),
    ...given.map((tensor) => `${name} writes ${tensor}, which the user gives`),
  ];
}

function namesIn(arg: PlanArg): readonly string[] {
  switch (arg.kind) {
    case 'tensor': case 'tensorMap': case 'strides': return [arg.tensor];
    case 'arena': return arg.tensors;
    case 'dims': case 'table': return [];
  }
}

function argFaults(plan: Plan, kernel: string, arg: PlanArg): readonly string[] {
  switch (arg.kind) {
    case 'dims': return plan.dims[arg.domain] === undefined ? [`${kernel} takes the dims of ${arg.domain}s, which there are not`] : [];
    case 'table': return plan.tables[arg.table] === undefined ? [`${kernel} takes the table ${arg.table}, which there is not`] : [];
    case 'tensor': case 'tensorMap': case 'strides': case 'arena': return [];
  }
}

/** Tensors that a kernel reads without writing them, and those that it writes. Of the arena it may do either with what it names. */
function touched(kernel: PlanKernel): Readonly<Record<'reads' | 'writes' | 'either', readonly string[]>> {
  const of = (wanted: (arg: PlanArg) => boolean) => kernel.args.filter(wanted).flatMap(namesIn);
  return {
    reads: of((arg) => (arg.kind === 'tensorMap' && arg.access !== 'write') || (arg.kind === 'tensor' && arg.access === 'read')),
    writes: of((arg) => (arg.kind === 'tensor' && arg.access !== 'read') || (arg.kind === 'tensorMap' && arg.access === 'write')),
    either: of((arg) => arg.kind === 'arena'),
  };
}

/** Launches that touch what another one writes run after it, in its queue or by waiting. */
function orderFaults(program: string, { launches }: PlanProgram, kernels: ReadonlyMap<string, PlanKernel>): readonly string[] {
  const faults: string[] = [];
  /** By launch: all that have surely finished before it. */
  const before: ReadonlySet<number>[] = [];
  const last: (number | undefined)[] = [undefined, undefined];
  const readers = new Map<string, number[]>();
  const writers = new Map<string, number[]>();
  launches.forEach((launch, at) => {
    const kernel = kernels.get(launch.kernel);
    const direct = [last[launch.queue], ...launch.waits].filter((index) => index !== undefined);
    if (direct.some((index) => index >= at || index < 0)) {
      faults.push(`${program} waits in ${launch.kernel} for a launch that is not before it`);
    }
    const done = new Set(direct.filter((index) => index < at).flatMap((index) => [index, ...(before[index] ?? [])]));
    before.push(done);
    last[launch.queue] = at;
    if (kernel === undefined) {
      faults.push(`${program} launches ${launch.kernel}, which is no kernel`);
      return;
    }
    const { reads, writes, either } = touched(kernel);
    const mayWrite = [...writes, ...either];
    for (const name of [...reads, ...mayWrite]) {
      const rivals = [...(writers.get(name) ?? []), ...(mayWrite.includes(name) ? readers.get(name) ?? [] : [])];
      const open = rivals.find((index) => !done.has(index));
      if (open === undefined) continue;
      faults.push(`${program} may run ${launch.kernel} beside ${launches[open].kernel}, though both touch ${name}`);
    }
    for (const name of reads) readers.set(name, [...(readers.get(name) ?? []), at]);
    for (const name of mayWrite) writers.set(name, [...(writers.get(name) ?? []), at]);
  });
  return faults;
}

/** What is read was given or written before; all results are written. */
function flowFaults(
  program: string, { takes, gives, launches }: PlanProgram, kernels: ReadonlyMap<string, PlanKernel>,
  tensors: ReadonlyMap<string, PlanTensor>,
): readonly string[] {
  if (launches.length === 0) return [];
  const faults = [...takes, ...gives].flatMap((name) => (tensors.has(name) ? [] : [`${program} names ${name}, which there is not`]));
  const written = new Set(takes);
  for (const launch of launches) {
    const kernel = kernels.get(launch.kernel);
    if (kernel === undefined) continue;
    const { reads, writes, either } = touched(kernel);
    const early = reads.filter((name) => !written.has(name));
    faults.push(...early.map((name) => `${program} launches ${launch.kernel}, which reads ${name} before any kernel has written it`));
    [...writes, ...either].forEach((name) => written.add(name));
  }
  return [...faults, ...gives.flatMap((name) => (written.has(name) ? [] : [`${program} does not write ${name}`]))];
}
