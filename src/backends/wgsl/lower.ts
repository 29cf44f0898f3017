import type { IoDtype } from '../../ir/common/dtype.js';
import type { TableLevel } from '../../ir/plan/rows.js';
import { buffersRead, loadedBuffers, storedBuffers } from '../../ir/tile/buffers.js';
import { sizeName } from '../../ir/tile/domain.js';
import type { TileBuffer, TileId, TileKernel, TileLoop, TileModule, TileStmt } from '../../ir/tile/tile.js';
import { planActions, type Action, type ActionPlan } from './actions.js';
import type { Binding, Place } from './address.js';
import { notesOf } from '../notes.js';
import { plainWidths, productWidths, type Widths } from './blocks.js';
import { createBarriers } from './barriers.js';
import type { WgslCapabilities } from './capabilities.js';
import { element, nearName, newBlock, operation, type Printing } from './element.js';
import { groupText, scanText } from './group.js';
import { placeTiles, type Memory } from './memory.js';
import { TALLY } from './order.js';
import { clearText, panelLayout, panelsText } from './panel-text.js';
import { fromMemory, NO_PANELS, panelsOf, readByFours } from './panels.js';
import { arenaOffset, openLoop, scratchName, topPlace } from './places.js';
import { structureOf, type Structure } from './structure.js';
import { createCode, floatLiteral, identifier, type Code } from './text.js';

export interface WgslContext {
  readonly module: TileModule;
  readonly dtype: IoDtype;
  readonly capabilities: WgslCapabilities;
  /** Tensors of the shared buffer, in order: workspaces, then scratch. */
  readonly arena: readonly string[];
}

/** A binding of a kernel, in order. */
export type Resource =
  | {
    readonly kind: 'tensor'; readonly tensor: string; readonly access: 'read' | 'write' | 'readwrite';
    readonly pointer: string; readonly type: 'f32' | 'vec4<f32>' | 'i32' | 'f16' | 'u32';
  }
  | { readonly kind: 'arena'; readonly tensors: readonly string[] }
  | { readonly kind: 'table'; readonly name: string; readonly access?: 'write' }
  | { readonly kind: 'dims' };

/** What bindings are made of. */
const TYPES = { f32: 'f32', f32x4: 'vec4<f32>', i32: 'i32', f16: 'f16', f16word: 'u32', bf16word: 'u32' } as const;

export interface LoweredKernel {
  readonly body: string;
  readonly resources: readonly Resource[];
  /** Floats of workgroup memory. */
  readonly near: number;
  /** Vectors of panels in it. */
  readonly panels: number;
  /** Counters in it. */
  readonly tally: number;
}

/**
 * Invocations of a workgroup: one 4 x 4 micro-tile each for a [16, 64] tile; few enough that software adapters switch quickly at barriers.
 */
export const WORKGROUP = 64;

export interface Chosen {
  readonly s: Structure;
  readonly plan: ActionPlan;
  readonly memory: Memory;
  /** Of panels in workgroup memory. */
  readonly vectors: number;
  /** Floats of workgroup memory that there may be. */
  readonly limit: number;
}

/** The part of workgroup memory that panels may take. */
const PANELS = 0.85;

function tallyOf({ body }: TileKernel): number {
  return body.some((stmt) => stmt.kind === 'let' && stmt.op.op === 'nth') ? TALLY : 0;
}

/** Decides where tiles live and how wide blocks of divided axes are: the first widths without scratch, else those with least. */
export function choose(cx: Pick<WgslContext, 'module' | 'capabilities'>, kernel: TileKernel): Chosen {
  const tally = tallyOf(kernel);
  const limit = Math.floor(cx.capabilities.workgroupBytes / 4) - tally;
  if (tally === 0) for (const widths of productWidths(cx.module, kernel)) {
    const chosen = planned(cx.module, kernel, widths, limit);
    if (chosen.memory.far === 0 && chosen.plan.panels.held.size > 0) return chosen;
  }
  let best: Chosen | undefined;
  for (const widths of plainWidths(cx.module, kernel, tally > 0)) {
    const chosen = planned(cx.module, kernel, widths, limit);
    if (chosen.memory.far === 0) return chosen;
    if (best === undefined || chosen.memory.far < best.memory.far) best = chosen;
  }
  if (best === undefined) throw new Error(`${kernel.name}: no block of ${kernel.split} is possible`);
  return best;
}

function planned(module: TileModule, kernel: TileKernel, widths: Widths, limit: number): Chosen {
  const s = structureOf(module, kernel, widths);
  const inline = new Set<TileId>();
  let panels = panelsOf(s, WORKGROUP);
  for (;;) {
    const plan = planActions(s, panels, inline);
    const vectors = Math.max(0, ...panelActions(plan.actions).map((action) => panelLayout(s, action, PANELS * limit).size));
    if (4 * vectors > PANELS * limit) {
      panels = NO_PANELS;
      continue;
    }
    // Beside products there is time to work out again what comes from memory.
    const { held } = panels;
    const again = (tile: TileId) => held.size > 0 && !held.has(tile) && fromMemory(s, tile);
    const memory = placeTiles(s, plan, limit - 4 * vectors, again);
    // A copy of device memory in device memory is worth nothing.
    const pointless = [...memory.slots].filter(([tile, slot]) => {
      const op = s.definitions.get(tile)?.op;
      const read = op === undefined ? [] : buffersRead(op);
      return slot.space === 'far' && !inline.has(tile) && (again(tile) || (read.length > 0 && !s.stored.has(read[0])));
    });
    if (pointless.length === 0) return { s, plan, memory, vectors, limit };
    for (const [tile] of pointless) inline.add(tile);
  }
}

function panelActions(actions: readonly Action[]): readonly Extract<Action, { kind: 'panels' }>[] {
  return actions.flatMap((action) => (action.kind === 'loop' ? panelActions(action.body) : action.kind === 'panels' ? [action] : []));
}

/** How elements of a buffer lie in its binding. Workspaces are f32 in the arena whatever their declared type. */
function elementOf(cx: WgslContext, buffer: TileBuffer): Binding['element'] {
  if (buffer.role === 'workspace' || buffer.dtype === 'f32') return 'f32';
  if (buffer.dtype === 'i32') return 'i32';
  switch (cx.dtype) {
    case 'f32': return 'f32';
    case 'bf16': return 'bf16word';
    case 'f16': return cx.capabilities.f16 ? 'f16' : 'f16word';
  }
}

/** User tensors that a kernel touches, in the order of the module. */
export function tensorsOf(
  module: TileModule, kernel: TileKernel,
): readonly { readonly buffer: TileBuffer; readonly access: 'read' | 'write' | 'readwrite' }[] {
  const [read, written] = [new Set(loadedBuffers(kernel.body)), new Set(storedBuffers(kernel.body))];
  return module.buffers
    .filter(({ name }) => read.has(name) || written.has(name))
    .map((buffer) => ({ buffer, access: !written.has(buffer.name) ? 'read' : read.has(buffer.name) ? 'readwrite' : 'write' }));
}

/** Tables that a kernel reads. */
export function tablesOf(kernel: TileKernel): readonly TableLevel[] {
  const loops = loopsOf(kernel.body).map((loop) => loop.over);
  switch (kernel.outer) {
    case 'chunk': return ['chunk'];
    case 'run': return ['run'];
    case 'segment': return ['run', 'segment'];
    case 'once': return loops.includes('chunks') ? ['chunk'] : [];
  }
}

function loopsOf(body: readonly TileStmt[]): readonly TileLoop[] {
  return body.flatMap((stmt) => (stmt.kind === 'loop' ? [stmt, ...loopsOf(stmt.body)] : []));
}

/** Writes the body of a kernel. */
export function lowerKernel(cx: WgslContext, kernel: TileKernel, chosen: Chosen): LoweredKernel {
  const { s, plan, memory } = chosen;
  const code = createCode(1);
  const resources: Resource[] = [];
  const bindings = new Map<string, Binding>();
  const shared: string[] = memory.far > 0 ? [scratchName(kernel.name)] : [];
  const fours = readByFours(s, plan.panels);
  for (const { buffer, access } of tensorsOf(cx.module, kernel)) {
    const element = elementOf(cx, buffer);
    const kind = element === 'f32' && access === 'read' && fours.has(buffer.name) ? 'f32x4' : element;
    if (buffer.role === 'workspace') {
      shared.push(buffer.name);
      bindings.set(buffer.name, { pointer: 'arena', element: 'f32', offset: arenaOffset(cx.arena, buffer.name) });
    } else {
      const pointer = freePointer(buffer.name, bindings);
      bindings.set(buffer.name, { pointer, element: kind, offset: undefined });
      resources.push({ kind: 'tensor', tensor: buffer.name, access, pointer, type: TYPES[kind] });
    }
  }
  if (shared.length > 0) resources.push({ kind: 'arena', tensors: shared });
  const tables = tablesOf(kernel).map((level): Resource => ({ kind: 'table', name: sizeName(kernel.domain, level) }));
  resources.push(...tables, { kind: 'dims' });

  const top = topPlace(cx.module, cx.arena, kernel, code, chosen);
  let names = 0;
  const printing: Printing = {
    s, homes: plan.homes, panels: plan.panels, memory, top, workgroup: WORKGROUP, subgroups: cx.capabilities.subgroups, dtype: cx.dtype,
    places: new Map(),
    binding(name) {
      const found = bindings.get(name);
      if (found === undefined) throw new Error(`${kernel.name}: no binding for ${name}`);
      return found;
    },
    fresh: (stem) => `${stem}${++names}`,
  };
  printActions(printing, chosen, code, kernel, top);
  return { body: code.text(), resources, near: memory.near, panels: chosen.vectors, tally: tallyOf(kernel) };
}

function freePointer(name: string, taken: ReadonlyMap<string, Binding>): string {
  const wanted = identifier('p_', name);
  const used = [...taken.values()].map((binding) => binding.pointer);
  return used.includes(wanted) ? `${wanted}_${taken.size}` : wanted;
}

/** Ends the rounds of a workgroup, all of whose invocations have the same number: the language wants to see that they do. */
function roundText(code: Code, { tile, least }: NonNullable<TileLoop['while']>): void {
  code.line(`if (lid == 0u) { going = select(0u, 1u, t${tile} >= ${floatLiteral(least)}); }`);
  code.line('if (workgroupUniformLoad(&going) == 0u) { break; }');
}

function printActions(p: Printing, { plan, limit }: Chosen, code: Code, kernel: TileKernel, top: Place): void {
  const barriers = createBarriers(p.s, plan, p.memory, code);
  const notes = notesOf(kernel);
  const note = (texts: readonly string[]) => texts.forEach((text) => code.line(text));
  const settle = (body: readonly TileStmt[], place: Place) => {
    for (const stmt of body) if (stmt.kind === 'let') p.places.set(stmt.tile, place);
  };
  const print = (actions: readonly Action[], place: Place): void => {
    for (const action of actions) {
      if (action.kind !== 'loop') barriers.before(action);
      switch (action.kind) {
        case 'group':
          for (const root of action.roots) note(
            root.kind === 'store' ? notes.store(root) : notes.tile(root.kind === 'define' ? root.tile : root.from)
          );
          groupText(p, code, action, place);
          break;
        case 'scan':
          note(notes.tile(action.tile));
          scanText(p, code, action);
          break;
        case 'panels':
          action.products.forEach(({ tile }) => note(notes.tile(tile)));
          panelsText(p, code, action, panelLayout(p.s, action, PANELS * limit));
          break;
        case 'scalar': {
          const op = p.s.definitions.get(action.tile)?.op;
          note(notes.tile(action.tile));
          if (op !== undefined) {
            code.line(`let t${action.tile} = ${operation(p, newBlock(code, { together: true }), action.tile, op, new Map())};`);
          }
          break;
        }
        case 'carryScalars': {
          const block = newBlock(code);
          const values = action.pairs.map(({ from }) => element(p, block, from, new Map()));
          if (action.first) {
            action.pairs.forEach(({ tile }, i) => code.line(`var t${tile} = ${values[i]};`));
          } else {
            action.pairs.forEach(({ tile }, i) => code.line(`let next${tile} = ${values[i]};`));
            action.pairs.forEach(({ tile }) => code.line(`t${tile} = next${tile};`));
          }
          break;
        }
        case 'loop': {
          barriers.all();
          note(notes.loop(action.loop));
          for (const { tile } of action.loop.carry) {
            const micro = p.panels.held.get(tile);
            if (micro !== undefined) clearText(code, tile, micro);
          }
          const inside = openLoop(code, kernel, action.loop, place, p.s.module.chunk);
          if (action.loop.while !== undefined) roundText(code, action.loop.while);
          settle(action.loop.body, inside);
          print(action.body, inside);
          barriers.all();
          code.close();
          break;
        }
        default:
          action satisfies never;
      }
    }
  };
  // Tiles whose lives do not meet share a place.
  for (const [tile, { space, offset }] of p.memory.slots) if (space === 'near') code.line(`const ${nearName(tile)} = ${offset}u;`);
  settle(kernel.body, top);
  print(plan.actions, top);
}
