import type { TileId } from '../../ir/tile/tile.js';
import { loadsOf, operandsIn, rootLoads, type Action, type ActionPlan } from './actions.js';
import { readBy, writtenBy, type Memory } from './memory.js';
import type { Structure } from './structure.js';
import type { Code } from './text.js';

/** A range of workgroup memory or scratch, or a buffer that the kernel both reads and writes. */
interface Region {
  readonly space: string;
  readonly start: number;
  readonly end: number;
}

export interface Barriers {
  /** Writes the barriers an action needs before it, and notes what the action touches. */
  before(action: Exclude<Action, { kind: 'loop' }>): void;
  /** Waits for everything: at the ends of loop bodies, so that what holds at the first iteration holds at all. */
  all(): void;
}

/** Keeps what was touched since the last barrier; all invocations see an action's writes once a barrier follows it. */
export function createBarriers(s: Structure, plan: ActionPlan, memory: Memory, code: Code): Barriers {
  const touched: Record<'near' | 'far', { reads: Region[]; writes: Region[] }> = {
    near: { reads: [], writes: [] }, far: { reads: [], writes: [] },
  };
  const wait = (kind: 'near' | 'far') => {
    code.line(kind === 'near' ? 'workgroupBarrier();' : 'storageBarrier();');
    touched[kind] = { reads: [], writes: [] };
  };
  const region = (tile: TileId): Region[] => {
    const slot = memory.slots.get(tile);
    return slot === undefined ? [] : [{ space: slot.space, start: slot.offset, end: slot.offset + slot.size }];
  };
  const whole = (buffer: string): Region => ({ space: `buffer ${buffer}`, start: 0, end: 1 });
  return {
    before(action) {
      const reads = [
        ...readBy(s, plan, action).flatMap(region), ...loadedBy(s, plan, action).filter((buffer) => s.stored.has(buffer)).map(whole)
      ];
      const writes = [...writtenBy(action).flatMap(region), ...storedBy(action).map(whole)];
      for (const kind of ['near', 'far'] as const) {
        const mine = (list: readonly Region[]) => list.filter((item) => (item.space === 'near') === (kind === 'near'));
        const old = touched[kind];
        if (meet(mine(reads), old.writes) || meet(mine(writes), old.reads) || meet(mine(writes), old.writes)) wait(kind);
        touched[kind].reads.push(...mine(reads));
        touched[kind].writes.push(...mine(writes));
      }
    },
    all() {
      for (const kind of ['near', 'far'] as const) if (touched[kind].reads.length + touched[kind].writes.length > 0) wait(kind);
    },
  };
}

function meet(a: readonly Region[], b: readonly Region[]): boolean {
  return a.some((one) => b.some((other) => one.space === other.space && one.start < other.end && other.start < one.end));
}

function loadedBy(s: Structure, plan: ActionPlan, action: Exclude<Action, { kind: 'loop' }>): readonly string[] {
  switch (action.kind) {
    case 'group': return action.roots.flatMap((root) => rootLoads(s, plan.homes, root));
    case 'scan': case 'scalar': return loadsOf(s, plan.homes, action.tile, true);
    case 'panels': return operandsIn(action).flatMap((arg) => loadsOf(s, plan.homes, arg, false));
    case 'carryScalars': return action.pairs.flatMap(({ from }) => loadsOf(s, plan.homes, from, false));
  }
}

function storedBy(action: Exclude<Action, { kind: 'loop' }>): readonly string[] {
  return action.kind === 'group' ? action.roots.flatMap((root) => (root.kind === 'store' ? [root.buffer] : [])) : [];
}
