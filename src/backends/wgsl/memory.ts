import type { TileId } from '../../ir/tile/tile.js';
import { operandsIn, rootReads, readsOf, type Action, type ActionPlan } from './actions.js';
import type { Structure } from './structure.js';

/** Floats from `offset` in workgroup memory (`near`) or in the workgroup's part of the scratch (`far`). */
export interface Slot {
  readonly space: 'near' | 'far';
  readonly offset: number;
  readonly size: number;
}

export interface Memory {
  readonly slots: ReadonlyMap<TileId, Slot>;
  /** Floats. */
  readonly near: number;
  readonly far: number;
}

interface Life {
  start: number;
  end: number;
}

/**
 * Places by first fit over live times, the smallest tiles first: they are read most often per float. Before them what cannot be worked out
 * again.
 */
export function placeTiles(s: Structure, plan: ActionPlan, limit: number, again: (tile: TileId) => boolean): Memory {
  const lives = livesOf(s, plan);
  const placed: (Life & { offset: number; size: number })[] = [];
  const slots = new Map<TileId, Slot>();
  let near = 0;
  let far = 0;
  const sizeOf = (tile: TileId) => Math.ceil(s.elements(s.axes(tile)) / 4) * 4;
  for (const [tile, life] of [...lives].sort(
    ([a], [b]) => Number(again(a)) - Number(again(b)) || sizeOf(a) - sizeOf(b) || a - b
  )) {
    const size = sizeOf(tile);
    const offset = firstFit(placed.filter((other) => other.start <= life.end && life.start <= other.end), size);
    if (offset + size <= limit) {
      placed.push({ ...life, offset, size });
      near = Math.max(near, offset + size);
      slots.set(tile, { space: 'near', offset, size });
    } else {
      slots.set(tile, { space: 'far', offset: far, size });
      far += size;
    }
  }
  return { slots, near, far };
}

function firstFit(rivals: readonly { readonly offset: number; readonly size: number }[], size: number): number {
  let offset = 0;
  for (const rival of [...rivals].sort((a, b) => a.offset - b.offset)) {
    if (offset + size <= rival.offset) break;
    offset = Math.max(offset, rival.offset + rival.size);
  }
  return offset;
}

/** First and last action that touches each tile in memory; one touched in a loop but older than it lives to the loop's end. */
function livesOf(s: Structure, plan: ActionPlan): ReadonlyMap<TileId, Life> {
  const lives = new Map<TileId, Life>();
  const loops: { readonly start: number; readonly touched: Set<TileId> }[] = [];
  let now = 0;
  const touch = (tile: TileId) => {
    if (plan.homes.get(tile) !== 'array') return;
    const life = lives.get(tile) ?? { start: now, end: now };
    life.end = now;
    lives.set(tile, life);
    for (const loop of loops) if (life.start <= loop.start) loop.touched.add(tile);
  };
  const visit = (actions: readonly Action[]): void => {
    for (const action of actions) {
      now++;
      if (action.kind === 'loop') {
        const loop = { start: now, touched: new Set<TileId>() };
        loops.push(loop);
        visit(action.body);
        now++;
        loops.pop();
        for (const tile of loop.touched) touch(tile);
      } else {
        for (const tile of touchedBy(s, plan, action)) touch(tile);
      }
    }
  };
  visit(plan.actions);
  return lives;
}

export function touchedBy(s: Structure, plan: ActionPlan, action: Exclude<Action, { kind: 'loop' }>): readonly TileId[] {
  return [...readBy(s, plan, action), ...writtenBy(action)];
}

export function readBy(s: Structure, plan: ActionPlan, action: Exclude<Action, { kind: 'loop' }>): readonly TileId[] {
  switch (action.kind) {
    case 'group': return action.roots.flatMap((root) => rootReads(s, plan.homes, root).map((read) => read.tile));
    case 'scan': return readsOf(s, plan.homes, action.tile, true).map((read) => read.tile);
    case 'panels': return operandsIn(action).flatMap((arg) => readsOf(s, plan.homes, arg, false).map((read) => read.tile));
    case 'scalar': return readsOf(s, plan.homes, action.tile, true).map((read) => read.tile);
    case 'carryScalars': return action.pairs.flatMap(({ from }) => readsOf(s, plan.homes, from, false).map((read) => read.tile));
  }
}

export function writtenBy(action: Exclude<Action, { kind: 'loop' }>): readonly TileId[] {
  switch (action.kind) {
    case 'group': return action.roots.flatMap((root) => (root.kind === 'store' ? [] : [root.tile]));
    case 'scan': return [action.tile];
    case 'scalar': case 'carryScalars': case 'panels': return [];
  }
}
