import { ROW } from '../../../ir/common/axes.js';
import { isRows } from '../../../ir/tile/domain.js';
import { operandsOf } from '../../../ir/tile/facts.js';
import type { TileId, TileKernel, TileStmt } from '../../../ir/tile/tile.js';
import { notesOf } from '../../notes.js';
import { bufferNamed, type Place } from '../address.js';
import { createCode } from '../code.js';
import { gridOf, sharedLimit, signature, type CudaContext, type LoweredKernel } from '../lowered.js';
import { chunkPlace, outerLines } from '../prologue.js';
import { crowded, isRefused, refused, type Refused } from '../refused.js';
import { madeAgain, PATIENCE } from './again.js';
import { createArena } from './arena.js';
import { joinDecays, isDscore, type JoinedDecays } from './joined-decays.js';
import { definitions, fusedSums, head, letText, offsetLines, runtimeOf, tokenRow } from './kernel.js';
import { askEarly, cellOf, copyBytes, copyCell, loadCell, loadNow, storeCell } from './memory.js';
import { createTeam, type Parts } from './team.js';

/**
 * Shared memory above which a kernel does better alone on a multiprocessor, even where two blocks would fit: it holds too much in
 * registers, too.
 */
const CROWDED = 100 * 1024;
/** Decay operations whose text, for two warpgroups, outgrows the instruction cache (128 KB) together with what is around them. */
const LONG = 3;

/** KB that loaded tiles may take at a time. */
const BUDGETS = [Infinity, 160, 128, 112, 96, 80, 64, 0];

interface Shape {
  /** Warpgroups that share every fragment. */
  readonly parts: Parts;
  /** Blocks that a multiprocessor is to hold. */
  readonly blocks: 1 | 2;
  /** Are decay operations that share an operand computed together? That is less work in more registers. */
  readonly gather: boolean;
  /**
   * Are matrices that take little made again where they are read late? They need fewer registers, and what they are made of stays in shared
   * memory.
   */
  readonly again: boolean;
  /** Bytes that loaded tiles may take at a time; what does not fit at the start is loaded when others are done with. */
  readonly budget: number;
}

/**
 * Two blocks share a multiprocessor where they can: one waits for memory while the other computes. A block that fills it has more
 * warpgroups, which share every fragment: each warp then has less straight code to fetch and fewer values to hold. docs/performance.md has
 * the measurements behind the choices.
 */
export function lowerChunk(cx: CudaContext, kernel: TileKernel): LoweredKernel | Refused {
  if (kernel.split !== undefined) return refused('split chunk kernels');
  if (kernel.body.some((stmt) => stmt.kind === 'loop')) return refused('loops in chunk kernels');
  const wide = [...cx.module.sizes.values()].every((size) => size % 64 === 0);
  const remade = madeAgain(kernel, (name) => bufferNamed(cx.module, name).dtype === 'io');
  const { groups } = joinDecays(kernel);
  const decays = kernel.body.filter((stmt) => stmt.kind === 'let' && isDscore(stmt.op)).length;
  // Computed together, operations fit into the cache; but only two warpgroups have the registers for it.
  const together = [...groups.values()].reduce((sum, members) => sum + members.length - 1, 0);
  const gather = decays - together < LONG || groups.size > 1;
  // Registers for two blocks of 256 threads are enough for one decay operation at a time.
  const shared = wide && decays > 0 && groups.size === 0 ? 2 : 1;
  const alone = !wide ? 1 : gather ? 2 : 4;
  const shapes: readonly Shape[] = [
    ...[true, false].map((again): Shape => ({ parts: shared, blocks: 2, gather: true, again, budget: Infinity })),
    { parts: alone, blocks: 1, gather, again: true, budget: Infinity },
    ...BUDGETS.map((budget): Shape => ({ parts: alone, blocks: 1, gather, again: false, budget: budget * 1024 })),
    // Sums over the parts of a team take shared memory, too.
    ...(alone === 1 && gather ? [] : BUDGETS).map(
      (budget) : Shape => ({ parts: 1, blocks: 1, gather: true, again: false, budget: budget * 1024 })
    ),
  ];
  const inShape = (shape: Shape) => {
    const made = shape.again ? remade : kernel;
    return chunkOf(cx, shape.gather ? joinDecays(made) : { kernel: made, groups: new Map() }, shape);
  };
  // A multiprocessor has as much as one block may take, and 1 KB more for each.
  const fits = ({ sharedBytes }: LoweredKernel, { blocks }: Shape) => (
    sharedBytes <= (blocks === 1 ? sharedLimit(cx.target) : Math.min(CROWDED, sharedLimit(cx.target, 2)))
  );
  const [first, last] = [shapes[0], shapes[shapes.length - 1]];
  const best = inShape(first);
  if (isRefused(best) || fits(best, first)) return best;
  // What takes least is tried next: where it has no room, nothing has, and kernels that are too large are long.
  const smallest = inShape(last);
  if (isRefused(smallest)) return smallest;
  if (!fits(smallest, last)) return crowded(smallest.sharedBytes);
  for (const shape of shapes.slice(1, -1)) {
    const found = inShape(shape);
    if (isRefused(found) || fits(found, shape)) return found;
  }
  return smallest;
}

function chunkOf(cx: CudaContext, { kernel, groups }: JoinedDecays, { parts, blocks, budget }: Shape): LoweredKernel | Refused {
  const defs = definitions(kernel);
  const body = createCode();
  const arena = createArena('M');
  const team = createTeam({
    cx, kernel, code: body, arena, barrier: 1, parts, defs, notes: notesOf(kernel), groups, rowOf: tokenRow,
    stage: { address: 'base', pointer: 'basep' }, exported: new Set(), ownVectors: true,
  });
  const place: Place = chunkPlace(kernel);
  const sums = fusedSums(kernel, kernel.body);
  const copies = kernel.body.flatMap((stmt): Copy[] => {
    if (stmt.kind !== 'let' || stmt.op.op !== 'load') return [];
    const { tile } = stmt;
    const cell = loadCell(cx, stmt.op, place, undefined);
    return cell.copied === undefined ? [] : [{ tile, bytes: copyBytes(team, cell), begin: () => copyCell(team, tile, cell) }];
  });
  const copied = new Set(copies.map((copy) => copy.tile));
  const due = copiesDue(kernel.body, groups, copies, budget);
  const longUnread = unreadFor(kernel, (tile) => team.resolve(tile).id);
  // What comes past shared memory is asked for at once: where it is used, its way would be waited for.
  const asked = new Map<TileId, string>();
  const early = () => kernel.body.forEach((stmt) => {
    if (stmt.kind !== 'let' || stmt.op.op !== 'load' || copied.has(stmt.tile)) return;
    const cell = loadCell(cx, stmt.op, place, undefined);
    const name = askEarly(team, stmt.tile, cell);
    if (name !== undefined) asked.set(stmt.tile, name);
    if (cell.axes.length > 0) return;
    loadNow(team, stmt.tile, cell);
    copied.add(stmt.tile);
  });
  for (const [at, stmt] of team.untilRefused(kernel.body.entries())) {
    const now = due.get(at) ?? [];
    team.begin();
    for (const tile of longUnread.get(at) ?? []) team.letGo(tile);
    // Tiles that come late take the place of others, whose readers have to be done.
    if (now.length > 0 && at > 0) team.sync();
    for (const copy of now) copy.begin();
    if (at === 0) early();
    switch (stmt.kind) {
      case 'let': {
        if (stmt.op.op !== 'load') letText(team, stmt, place, sums);
        else if (!copied.has(stmt.tile)) loadNow(team, stmt.tile, loadCell(cx, stmt.op, place, undefined), asked.get(stmt.tile));
        break;
      }
      case 'store': {
        const buffer = bufferNamed(cx.module, stmt.buffer);
        storeCell(team, stmt.value, cellOf(cx, { buffer }, isRows(buffer) ? ROW : undefined, place, undefined), undefined);
        break;
      }
      case 'loop': throw new Error(`${kernel.name}: a loop in a chunk kernel`);
      default: stmt satisfies never;
    }
  }
  const refusal = team.refusal();
  if (refusal !== undefined) return refusal;
  team.finish();
  const layout = arena.layout();
  const { args, parameters } = signature(cx, kernel, []);
  const code = createCode();
  code.line(`// ${kernel.doc}`);
  const bounds = [team.threads, ...(parts * blocks > 2 ? [blocks] : [])];
  code.open(`extern "C" __global__ void __launch_bounds__(${bounds.join(', ')}) ${kernel.name}(${parameters})`);
  for (const line of offsetLines(layout)) code.line(line);
  for (const line of head(cx, kernel, 1)) code.line(line);
  code.line('const int t = threadIdx.x;');
  if (parts > 1) code.line('const int part = __shfl_sync(~0u, t >> 7, 0);');
  outerLines(code, kernel);
  code.line('const u32 base = (saddr(smem) + 1023) & ~1023u;');
  code.line('u8* const basep = smem + (base - saddr(smem));');
  code.line('(void)group, (void)basep;');
  for (const line of body.text().trimEnd().split('\n')) code.line(line);
  code.close();
  const sharedBytes = layout.fixedBytes + 1024;
  return {
    text: code.text(), runtime: runtimeOf(code.text()), block: team.threads, sharedBytes, grid: gridOf(kernel, 1), args, scratch: [],
  };
}

interface Copy {
  readonly tile: TileId;
  readonly bytes: number;
  begin(): void;
}

/** When to begin each copy, by position in the body: as early as the budget allows, at its first use at the latest. */
function copiesDue(
  body: readonly TileStmt[], groups: ReadonlyMap<TileId, readonly TileId[]>, copies: readonly Copy[], budget: number,
): ReadonlyMap<number, readonly Copy[]> {
  const spans = new Map<TileId, { first: number; last: number }>();
  const sources = new Map<TileId, TileId>();
  const use = (id: TileId, at: number): void => {
    const tile = sources.get(id) ?? id;
    const known = spans.get(tile);
    spans.set(tile, { first: Math.min(known?.first ?? at, at), last: Math.max(known?.last ?? at, at) });
  };
  // The first of a group reads for all.
  const leaders = new Map([...groups].flatMap(([first, members]) => members.map((member) => [member, first])));
  const positions = new Map(body.flatMap((stmt, at) => (stmt.kind === 'let' ? [[stmt.tile, at]] : [])));
  body.forEach((stmt, at) => {
    if (stmt.kind === 'store') use(stmt.value, at);
    if (stmt.kind !== 'let') return;
    // A swap only renames.
    if (stmt.op.op === 'swap') sources.set(stmt.tile, sources.get(stmt.op.arg) ?? stmt.op.arg);
    else for (const arg of operandsOf(stmt.op)) use(arg, positions.get(leaders.get(stmt.tile) ?? stmt.tile) ?? at);
  });
  const spanOf = ({ tile }: Copy) => spans.get(tile) ?? { first: 0, last: 0 };
  const due = new Map<number, Copy[]>();
  const begun: Copy[] = [];
  let at = 0;
  for (const copy of [...copies].sort((a, b) => spanOf(a).first - spanOf(b).first)) {
    const taken = () => begun.filter((other) => spanOf(other).last >= at).reduce((sum, { bytes }) => sum + bytes, 0);
    while (at < spanOf(copy).first && taken() + copy.bytes > budget) at++;
    due.set(at, [...(due.get(at) ?? []), copy]);
    begun.push(copy);
  }
  return due;
}

/** Tensors that statements read element by element, by the position after which none does so for a while. */
function unreadFor({ body }: TileKernel, resolve: (tile: TileId) => TileId): ReadonlyMap<number, readonly TileId[]> {
  const reads = new Map<TileId, number[]>();
  body.forEach((stmt, at) => {
    const read = stmt.kind === 'store'
      ? [stmt.value]
      : stmt.kind === 'let' && !['contract', 'compose', 'inverse', 'swap'].includes(stmt.op.op) && !isDscore(stmt.op)
      ? operandsOf(stmt.op)
      : [];
    for (const tile of new Set(read.map(resolve))) reads.set(tile, [...(reads.get(tile) ?? []), at]);
  });
  const found = new Map<number, TileId[]>();
  for (const [tile, positions] of reads) {
    positions.forEach((at, n) => {
      const next = positions[n + 1] ?? Infinity;
      if (next - at > PATIENCE) found.set(at + 1, [...(found.get(at + 1) ?? []), tile]);
    });
  }
  return found;
}
