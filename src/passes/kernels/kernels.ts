import type { Axis as Name } from '../../ir/common/axes.js';
import { SEQUENCE, type DomainId, type Flow, type FlowValue, type ValueId } from '../../ir/flow/flow.js';
import { operandsOf, resultsOf } from '../../ir/flow/operands.js';
import { elements } from '../../ir/graph/typing.js';
import { loadedBuffers, storedBuffers } from '../../ir/tile/buffers.js';
import type { TileKernel, TileModule, TileProgram } from '../../ir/tile/tile.js';
import { verifyTiles } from '../../ir/tile/verify.js';
import { verified } from '../../support/verified.js';
import type { Clusters, Kernel } from '../cluster/kernel.js';
import type { Refusal } from '../flow/scope.js';
import { launchesOf } from './launch.js';
import { HALVES, boundAxis, memoriesOf, seatAxis, tileDomain, wordAxis, type Binding, type Memory } from './memory.js';
import { chunksAtOnce } from './at-once.js';
import { countLaunches } from './counts.js';
import { rowsJoined } from './joined.js';
import { withNarrowOperands } from './operands.js';
import { withoutCopies } from './same-stores.js';
import { inStages } from './stages.js';
import { tableLaunches } from './tables.js';

export type { Binding, Held } from './memory.js';

/** Kernels of a flow over its tokens and slots, and what their buffers hold. Programs take inputs, params, and what forward has kept. */
export interface Lowered {
  readonly module: TileModule;
  /** Does it say what the flow says on one rank only? Sums and choices over ranks have those of this one. */
  readonly alone: boolean;
  readonly bindings: readonly Binding[];
}

export interface Unmade extends Refusal {
  readonly program: 'forward' | 'backward';
  /** Number of the kernel in its program. */
  readonly kernel: number;
}

/** Kernels of tiles for those of a flow, or why some have none. */
export function kernelsOf(flow: Flow, { forward, backward }: Clusters, chunk: number): Lowered | { readonly refusals: readonly Unmade[] } {
  const memories = memoriesOf(flow, forward, backward);
  const refusals: Unmade[] = [];
  const program = (name: Unmade['program'], kernels: readonly Kernel[]): readonly TileKernel[] => {
    const listed = new Set<DomainId>();
    const launches = kernels.flatMap((kernel, n) => {
      const made = kernel.form === 'tables'
        ? tableLaunches(flow, memories[name], kernel, `${name}${n}`, listed.has(kernel.rows))
        : launchesOf(flow, memories[name], kernel, `${name}${n}`);
      if (kernel.form === 'tables') listed.add(kernel.rows);
      refusals.push(...made.refusals.map((one) => ({ ...one, program: name, kernel: n })));
      return made.kernels;
    });
    return [...countLaunches(memories[name], launches, name), ...launches];
  };
  const [there, back] = [program('forward', forward), program('backward', backward)];
  if (refusals.length > 0) return { refusals };
  const memory = memories.forward;
  const bindings = [...memory.bindings.values()];
  const domains = flow.domains.flatMap((domain, id) => (domain.kind === 'slot' || id === SEQUENCE ? [tileDomain(flow, id)] : []));
  const module = chunksAtOnce(inStages(withNarrowOperands(rowsJoined(withoutCopies({
    name: flow.name, chunk, sizes: sizesOf(flow), domains, buffers: bindings.map(({ buffer }) => buffer),
    kernels: [...new Map([...there, ...back].map((kernel) => [kernel.name, kernel])).values()],
    programs: {
      forward: programOf(there, memory, [...resultsOf(flow), ...flow.backward?.kept ?? []]),
      backward: programOf(back, memory, (flow.backward?.gradients ?? []).map(({ value }) => value)),
    },
  })))));
  return { alone: flow.values.some(overRanks), module: verified(`the kernels of ${flow.name}`, module, verifyTiles(module)), bindings };
}

function overRanks(value: FlowValue): boolean {
  return 'along' in value ? value.along.ranks : value.kind === 'count' && value.of === 'ranks';
}

/** It takes what its kernels read and none of them has written. */
function programOf(kernels: readonly TileKernel[], { bindings }: Memory, results: readonly ValueId[]): TileProgram {
  const [takes, written] = [new Set<string>(), new Set<string>()];
  for (const { body } of kernels) {
    for (const name of loadedBuffers(body)) if (!written.has(name)) takes.add(name);
    for (const name of storedBuffers(body)) written.add(name);
  }
  const wanted = new Set(results);
  const gives = [...bindings.values()].flatMap(({ buffer: { name }, held }) => (
    held.kind === 'value' && wanted.has(held.value) && written.has(name) ? [name] : []
  ));
  return { takes: [...takes], gives, launches: kernels.map(({ name }) => name) };
}

function sizesOf(flow: Flow): ReadonlyMap<Name, number> {
  const sizes = new Map<Name, number>();
  for (const value of flow.values) {
    const folded = 'along' in value ? value.along.axes : [];
    for (const { name, size } of [...value.type.axes, ...folded, ...operandsOf(value).flatMap((id) => flow.values[id].type.axes)]) {
      sizes.set(wordAxis(name), size);
    }
  }
  flow.domains.forEach((domain, id) => {
    if (domain.kind !== 'slot') return;
    sizes.set(seatAxis(id), domain.perToken);
    sizes.set(boundAxis(id), elements(domain.groups) + 1);
    for (const { name, size } of domain.groups) sizes.set(wordAxis(name), size);
  });
  sizes.set(HALVES, 4);
  return sizes;
}
