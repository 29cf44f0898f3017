import { COL, ROW, sameAxes, type Axis } from '../../ir/common/axes.js';
import { buffersRead } from '../../ir/tile/buffers.js';
import { hasRole, operandsOf } from '../../ir/tile/facts.js';
import type { TileId, TileLoop, TileStmt, TileStore } from '../../ir/tile/tile.js';
import { homesOf, type Home } from './homes.js';
import type { PanelProduct, Panels } from './panels.js';
import { isFold, isScan, type Fold, type Scan } from './roles.js';
import { cellAxes, type Structure } from './structure.js';

/** What one loop over elements writes: a tile (from its own operation or, at a carry, from another tile) or the cell of a buffer. */
export type Root =
  | { readonly kind: 'define'; readonly tile: TileId }
  | { readonly kind: 'carry'; readonly tile: TileId; readonly from: TileId }
  | TileStore;

/** What a workgroup does between two barriers at most. */
export type Action =
  /** One loop over the elements of `space`; every invocation writes all roots at its elements. */
  | { readonly kind: 'group'; readonly space: readonly Axis[]; readonly roots: readonly Root[] }
  /** A loop over columns, along the token axis in each. */
  | { readonly kind: 'scan'; readonly tile: TileId; readonly op: Scan }
  /** Products over the same steps, whose panels are brought together. */
  | { readonly kind: 'panels'; readonly products: readonly PanelProduct[] }
  /** Computed by every invocation for itself. */
  | { readonly kind: 'scalar'; readonly tile: TileId }
  /** Scalars carried by a loop: all old values are read before the first is replaced. */
  | { readonly kind: 'carryScalars'; readonly first: boolean; readonly pairs: readonly { readonly tile: TileId; readonly from: TileId }[] }
  | { readonly kind: 'loop'; readonly loop: TileLoop; readonly body: readonly Action[] };

/** A tile in memory as an expression reads it. `same`: at the indices of the loop itself. */
export interface MemoryRead {
  readonly tile: TileId;
  readonly same: boolean;
}

export interface ActionPlan {
  readonly panels: Panels;
  readonly homes: ReadonlyMap<TileId, Home>;
  readonly actions: readonly Action[];
}

export function planActions(s: Structure, panels: Panels, inlineLoads: ReadonlySet<TileId>): ActionPlan {
  const arrays = new Set<TileId>();
  for (;;) {
    const homes = homesOf(s, panels, { arrays, inline: inlineLoads });
    const conflict = carryConflict(s, homes);
    if (conflict === undefined) return { panels, homes, actions: actionsOf(s, panels, homes, s.kernel.body) };
    arrays.add(conflict);
  }
}

/** Memory that evaluating the operation of `tile` (or, with its home inline, the tile) reads. */
export function readsOf(s: Structure, homes: ReadonlyMap<TileId, Home>, tile: TileId, own: boolean, same = true): readonly MemoryRead[] {
  const home = homes.get(tile);
  if (!own && home === 'array') return [{ tile, same }];
  if (!own && (home === 'scalar' || home === 'held')) return [];
  const op = s.definitions.get(tile)?.op;
  if (op === undefined) return [];
  const still = same && hasRole(op, 'pointwise');
  return operandsOf(op).flatMap((arg) => readsOf(s, homes, arg, false, still));
}

/** Buffers that evaluating the operation of `tile` loads from. */
export function loadsOf(s: Structure, homes: ReadonlyMap<TileId, Home>, tile: TileId, own: boolean): readonly string[] {
  const home = homes.get(tile);
  if (!own && (home === 'array' || home === 'scalar' || home === 'held')) return [];
  const op = s.definitions.get(tile)?.op;
  if (op === undefined) return [];
  return hasRole(op, 'load') ? buffersRead(op) : operandsOf(op).flatMap((arg) => loadsOf(s, homes, arg, false));
}

/** Folds whose registers a root reads. */
export function fusedFolds(
  s: Structure, homes: ReadonlyMap<TileId, Home>, tile: TileId, own: boolean,
): readonly { readonly tile: TileId; readonly op: Fold }[] {
  const home = homes.get(tile);
  const op = s.definitions.get(tile)?.op;
  if (op === undefined || (!own && (home === 'array' || home === 'scalar' || home === 'held'))) return [];
  if (isFold(op)) return [{ tile, op }];
  return operandsOf(op).flatMap((arg) => fusedFolds(s, homes, arg, false));
}

/** A tile to evaluate before the iteration ends, since its expression could not be written over the carried tile it reads. */
function carryConflict(s: Structure, homes: ReadonlyMap<TileId, Home>): TileId | undefined {
  for (const loop of s.span.keys()) {
    const inPlace = loop.carry.filter(({ next }) => homes.get(next) === 'inline' || homes.get(next) === 'fused');
    for (const { tile, next } of inPlace) {
      if (readsOf(s, homes, next, false).some((read) => read.tile === tile && !read.same)) return next;
    }
    const order = orderedCarries(s, homes, loop);
    if (typeof order === 'number') return order;
  }
  return undefined;
}

/** Carries in an order in which none reads a tile already replaced; the number of a tile that must be evaluated before if there is none. */
function orderedCarries(s: Structure, homes: ReadonlyMap<TileId, Home>, loop: TileLoop): readonly TileLoop['carry'][number][] | TileId {
  const left = loop.carry.filter(({ tile, next }) => tile !== next && homes.get(tile) === 'array');
  const done: TileLoop['carry'][number][] = [];
  while (left.length > 0) {
    const ready = left.findIndex((carry) => !left.some(
      (other) => other !== carry && readsOf(s, homes, other.next, false).some((read) => read.tile === carry.tile)
    ));
    if (ready < 0) {
      const inline = left.find(({ next }) => homes.get(next) !== 'array');
      if (inline === undefined) {
        throw new Error(`${s.kernel.name}: carried tiles exchange their values: give one of them a tile of its own`);
      }
      return inline.next;
    }
    done.push(...left.splice(ready, 1));
  }
  return done;
}

function actionsOf(s: Structure, panels: Panels, homes: ReadonlyMap<TileId, Home>, body: readonly TileStmt[]): Action[] {
  const actions: Action[] = [];
  for (const stmt of body) {
    switch (stmt.kind) {
      case 'let': {
        const home = homes.get(stmt.tile);
        const product = panels.products.get(stmt.tile);
        if (product !== undefined) addPanels(s, homes, actions, product);
        if (home === 'scalar') actions.push({ kind: 'scalar', tile: stmt.tile });
        else if (home === 'array' && isScan(stmt.op)) actions.push({ kind: 'scan', tile: stmt.tile, op: stmt.op });
        else if (home === 'array') addRoot(s, homes, actions, { kind: 'define', tile: stmt.tile });
        break;
      }
      case 'store':
        addRoot(s, homes, actions, stmt);
        break;
      case 'loop': {
        for (const { tile, init } of stmt.carry) if (homes.get(tile) === 'array') addRoot(
          s, homes, actions, { kind: 'carry', tile, from: init },
        );
        const scalars = stmt.carry.filter(({ tile }) => homes.get(tile) === 'scalar');
        if (scalars.length > 0) actions.push({
          kind: 'carryScalars', first: true, pairs: scalars.map(({ tile, init }) => ({ tile, from: init })),
        });
        const inner = actionsOf(s, panels, homes, stmt.body);
        const order = orderedCarries(s, homes, stmt);
        if (typeof order === 'number') throw new Error(`${s.kernel.name}: carries without an order`);
        if (scalars.length > 0) inner.push({
          kind: 'carryScalars', first: false, pairs: scalars.map(({ tile, next }) => ({ tile, from: next })),
        });
        for (const { tile, next } of order) addRoot(s, homes, inner, { kind: 'carry', tile, from: next });
        actions.push({ kind: 'loop', loop: stmt, body: inner });
        break;
      }
      default:
        stmt satisfies never;
    }
  }
  return actions;
}

/** Each once: products may share them. */
export function operandsIn({ products }: Extract<Action, { kind: 'panels' }>): readonly TileId[] {
  return [...new Set(products.flatMap(({ op }) => [op.a, op.b]))];
}

/** Operands that nothing here makes can be brought earlier: with those of another product over the same axis. */
function addPanels(s: Structure, homes: ReadonlyMap<TileId, Home>, actions: Action[], product: PanelProduct): void {
  const free = ({ op }: PanelProduct) => [op.a, op.b].every((arg) => readsOf(s, homes, arg, false).length === 0 && isFree(s, homes, arg));
  const at = actions.findIndex((action) => action.kind === 'panels' && action.products[0].op.axis === product.op.axis);
  const found = actions[at];
  if (found?.kind === 'panels' && free(product)) actions[at] = { ...found, products: [...found.products, product] };
  else actions.push({ kind: 'panels', products: [product] });
}

/** Does an expression need no variable that an action before it writes? */
function isFree(s: Structure, homes: ReadonlyMap<TileId, Home>, tile: TileId): boolean {
  const op = s.definitions.get(tile)?.op;
  return op !== undefined && homes.get(tile) === 'inline' && (hasRole(op, 'load') || operandsOf(op).every((arg) => isFree(s, homes, arg)));
}

/** Axes over which a root loops, in the order of its memory. */
export function spaceOf(s: Structure, root: Root): readonly Axis[] {
  switch (root.kind) {
    case 'define': case 'carry': return s.axes(root.tile);
    case 'store': {
      const buffer = s.buffer(root.buffer);
      const axes = s.axes(root.value);
      // Whether the token axis is in the cell shows in the statement's loops, which the structure keeps by position: a token store inside a
      // token loop has no ROW.
      const user = s.users.get(root.value)?.find((u) => u.kind === 'store' && u.stmt.buffer === root.buffer);
      const cell = cellAxes(s, root, user?.loops ?? []);
      const column = axes.includes(COL) && !axes.includes(ROW) && !buffer.axes.includes(COL);
      return column ? cell.map((axis) => (axis === ROW ? COL : axis)) : cell;
    }
  }
}

const valueOf = (root: Root): { readonly tile: TileId; readonly own: boolean } => {
  switch (root.kind) {
    case 'define': return { tile: root.tile, own: true };
    case 'carry': return { tile: root.from, own: false };
    case 'store': return { tile: root.value, own: false };
  }
};

export function rootReads(s: Structure, homes: ReadonlyMap<TileId, Home>, root: Root): readonly MemoryRead[] {
  const { tile, own } = valueOf(root);
  return readsOf(s, homes, tile, own);
}

export function rootLoads(s: Structure, homes: ReadonlyMap<TileId, Home>, root: Root): readonly string[] {
  const { tile, own } = valueOf(root);
  return loadsOf(s, homes, tile, own);
}

export function rootFolds(
  s: Structure, homes: ReadonlyMap<TileId, Home>, root: Root,
): readonly { readonly tile: TileId; readonly op: Fold }[] {
  const { tile, own } = valueOf(root);
  return fusedFolds(s, homes, tile, own);
}

/** Tiles that a root reads from registers. */
export function rootHeld(s: Structure, panels: Panels, homes: ReadonlyMap<TileId, Home>, root: Root): readonly TileId[] {
  const visit = (tile: TileId, own: boolean): readonly TileId[] => {
    const home = homes.get(tile);
    if (panels.held.has(tile) && (own || home === 'held')) return [tile];
    const op = s.definitions.get(tile)?.op;
    if (op === undefined || (!own && (home === 'array' || home === 'scalar'))) return [];
    return operandsOf(op).flatMap((arg) => visit(arg, false));
  };
  const { tile, own } = valueOf(root);
  return visit(tile, own);
}

/** Appends a root to the group before it where one loop can do both, else as a group of its own. */
function addRoot(s: Structure, homes: ReadonlyMap<TileId, Home>, actions: Action[], root: Root): void {
  const space = spaceOf(s, root);
  const last = actions[actions.length - 1];
  if (last?.kind === 'group' && joins(s, homes, last, root, space)) {
    actions[actions.length - 1] = { ...last, roots: [...last.roots, root] };
  } else {
    actions.push({ kind: 'group', space, roots: [root] });
  }
}

function joins(
  s: Structure, homes: ReadonlyMap<TileId, Home>, group: Extract<Action, { kind: 'group' }>, root: Root, space: readonly Axis[],
): boolean {
  if (!sameAxes(group.space, space)) return false;
  const written = new Set(group.roots.flatMap((other) => (other.kind === 'store' ? [] : [other.tile])));
  const stored = new Set(group.roots.flatMap((other) => (other.kind === 'store' ? [other.buffer] : [])));
  const reads = rootReads(s, homes, root);
  if (reads.some((read) => written.has(read.tile) && !read.same)) return false;
  if (rootLoads(s, homes, root).some((buffer) => stored.has(buffer))) return false;
  if (root.kind === 'store') return !group.roots.some((other) => rootLoads(s, homes, other).includes(root.buffer));
  if (root.kind === 'define') return true;
  // The old value of a carried tile must not be wanted at other indices, nor a value written here read as the old one.
  return !group.roots.some((other) => rootReads(s, homes, other).some((read) => read.tile === root.tile && !read.same));
}
