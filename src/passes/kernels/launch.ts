import { ROW, runsIn, type Axis as Name } from '../../ir/common/axes.js';
import { ONCE, SEQUENCE, TOKEN, type DomainId, type Flow, type ValueId } from '../../ir/flow/flow.js';
import { operandsOf } from '../../ir/flow/operands.js';
import { groupsOf } from '../../ir/flow/typing.js';
import { includes, sameAxes } from '../../ir/graph/typing.js';
import { buildKernel, type KernelBuilder } from '../../ir/tile/build.js';
import type { TileId, TileKernel, TileOp, TileStmt } from '../../ir/tile/tile.js';
import type { Kernel } from '../cluster/kernel.js';
import type { Refusal } from '../flow/scope.js';
import { choiceKernels, isRowChoice } from './choices.js';
import { at, jointly, present } from './compute.js';
import { frameOn, keyOf, ownView, refuse, selected, type Frame, type Setting } from './frame.js';
import { BLOCK, bufferOf, names, tileDomain, wordAxis, type Memory } from './memory.js';
import { lowered, multiplied, ownGroup, reduced } from './folds.js';
import { planKernels } from './plans.js';

/** What some of the results of a kernel have in common: one launch. */
interface Share {
  readonly stores: ValueId[];
  /** Sums over rows of `from` in it; none: every row, or the one that there is, by itself. */
  readonly sums: readonly ValueId[];
  readonly from: DomainId;
  readonly to: DomainId;
  readonly byGroup: boolean;
}

/** A kernel of the flow as kernels of tiles: one for results of rows, one for sums, one for what there is once. */
export function launchesOf(
  flow: Flow, memory: Memory, kernel: Kernel, name: string,
): { readonly kernels: readonly TileKernel[]; readonly refusals: readonly Refusal[] } {
  const refusals: Refusal[] = [];
  const choices = kernel.stores.filter((id) => isRowChoice(flow, id));
  const plans = kernel.stores.filter((id) => flow.values[id].kind === 'sinkhorn');
  const apart = [...choices, ...plans];
  const shares = sharesOf(flow, memory, { ...kernel, stores: kernel.stores.filter((id) => !apart.includes(id)) });
  const many = shares.length + apart.length > 1;
  const named = (i: number): string => (many ? `${name}_${i}` : name);
  const frameOf = (k: KernelBuilder, domain: DomainId): Frame => frameOn({ memory, flow, kernel, refusals }, k, domain);
  const kernels = [
    ...choices.flatMap((id, i) => choiceKernels(memory, id, named(i), frameOf)),
    ...plans.flatMap((id, i) => planKernels(memory, id, named(choices.length + i), frameOf)),
    ...shares.map((share, i) => written({ flow, memory, kernel, refusals, share }, named(apart.length + i))),
  ];
  return { kernels, refusals };
}

interface Writing extends Setting {
  readonly share: Share;
}

function sharesOf(flow: Flow, memory: Memory, kernel: Kernel): readonly Share[] {
  const shares = new Map<string, Share>();
  for (const id of kernel.stores) {
    const { domain } = flow.values[id].type;
    const sums = sumsBelow(flow, kernel, id);
    const from = Math.max(ONCE, ...sums.map((sum) => fromOf(flow, sum)));
    const byGroup = memory.byGroup.has(id);
    const key = [domain, from, byGroup].join();
    const known = shares.get(key);
    shares.set(key, {
      stores: [...known?.stores ?? [], id], sums: [...new Set([...known?.sums ?? [], ...sums])], from, to: domain, byGroup,
    });
  }
  return [...shares.values()];
}

/** The finer domain from which a value is summed to its own. */
function fromOf({ values }: Flow, id: ValueId): DomainId {
  return Math.max(ONCE, ...operandsOf(values[id]).map((arg) => values[arg].type.domain));
}

/** Sums over rows that have no row of a token to stand on, of which a value is made here. */
function sumsBelow(flow: Flow, kernel: Kernel, id: ValueId, seen = new Set<ValueId>()): readonly ValueId[] {
  if (kernel.loads.includes(id) || seen.has(id)) return [];
  seen.add(id);
  const value = flow.values[id];
  if ('along' in value && value.along.to < TOKEN && fromOf(flow, id) > value.along.to) return [id];
  return operandsOf(value).flatMap((arg) => sumsBelow(flow, kernel, arg, seen));
}

function written(writing: Writing, name: string): TileKernel {
  const { flow, memory, refusals, share } = writing;
  const { from, to, sums, byGroup, stores } = share;
  const looped = sums.length > 0;
  const domain = looped ? from : to;
  const slots = flow.domains[domain].kind === 'slot';
  const outer = looped ? (byGroup || to === SEQUENCE ? 'run' : 'once') : to === ONCE ? 'once' : to === SEQUENCE ? 'run' : 'chunk';
  const doc = looped
    ? `Sums over ${tileDomain(flow, domain)[domain === SEQUENCE ? 'run' : 'row']}s.`
    : `Each ${to === ONCE ? 'number' : tileDomain(flow, to)[to === SEQUENCE ? 'run' : 'row']} by itself.`;
  const made = buildKernel({ name, doc, outer, domain: tileDomain(flow, domain), inner: 'once' }, (k) => {
    const frame = (own: DomainId, grouped: boolean): Frame => frameOn(writing, k, own, grouped && slots ? domain : undefined);
    const last = frame(to, outer !== 'once');
    if (looped) {
      const totals = summed(writing, k, () => frame(from, true));
      sums.forEach((sum, i) => last.known.set(keyOf(to === ONCE ? { kind: 'own', domain: ONCE } : ownView(last), sum), totals[i]));
    }
    for (const id of stores) {
      const buffer = bufferOf(memory, id);
      const tile = memory.partial.has(id) ? blockSums(last, id) : spread(last, id);
      // What stands for a refused value need not fit.
      if (refusals.length === 0) k.store(buffer, tile);
    }
  });
  return { ...made, split: splitOf(flow, made, stores.map((id) => bufferOf(memory, id).axes.map((axis) => runsIn(axis)?.of ?? axis))) };
}

/** A value with 0 where it is absent. */
const shown = (frame: Frame, id: ValueId): TileId => selected(frame, at(frame, id), present(frame, id, ownView(frame)));

/** The same at every element along axes of its buffer that its tile lacks. */
function spread(frame: Frame, id: ValueId): TileId {
  const { k, memory } = frame;
  const tile = shown(frame, id);
  const missing = bufferOf(memory, id).axes.filter((axis) => !k.axesOf(tile).includes(axis));
  return missing.length === 0 ? tile : k.add(tile, k.zeros(missing));
}

/** A sum over columns as one for each block of them. */
function blockSums(frame: Frame, id: ValueId): TileId {
  const value = frame.flow.values[id];
  if (value.kind !== 'fold') return refuse(frame, id, 'what is no sum of columns');
  return frame.k.runs(wordAxis(value.along.axes[0].name), BLOCK, shown(frame, value.arg));
}

/** The longest axis that all results of products have, and that nothing folds or looks along: its blocks are independent. */
function splitOf(flow: Flow, { body, tiles }: TileKernel, stored: readonly (readonly Name[])[]): Name | undefined {
  const ops = opsOf(body);
  if (!ops.some(({ op }) => op === 'contract')) return undefined;
  const bound = new Set(ops.flatMap((op) => (
    op.op === 'reduce' || op.op === 'contract' ? [op.axis] : op.op === 'top' ? op.axes : op.op === 'swap' ? op.axes ?? [] : []
  )));
  const free = stored.reduce((all, axes) => all.filter((axis) => axes.includes(axis))).filter((axis) => !bound.has(axis));
  const sizes = new Map(flow.values.flatMap(({ type }) => type.axes.map(({ name, size }) => [wordAxis(name), size] as const)));
  const [first] = free.filter((axis) => tiles.some(({ axes }) => axes.includes(axis)))
    .sort((a, b) => (sizes.get(b) ?? 0) - (sizes.get(a) ?? 0));
  return first;
}

function opsOf(body: readonly TileStmt[]): readonly TileOp[] {
  return body.flatMap((stmt) => (stmt.kind === 'let' ? [stmt.op] : stmt.kind === 'loop' ? opsOf(stmt.body) : []));
}

/** The loop over chunks, and what its folds are after it. */
function summed({ flow, share }: Writing, k: KernelBuilder, open: () => Frame): readonly TileId[] {
  const starts = share.sums.map((id) => {
    const zeros = k.zeros(names(flow.values[id].type.axes.filter((axis) => (
      !share.byGroup || !includes(groupsOf(flow.domains[share.from]), axis)
    ))));
    return extremeOf(flow, id) === undefined ? [zeros] : [k.add(zeros, k.literal(-Infinity)), zeros];
  });
  const ends = k.loop(share.from === SEQUENCE ? 'runs' : 'chunks', false, starts.flat(), (carried) => {
    const frame = open();
    const rest = [...carried];
    return share.sums.flatMap((id, i) => {
      const own = rest.splice(0, starts[i].length);
      return own.length > 1 ? chunkExtreme(frame, share, id, own) : [k.add(own[0], chunkSum(frame, share, id))];
    });
  });
  const rest = [...ends];
  return share.sums.map((id, i) => {
    const [total, any] = rest.splice(0, starts[i].length);
    // Of nothing it is 0.
    const most = any === undefined ? total : k.map('chain', total, any);
    return extremeOf(flow, id) === 'min' ? k.neg(most) : most;
  });
}

function extremeOf({ values }: Flow, id: ValueId): 'max' | 'min' | undefined {
  const value = values[id];
  return value.kind === 'fold' && (value.op === 'max' || value.op === 'min') ? value.op : undefined;
}

/** Why the rows of a chunk cannot be folded to a value. */
function unfit({ flow, domain }: Frame, { byGroup, to }: Share, id: ValueId): string | undefined {
  const value = flow.values[id];
  if (value.kind !== 'contract' && value.kind !== 'fold') return 'along' in value ? 'a choice among rows' : 'what is no sum';
  if (value.along.to !== to || fromOf(flow, id) !== domain) return 'sums of several domains in one kernel';
  if (byGroup && !sameAxes(value.along.kept, groupsOf(flow.domains[domain]))) return 'sums over groups beside sums of groups';
  if (value.kind === 'contract' || value.op === 'sum') return undefined;
  if (value.op !== 'max' && value.op !== 'min') return `a ${value.op} of rows`;
  return byGroup || value.along.kept.length > 0 ? `a ${value.op} of groups` : undefined;
}

/** The largest so far with those of one chunk, or of one run, and whether there was one; of the least, their negatives. */
function chunkExtreme(frame: Frame, share: Share, id: ValueId, [most, any]: readonly TileId[]): readonly TileId[] {
  const { k, flow, domain } = frame;
  const value = flow.values[id];
  const why = unfit(frame, share, id);
  if (why !== undefined || value.kind !== 'fold') return [refuse(frame, id, why ?? 'what is no sum'), any];
  const there = present(frame, value.arg, ownView(frame)) ?? k.literal(1);
  const real = domain === SEQUENCE ? there : k.keep(there);
  const axes = [...(domain === SEQUENCE ? [] : [ROW]), ...names(value.along.axes)];
  const x = value.op === 'min' ? k.neg(at(frame, value.arg)) : at(frame, value.arg);
  return [
    k.map('max', most, reduced(frame, 'max', lowered(frame, x, real), axes)), k.map('max', any, reduced(frame, 'max', real, axes)),
  ];
}

/** What one chunk adds to a sum, or one run. */
function chunkSum(frame: Frame, share: Share, id: ValueId): TileId {
  const { k, flow, domain } = frame;
  const value = flow.values[id];
  const why = unfit(frame, share, id);
  if (why !== undefined || (value.kind !== 'contract' && value.kind !== 'fold')) return refuse(frame, id, why ?? 'what is no sum');
  const { axes, kept } = value.along;
  const view = ownView(frame);
  const rows = domain === SEQUENCE ? [] : [ROW];
  const real = (x: TileId): TileId => (domain === SEQUENCE ? x : k.keep(x));
  const part = ((): TileId => {
    if (value.kind === 'fold') return reduced(frame, 'sum', real(shown(frame, value.arg)), [...rows, ...names(axes)]);
    const there = jointly(frame, [value.left, value.right], view);
    const [x, y] = [value.left, value.right].map((arg) => real(selected(frame, at(frame, arg), there)));
    return multiplied(frame, x, y, [...rows, ...names(axes)]);
  })();
  return share.byGroup || kept.length === 0 ? part : k.mul(part, ownGroup(frame, domain, kept));
}
