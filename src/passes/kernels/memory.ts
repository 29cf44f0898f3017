import { runsOf, type Axis as Name } from '../../ir/common/axes.js';
import type { BufferDtype } from '../../ir/common/dtype.js';
import { ONCE, SEQUENCE, TOKEN, type DomainId, type Flow, type FlowType, type ValueId } from '../../ir/flow/flow.js';
import { operandsOf } from '../../ir/flow/operands.js';
import { groupsOf } from '../../ir/flow/typing.js';
import type { Axis } from '../../ir/graph/types.js';
import { elements, includes, without } from '../../ir/graph/typing.js';
import type { Cells, Domain } from '../../ir/tile/domain.js';
import type { BufferRole, TileBuffer } from '../../ir/tile/tile.js';
import type { Kernel } from '../cluster/kernel.js';
import { TOKENS } from '../chunk/programs.js';

/** What a buffer holds. Two buffers of one value are one piece of memory; tables are workspaces. */
export type Held =
  | { readonly kind: 'value'; readonly value: ValueId }
  | { readonly kind: 'table'; readonly table: Table; readonly domain: DomainId }
  /** Counts the elements of these axes row by row, from 0. */
  | { readonly kind: 'index'; readonly axes: readonly Axis[] }
  /** On the way to a value. */
  | { readonly kind: 'step'; readonly value: ValueId; readonly step: Step }
  | { readonly kind: 'number'; readonly number: RowNumber }
  /** Key of the draws of a place, which depends on the seed and on the step: its two words in halves, the lower ones first. */
  | { readonly kind: 'key'; readonly path: string; readonly number: number };

/**
 * Of what goes to slots: what a token has for them. Of a choice among rows: scores as they are put in order, the least that is chosen of
 * each column, and the last row of its equals. Of a plan: exponentials, what the segments of a round add to its sums, the factors of
 * columns before the last round and after it, how much these differ, and how many rows there are.
 */
export type Step = 'seats' | 'order' | 'least' | 'last' | 'cost' | 'sums' | 'before' | 'after' | 'change' | 'rows';

/** Numbers of tokens: among those of the call or of their sequence, and what draws know them by, which the host says. */
export type RowNumber = 'tokens' | 'time' | 'position' | 'sequence';

export type Table =
  /** Of every slot: its token. */
  | 'token'
  /** Of every token: its slots, in their order; -1 for none. */
  | 'slots'
  /** Of every token: the groups of its slots, in their order, as they count from 1; 0 for none. */
  | 'seats'
  /** Of every segment of tokens and every group: the slots in it, and those in segments before. */
  | 'counts' | 'before'
  /** Of every group: its first slot. */
  | 'starts'
  /** The same, and behind the last one how many there are: as tables of the domain are made from (ir/tile/domain.ts). */
  | 'offsets';

export interface Binding {
  readonly buffer: TileBuffer;
  readonly held: Held;
}

/** The buffers of a program, made when somebody asks for them. */
export interface Memory {
  readonly flow: Flow;
  /** By what they are of. */
  readonly bindings: Map<string, Binding>;
  /** Of values that come into its program or are left by it. */
  readonly roles: ReadonlyMap<ValueId, { readonly name: string; readonly role: BufferRole; readonly axes: readonly Axis[] }>;
  /** Values of groups that lie group by group. */
  readonly byGroup: ReadonlyMap<ValueId, DomainId>;
  /** Sums over columns that are stored as one for each block of so many; whoever reads them adds these up. */
  readonly partial: ReadonlyMap<ValueId, Axis>;
}

/** Axes of a flow by names that back ends can write: those of calls have dots, those without a name percent signs. */
export const names = (axes: readonly Axis[]): readonly Name[] => axes.map(({ name }) => wordAxis(name));

/** Columns of a block whose sums stand for themselves. */
export const BLOCK = 64;

export const wordAxis = (name: string): Name => name.replaceAll('.', '__').replaceAll('%', 'own__');

/** Halves of the two words of a key, as an axis. */
export const HALVES: Name = 'half__';

/** Slots of a token, as an axis. */
export const seatAxis = (domain: DomainId): Name => `seat__${domain - 2}`;

/** Groups of slots, and one more. */
export const boundAxis = (domain: DomainId): Name => `bound__${domain - 2}`;

export const groupsIn = ({ domains }: Flow, domain: DomainId): readonly Axis[] => groupsOf(domains[domain]);

/** The domain of a kernel over rows of a domain of the flow. */
export function tileDomain({ domains }: Flow, id: DomainId): Domain {
  const domain = domains[id];
  if (domain.kind !== 'slot') return TOKENS;
  const n = id - 2;
  const made = { offsets: offsetsName(id), runs: elements(domain.groups), of: TOKENS.row, perRow: domain.perToken };
  return { row: `slot${n}`, chunk: `tile${n}`, segment: `span${n}`, run: `group${n}`, made };
}

const offsetsName = (domain: DomainId): string => `offsets_of_slot${domain - 2}`;

function cellsOf({ flow }: Memory, domain: DomainId): Cells {
  if (domain === ONCE) return { outer: 'once' };
  return { outer: domain === SEQUENCE ? 'run' : 'row', domain: tileDomain(flow, domain) };
}

/** The buffer of a value, [rows, ...axes]. */
export function bufferOf(memory: Memory, id: ValueId): TileBuffer {
  const { axes, domain } = memory.flow.values[id].type;
  const group = memory.byGroup.get(id);
  return group === undefined ? made(memory, id, '', cellsOf(memory, domain), axes) : groupBuffer(memory, id, group);
}

/** The same memory, group by group, if it lies so. */
export function groupBuffer(memory: Memory, id: ValueId, domain: DomainId): TileBuffer {
  const { axes } = memory.flow.values[id].type;
  const whole = memory.byGroup.has(id) ? '' : ` by ${tileDomain(memory.flow, domain).run}`;
  return made(
    memory, id, whole, { outer: 'run', domain: tileDomain(memory.flow, domain) }, without(axes, groupsOf(memory.flow.domains[domain])),
  );
}

function made(memory: Memory, id: ValueId, view: string, cells: Cells, axes: readonly Axis[]): TileBuffer {
  const known = memory.roles.get(id);
  // Results lie as files hold them.
  const kept = known?.axes.filter((axis) => includes(axes, axis)) ?? [];
  const order = kept.length === axes.length ? kept : axes;
  const { kind } = memory.flow.values[id];
  const role = known?.role ?? (kind === 'input' || kind === 'param' ? kind : 'workspace');
  const held: Held = { kind: 'value', value: id };
  const summed = memory.partial.get(id);
  const runs = summed === undefined ? [] : [runsOf(wordAxis(summed.name), BLOCK)];
  const dtype = dtypeOf(memory, id, axes);
  // Forward and backward may both make it, one of them in blocks.
  const blocks = summed === undefined ? '' : ' in blocks';
  return bound(memory, `${known?.name ?? ownName(memory.flow, id)}${view}${blocks}`, cells, [...names(order), ...runs], role, dtype, held);
}

/** What a choice is as numbers is one as well, but where users see it. */
function dtypeOf({ flow, roles }: Memory, id: ValueId, axes: readonly Axis[]): BufferDtype {
  const { kind, type } = flow.values[id];
  return bitsOf(flow, { ...type, ...(kind === 'mask' && !roles.has(id) && { kind: 'choice' }), axes }, kind === 'param');
}

/**
 * Rows and matrices have few bits, where devices do, and so have choices of rows, which are 0 or 1; numbers, scores of groups, numbers
 * beside indices and what is one of a call have all.
 */
export function bitsOf(flow: Flow, { domain, kind, axes }: Pick<FlowType, 'domain' | 'kind' | 'axes'>, isParam: boolean): 'io' | 'f32' {
  if (kind === 'index' || axes.length === 0 || domain === SEQUENCE) return 'f32';
  if (domain === ONCE) return kind === 'number' && isParam && axes.length > 1 ? 'io' : 'f32';
  const numbered = [...flow.domains.flatMap(groupsOf), ...flow.inputs.flatMap((input) => (input.of === undefined ? [] : input.axes))];
  return kind === 'number' && axes.some((axis) => includes(numbered, axis)) ? 'f32' : 'io';
}

function ownName(flow: Flow, id: ValueId): string {
  const value = flow.values[id];
  if (value.kind === 'input') return flow.inputs[value.input].name;
  if (value.kind === 'param') return flow.params[value.param].path;
  return value.kind === 'count' ? `count of ${value.of}` : `%${id}`;
}

export function tableBuffer(memory: Memory, table: Table, domain: DomainId): TileBuffer {
  const groups = names(groupsOf(memory.flow.domains[domain]));
  const name = `${table} of ${tileDomain(memory.flow, domain).row}`;
  const listed = (cells: Cells, axes: readonly Name[], dtype: BufferDtype): TileBuffer => (
    bound(memory, name, cells, axes, 'workspace', dtype, held)
  );
  const held: Held = { kind: 'table', table, domain };
  switch (table) {
    case 'token': return listed(cellsOf(memory, domain), [], 'i32');
    case 'slots': case 'seats': return listed(cellsOf(memory, TOKEN), [seatAxis(domain)], 'i32');
    case 'counts': case 'before': return listed({ outer: 'segment', domain: TOKENS }, groups, 'f32');
    case 'starts': return listed({ outer: 'once' }, groups, 'f32');
    case 'offsets': return listed({ outer: 'once' }, [boundAxis(domain)], 'i32');
  }
}

/** What a token has for its slots, in their order: on the way to these. */
export function seatBuffer(memory: Memory, value: ValueId, domain: DomainId): TileBuffer {
  const axes = [seatAxis(domain), ...names(memory.flow.values[value].type.axes)];
  return bound(memory, `seats of %${value}`, cellsOf(memory, TOKEN), axes, 'workspace', 'f32', { kind: 'step', value, step: 'seats' });
}

export function indexBuffer(memory: Memory, axes: readonly Axis[]): TileBuffer {
  return bound(memory, `index of ${names(axes).join()}`, { outer: 'once' }, names(axes), 'workspace', 'f32', { kind: 'index', axes });
}

export function numberBuffer(memory: Memory, number: RowNumber): TileBuffer {
  const role = number === 'position' || number === 'sequence' ? 'input' : 'workspace';
  return bound(memory, `${number} of tokens`, cellsOf(memory, TOKEN), [], role, 'f32', { kind: 'number', number });
}

/** `segments`: one for each segment of the domain. */
export function stepBuffer(
  memory: Memory, value: ValueId, step: Step, domain: DomainId, axes: readonly Axis[], segments = false,
): TileBuffer {
  const cells: Cells = segments ? { outer: 'segment', domain: tileDomain(memory.flow, domain) } : cellsOf(memory, domain);
  return bound(memory, `${step} of %${value}`, cells, names(axes), 'workspace', 'f32', { kind: 'step', value, step });
}

export function keyBuffer(memory: Memory, path: string, number: number): TileBuffer {
  return bound(memory, `key ${path} ${number}`, { outer: 'once' }, [HALVES], 'input', 'f32', { kind: 'key', path, number });
}

function bound(
  { bindings }: Memory, name: string, cells: Cells, axes: readonly Name[], role: BufferRole, dtype: BufferDtype, held: Held,
): TileBuffer {
  const known = bindings.get(name);
  if (known !== undefined) return known.buffer;
  const buffer: TileBuffer = { name: wordOf(bindings, name), ...cells, inner: 'once', axes, dtype, role };
  bindings.set(name, { buffer, held });
  return buffer;
}

/** A name that every back end can write, and no other buffer has. */
function wordOf(bindings: Memory['bindings'], name: string): string {
  const word = name.replace(/^%(?=\d)/, 'value').replace(/%/g, '_').replace(/\W/g, '_');
  const taken = new Set([...bindings.values()].map(({ buffer }) => buffer.name));
  let free = word;
  while (taken.has(free)) free += '_';
  return free;
}

type Roles = Map<ValueId, { name: string; role: BufferRole; axes: readonly Axis[] }>;

/** What forward leaves, and what backward takes and leaves: names and roles of what crosses the border of a program. */
export function memoriesOf(
  flow: Flow, forward: readonly Kernel[], backward: readonly Kernel[],
): { readonly forward: Memory; readonly backward: Memory } {
  const [results, gradients]: [Roles, Roles] = [new Map(), new Map()];
  const name = (roles: Roles, value: ValueId, text: string, role: BufferRole, axes: readonly Axis[]): void => {
    if (!roles.has(value) && !['input', 'param'].includes(flow.values[value].kind)) roles.set(value, { name: text, role, axes });
  };
  const kept = flow.backward?.kept ?? [];
  for (const one of flow.outputs) name(results, one.value, one.name, 'output', one.axes);
  for (const one of flow.losses) name(results, one.value, `loss ${one.name} %${one.value}`, 'output', one.axes);
  for (const one of flow.counts) name(results, one.value, `count ${one.name} %${one.value}`, 'output', one.axes);
  for (const one of flow.checks) name(results, one.value, `check %${one.value}`, 'output', one.axes);
  for (const one of flow.update.takes) name(results, one.value, `take ${one.name} %${one.value}`, 'output', one.axes);
  for (const id of kept) name(results, id, `%${id}`, 'output', flow.values[id].type.axes);
  // What forward left is given: another buffer, of the same memory.
  for (const id of kept) name(gradients, id, `kept %${id}`, 'input', flow.values[id].type.axes);
  for (const one of flow.backward?.gradients ?? []) name(gradients, one.value, one.name, 'gradient', one.axes);
  const bindings = new Map<string, Binding>();
  const byGroup = byGroupIn(flow, [...forward, ...backward]);
  const of = (
    kernels: readonly Kernel[], roles: Roles,
  ): Memory => ({ flow, bindings, byGroup, roles, partial: partialIn(flow, kernels, roles) });
  const memory = of(forward, results);
  // Domains name them: nobody may have their names.
  flow.domains.forEach(({ kind }, id) => {
    if (kind === 'slot') tableBuffer(memory, 'offsets', id);
  });
  return { forward: memory, backward: of(backward, gradients) };
}

/** Sums over the columns of products that nobody reads in their kernel: they do not keep it from being divided along these. */
function partialIn({ values }: Flow, kernels: readonly Kernel[], roles: Roles): ReadonlyMap<ValueId, Axis> {
  const partial = new Map<ValueId, Axis>();
  for (const { form, values: own, stores } of kernels) {
    if (form !== 'product') continue;
    const sums = stores.flatMap((id): readonly (readonly [ValueId, Axis])[] => {
      const value = values[id];
      if (value.kind !== 'fold' || value.op !== 'sum' || value.along.to !== value.type.domain || value.along.axes.length !== 1) return [];
      const read = roles.has(id) || value.type.where.length > 0 || own.some((one) => operandsOf(values[one]).includes(id));
      const [axis] = value.along.axes;
      return read || axis.size % BLOCK !== 0 || !includes(values[value.arg].type.axes, axis) ? [] : [[id, axis]];
    });
    const rest = stores.filter((id) => sums.every(([sum]) => sum !== id));
    for (const [id, axis] of sums) if (rest.length > 0 && rest.every((one) => includes(values[one].type.axes, axis))) partial.set(id, axis);
  }
  return partial;
}

/** Do groups come first, in their order? Then what they have lies group by group. */
export function inFront(groups: readonly Axis[], axes: readonly Axis[]): boolean {
  return groups.every(({ name }, i) => axes[i]?.name === name);
}

/** Values of groups that nobody reads but the host lie group by group: each is made by the kernel of its group. */
function byGroupIn(flow: Flow, kernels: readonly Kernel[]): ReadonlyMap<ValueId, DomainId> {
  const loaded = new Set(kernels.flatMap(({ loads }) => loads));
  // As files hold it, a result may have them behind other axes.
  const results = new Map((flow.backward?.gradients ?? []).map(({ value, axes }) => [value, axes]));
  const byGroup = new Map<ValueId, DomainId>();
  for (const kernel of kernels) {
    const { stores, rows } = kernel;
    const groups = groupsOf(flow.domains[rows]);
    for (const id of stores) {
      const { axes, domain } = flow.values[id].type;
      const own = without(axes, groups);
      const whole = own.length > 0 && own.length + groups.length === axes.length;
      const lies = whole && inFront(groups, results.get(id) ?? groups);
      if (domain === ONCE && groups.length > 0 && lies && !loaded.has(id) && ofOwnRows(flow, kernel, id)) byGroup.set(id, rows);
    }
  }
  return byGroup;
}

/** Is a value made of sums over the rows of a kernel, and of nothing that has their groups besides? Each group has all of it then. */
function ofOwnRows(flow: Flow, { loads, rows }: Kernel, id: ValueId): boolean {
  const groups = groupsOf(flow.domains[rows]);
  const seen = new Set<ValueId>();
  const made = (at: ValueId): boolean => {
    if (seen.has(at)) return true;
    seen.add(at);
    const value = flow.values[at];
    const reads = operandsOf(value);
    if (loads.includes(at) || reads.length === 0) return !value.type.axes.some((axis) => includes(groups, axis));
    const from = Math.max(...reads.map((arg) => flow.values[arg].type.domain));
    if ('along' in value && from > ONCE) return from === rows;
    return !('along' in value && value.along.axes.some((axis) => includes(groups, axis))) && reads.every(made);
  };
  return made(id);
}
