import { ROW, type Axis } from '../../../ir/common/axes.js';
import type { TileId, TileKernel, TileLoop, TileStmt } from '../../../ir/tile/tile.js';
import { bufferNamed, type Place } from '../address.js';
import { createCode } from '../code.js';
import type { CudaContext, LoweredKernel } from '../lowered.js';
import { copiesInOrder } from '../carry.js';
import { operandsOf } from '../../../ir/tile/operands.js';
import { createArena } from './arena.js';
import { definitions, fusedSums, letText, tokenRow } from './kernel.js';
import { cellOf, copyTile, loadCell, loadNow, storeCell, vectorElement } from './memory.js';
import { schedule } from './schedule.js';
import { walkText } from './walk-text.js';
import { unsupported } from './forms.js';
import { createTeam, type Team } from './team.js';

type Let = Extract<TileStmt, { kind: 'let' }>;

/**
 * Kernels that carry states along the chunks of a sequence, split along an axis of the state. Two teams of 128 threads: one loads what the
 * next chunks need and works out what does not depend on the state; the other walks, states in registers with the split axis as rows,
 * so that every product on the way has its left operand in registers (docs/algorithms.md: the walk).
 */
export function lowerWalk(cx: CudaContext, kernel: TileKernel): LoweredKernel {
  const { split } = kernel;
  if (split === undefined) return unsupported('a walk without a split axis');
  const loops = kernel.body.filter((stmt) => stmt.kind === 'loop');
  const [loop] = loops;
  if (loops.length !== 1 || loop === undefined || loop.over !== 'chunks') return unsupported('a walk needs one loop over chunks');
  if (loop.body.some((stmt) => stmt.kind === 'loop')) unsupported('nested loops');
  for (const { tile } of loop.carry) if (kernel.tiles[tile].axes.length !== 2 || !kernel.tiles[tile].axes.includes(split)) unsupported(`a carried tile [${kernel.tiles[tile].axes.join()}]`);
  const defs = definitions(kernel);
  const rowOf = (axes: readonly Axis[]) => (axes.includes(split) ? split : tokenRow(axes));
  const before = kernel.body.slice(0, kernel.body.indexOf(loop));
  const after = kernel.body.slice(kernel.body.indexOf(loop) + 1);

  const resolve = (tile: TileId): TileId => {
    const op = defs.get(tile);
    return op?.op === 'swap' ? resolve(op.arg) : tile;
  };
  const isRaw = (stmt: TileStmt): boolean => {
    if (stmt.kind !== 'let' || stmt.op.op !== 'load') return false;
    const cell = loadCell(cx, stmt.op, { group: '', head: '', chunk: '', first: '', length: '', segment: '', sequence: '' }, split);
    return cell.axes.length < 2 || cell.half;
  };
  const walking = new Set<TileId>(loop.carry.map((c) => c.tile));
  for (const stmt of before) if (stmt.kind === 'let' && kernel.tiles[stmt.tile].axes.includes(split)) walking.add(stmt.tile);
  const chain: Let[] = [];
  const ahead: Let[] = [];
  for (const stmt of loop.body) {
    if (stmt.kind !== 'let') continue;
    const walks = kernel.tiles[stmt.tile].axes.includes(split) || operandsOf(stmt.op).some((arg) => walking.has(arg));
    if (!isRaw(stmt) && walks) {
      walking.add(stmt.tile);
      chain.push(stmt);
    } else ahead.push(stmt);
  }
  const aheadTiles = new Set(ahead.map((stmt) => stmt.tile));
  const trivial = (tile: TileId) => ['literal', 'head', 'heads'].includes(defs.get(tile)?.op ?? '');
  const exported = new Set<TileId>();
  // A sum takes over a product of its own team only.
  const sums = new Map([...fusedSums(kernel, loop.body, holdsUp(loop))].filter(([sum, { product }]) => aheadTiles.has(sum) === aheadTiles.has(product)));
  const wanted = (tile: TileId) => {
    const id = resolve(tile);
    if (aheadTiles.has(id) && !trivial(id)) exported.add(id);
  };
  for (const stmt of chain) for (const arg of operandsOf(stmt.op)) wanted(arg);
  const splitStore = (stmt: Extract<TileStmt, { kind: 'store' }>) => bufferNamed(cx.module, stmt.buffer).axes.includes(split);
  const stores = loop.body.filter((stmt) => stmt.kind === 'store');
  for (const stmt of stores) if (splitStore(stmt)) wanted(stmt.value);
  for (const { next } of loop.carry) wanted(next);

  const outside: Place = { sequence: 'sequence', ...(kernel.outer === 'segment' && { segment: 'segment' }), head: 'head', group: 'group' };
  const inside: Place = { ...outside, chunk: 'chunk', first: 'first', length: 'length' };
  const stage = { address: 'sa', pointer: 'sp' };

  // The team that loads.
  const loadArena = createArena('L');
  const issue = createCode();
  const aheadCode = createCode();
  const aheadBefore = createCode();
  const registers: string[] = [];
  const fill = createCode();
  const switched = switchCode(aheadBefore);
  const loader = createTeam({ cx, kernel, code: switched.code, arena: loadArena, barrier: 1, defs, rowOf: tokenRow, stage, exported });
  loader.keepPieces(true);
  outsideText(cx, loader, before, needed(ahead, stores.filter((s) => !splitStore(s)).map((s) => s.value), before), outside, split);
  loader.settle();
  loader.keepPieces(false);
  for (const stmt of ahead) {
    if (stmt.op.op !== 'load' || !isRaw(stmt)) continue;
    const cell = loadCell(cx, stmt.op, inside, split);
    if (cell.axes.length === 2) {
      switched.to(issue);
      copyTile(loader, stmt.tile, cell, true, { address: 'to' });
    } else {
      // Through registers: asked for with the copies, put down when the chunk's turn comes.
      const n = cell.axes.length === 0 ? 1 : Math.ceil(loader.size(cell.axes[0]) / 128);
      const name = loader.fresh(`r${stmt.tile}`);
      registers.push(`float ${name}[${n}];`);
      const element = cell.axes.length === 0 ? `ld(${cell.at})` : vectorElement(cell);
      issue.line(`UNROLL for (int k = 0; k < ${n}; ++k) { const int i = t + k * 128; ${name}[k] = ${element}; }`);
      if (cell.axes.length === 0) {
        loader.formsOf(stmt.tile).scalar = `${name}[0]`;
        if (exported.has(stmt.tile)) {
          const piece = loader.take(stmt.tile, 256);
          loader.formsOf(stmt.tile).vec = { piece, pointer: loader.pointerTo(piece) };
          loader.willWrite(piece, 'owner');
          fill.line(`if (t == 0) ${loader.pointerTo(piece)}[0] = ${name}[0];`);
        }
      } else {
        const v = loader.newVec(stmt.tile, cell.axes[0]);
        if (v.piece !== undefined) loader.willWrite(v.piece, 'owner');
        fill.line(`UNROLL for (int k = 0; k < ${n}; ++k) { const int i = t + k * 128; if (i < ${loader.size(cell.axes[0])}) ${v.pointer}[i] = ${name}[k]; }`);
      }
    }
  }
  switched.to(aheadCode);
  loader.sync();
  for (const stmt of loop.body) {
    if (stmt.kind === 'let' && aheadTiles.has(stmt.tile)) {
      if (stmt.op.op !== 'load') letText(loader, stmt, inside, sums);
      else if (!isRaw(stmt)) loadNow(loader, stmt.tile, loadCell(cx, stmt.op, inside, split));
    }
    if (stmt.kind === 'store' && !splitStore(stmt)) {
      const buffer = bufferNamed(cx.module, stmt.buffer);
      aheadCode.open('if (v0 == 0)');
      storeCell(loader, stmt.value, cellOf(cx, buffer, buffer.outer === 'token' ? ROW : undefined, inside, undefined), undefined);
      aheadCode.close();
    }
  }
  loader.finish();

  // The team that walks.
  const walkArena = createArena('W');
  const walkBefore = createCode();
  const walkCode = createCode();
  const walkAfter = createCode();
  const here = switchCode(walkBefore);
  const walker = createTeam({
    cx, kernel, code: here.code, arena: walkArena, barrier: 2, defs, rowOf, stage, exported: new Set(),
    imported: (tile) => (aheadTiles.has(tile) && !trivial(tile) ? loader.formsOf(tile) : undefined),
  });
  walker.keepPieces(true);
  outsideText(cx, walker, before, needed(chain, [...loop.carry.map((c) => c.init), ...stores.map((s) => s.value), ...after.flatMap((s) => (s.kind === 'store' ? [s.value] : s.kind === 'let' ? operandsOf(s.op) : []))], before), outside, split);
  for (const { tile, init } of loop.carry) {
    const from = walker.frag(init, split);
    const frag = walker.newFrag(tile, split, walker.otherAxis(tile, split));
    walker.each(frag, `${frag.name}[i] = ${from.name}[i];`);
  }
  walker.settle();
  here.to(walkCode);
  const start = walker.epoch();
  const draining: string[] = [];
  // Outputs wait in their stage for the loading team, which stores them when it takes the stage back.
  const put = (stmt: Extract<TileStmt, { kind: 'store' }>): void => {
    const buffer = bufferNamed(cx.module, stmt.buffer);
    const cell = cellOf(cx, buffer, buffer.outer === 'token' ? ROW : undefined, inside, split);
    const rest = storeCell(walker, stmt.value, cell, (bytes) => `(sa + ${loadArena.take(bytes, true).name})`);
    if (rest !== undefined) draining.push(rest);
  };
  const output = stores.filter(splitStore);
  const carried = new Set(loop.carry.map((c) => c.tile));
  for (const stmt of output) if (carried.has(stmt.value)) put(stmt);
  for (const stmt of ahead) if (trivial(stmt.tile) && stmt.op.op !== 'load') letText(walker, stmt, inside, sums);
  schedule(
    chain, loop.carry.map((c) => c.next), sums, defs, walker.runningAfter,
    (stmt) => {
      if (stmt.op.op === 'load') loadNow(walker, stmt.tile, loadCell(cx, stmt.op, inside, split));
      else letText(walker, stmt, inside, sums);
    },
  );
  walker.finish();
  for (const stmt of output) if (!carried.has(stmt.value)) put(stmt);
  for (const { tile, next } of copiesInOrder(loop)) {
    const from = walker.frag(next, split);
    const to = walker.formsOf(tile).frags[0];
    walker.each(to, `${to.name}[i] = ${from.name}[i];`);
  }
  walker.endLoop(start);
  here.to(walkAfter);
  for (const stmt of after) {
    switch (stmt.kind) {
      case 'let':
        if (stmt.op.op === 'load') loadNow(walker, stmt.tile, loadCell(cx, stmt.op, outside, split));
        else letText(walker, stmt, outside, new Map());
        break;
      case 'store': {
        const buffer = bufferNamed(cx.module, stmt.buffer);
        if (!buffer.axes.includes(split)) unsupported(`a last value without ${split}`);
        storeCell(walker, stmt.value, cellOf(cx, buffer, undefined, outside, split), undefined);
        break;
      }
      case 'loop': break;
      default: stmt satisfies never;
    }
  }

  return walkText(cx, kernel, split, { loadArena, walkArena, registers, issue, fill, aheadBefore, aheadCode, walkBefore, walkCode, walkAfter, draining, reverse: loop.reverse });
}

/** Sums on the way from one carried value to the next whose product need not wait for it: taken over, it would stand in the way. */
function holdsUp(loop: TileLoop): (sum: TileId, product: TileId, other: TileId) => boolean {
  const lets = loop.body.filter((stmt) => stmt.kind === 'let');
  const from = new Set<TileId>(loop.carry.map((c) => c.tile));
  // What comes of a carried value through a product comes late.
  const late = new Set<TileId>();
  for (const { tile, op } of lets) {
    if (operandsOf(op).some((arg) => from.has(arg))) from.add(tile);
    if (operandsOf(op).some((arg) => late.has(arg) || (op.op === 'contract' && from.has(arg)))) late.add(tile);
  }
  const onward = new Set<TileId>(loop.carry.map((c) => c.next));
  for (const { tile, op } of [...lets].reverse()) if (onward.has(tile)) for (const arg of operandsOf(op)) onward.add(arg);
  return (sum, product, other) => onward.has(sum) && !from.has(product) && late.has(other);
}

/** Code that goes to one text, then to another. */
function switchCode(first: ReturnType<typeof createCode>) {
  let current = first;
  return {
    code: { line: (text: string) => current.line(text), open: (text: string) => current.open(text), close: () => current.close(), text: () => current.text() },
    to(next: ReturnType<typeof createCode>) {
      current = next;
    },
  };
}

/** Definitions before the loop that a team reads, directly or not. */
function needed(lets: readonly Let[], more: readonly TileId[], before: readonly TileStmt[]): ReadonlySet<TileId> {
  const want = new Set<TileId>([...lets.flatMap((stmt) => operandsOf(stmt.op)), ...more]);
  for (const stmt of [...before].reverse()) if (stmt.kind === 'let' && want.has(stmt.tile)) for (const arg of operandsOf(stmt.op)) want.add(arg);
  return want;
}

function outsideText(cx: CudaContext, team: Team, before: readonly TileStmt[], want: ReadonlySet<TileId>, place: Place, split: Axis): void {
  for (const stmt of before) {
    if (stmt.kind === 'store') unsupported('a store before the walk');
    if (stmt.kind !== 'let' || !want.has(stmt.tile)) continue;
    if (stmt.op.op === 'load') {
      const cell = loadCell(cx, stmt.op, place, split);
      if (cell.half && cell.axes.length === 2) copyTile(team, stmt.tile, cell, false, undefined);
      else loadNow(team, stmt.tile, cell);
    } else letText(team, stmt, place, new Map());
  }
}
