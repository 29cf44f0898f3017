import { COL, ROW, type Axis } from '../../../ir/common/axes.js';
import type { TileId, TileKernel, TileLoop, TileOp, TileStmt } from '../../../ir/tile/tile.js';
import type { Extent } from '../../../ir/plan/plan.js';
import { axisSize, bufferNamed, cellOffset, flatIndex, type Place } from '../address.js';
import { createCode, floatLiteral } from '../code.js';
import { gridOf, pointer, sharedLimit, signature, type CudaContext, type LoweredKernel } from '../lowered.js';
import { openLoop, outerLines } from '../prologue.js';
import { scalarText } from '../scalar.js';
import { copiesInOrder } from '../carry.js';
import { foldText } from './folds.js';
import { planStorage } from './storage.js';

const THREADS = 256;

/** C text of one element of a tile, given the index text of every axis. */
export type ElementText = (tile: TileId, at: ReadonlyMap<Axis, string>, place: Place) => string;

/**
 * The lowering that takes every kernel: tiles are f32 arrays in shared memory (in device memory what does not fit), every operation is a
 * loop of the whole block over the elements of its result. Slow and plain; the judge of the fast paths.
 */
export function lowerSimt(cx: CudaContext, kernel: TileKernel): LoweredKernel {
  const { module } = cx;
  const limit = Math.floor(sharedLimit(cx.target) / 4) - 64;
  const splitSize = kernel.split === undefined ? 1 : axisSize(module, kernel.split);
  const divisors = [64, 32, 16, 8, 4, 2, 1].filter((n) => splitSize % n === 0);
  const wanted = kernel.split === undefined ? [1] : divisors.filter((n) => n <= 32);
  const withBlock = (block: number) => (axis: Axis) => (axis === kernel.split ? block : axisSize(module, axis));
  const plan = (block: number) => {
    const size = withBlock(block);
    return planStorage(kernel, (axes) => axes.reduce((n, axis) => n * size(axis), 1), limit);
  };
  const block = wanted.find((n) => plan(n).globalFloats === 0) ?? wanted[wanted.length - 1];
  const storage = plan(block);
  const size = withBlock(block);
  const blocks = splitSize / block;
  const scratchName = `${kernel.name}_scratch`;
  const scratch = storage.globalFloats === 0 ? [] : [scratchName];
  const { args, parameters } = signature(cx, kernel, scratch);
  const code = createCode();

  const element: ElementText = (tile, at, place) => {
    const home = storage.homes.get(tile);
    if (home === undefined) throw new Error(`${kernel.name}: tile ${tile} is read before it has a value`);
    switch (home.kind) {
      case 'scalar': return `t${tile}`;
      case 'array': return `t${tile}[${localIndex(kernel.tiles[tile].axes, at)}]`;
      case 'inline': return opText(home.op, at, place);
    }
  };
  const index = (at: ReadonlyMap<Axis, string>, axis: Axis) => {
    const text = at.get(axis);
    if (text === undefined) throw new Error(`${kernel.name}: axis ${axis} has no index here`);
    return text;
  };
  const localIndex = (axes: readonly Axis[], at: ReadonlyMap<Axis, string>) =>
    axes.length === 0 ? '0' : axes.slice(1).reduce((text, axis) => `(${text}) * ${size(axis)} + ${index(at, axis)}`, index(at, axes[0]));
  const globalIndex = (axes: readonly Axis[], at: ReadonlyMap<Axis, string>) =>
    flatIndex(module, axes, (axis) => (axis === kernel.split ? `(v0 + ${index(at, axis)})` : index(at, axis)));

  /** Element text of operations that need no loop of their own. */
  const opText = (op: TileOp, at: ReadonlyMap<Axis, string>, place: Place): string => {
    switch (op.op) {
      case 'load': {
        const buffer = bufferNamed(module, op.buffer);
        const name = pointer(buffer.name);
        const inner = globalIndex(buffer.axes, at);
        if (buffer.outer !== 'token' || op.rows === 'one') return `ld(${name} + ${cellOffset(module, buffer, place)} + ${inner})`;
        const row = index(at, op.rows === 'col' ? COL : ROW);
        return `(${row} < ${place.length} ? ld(${name} + ${cellOffset(module, buffer, { ...place, first: `(${place.first} + ${row})` })} + ${inner}) : 0.f)`;
      }
      case 'literal': return floatLiteral(op.value);
      case 'zeros': return '0.f';
      case 'head': return `(float)${place.head ?? place.group}`;
      case 'heads': return '(float)d.heads';
      case 'keep': return `(${index(at, ROW)} < ${place.length} ? ${element(op.arg, at, place)} : 0.f)`;
      case 'map': return scalarText(op.fn, op.args.map((arg) => element(arg, at, place)));
      case 'swap': {
        const turned = new Map(at);
        const row = at.get(ROW);
        const col = at.get(COL);
        if (row !== undefined) turned.set(COL, row);
        if (col !== undefined) turned.set(ROW, col);
        return element(op.arg, turned, place);
      }
      case 'pick': return element(op.arg, new Map(at).set(ROW, op.row === 'first' ? '0' : `${module.chunk - 1}`), place);
      case 'shift': {
        const row = index(at, ROW);
        const edge = op.edge === undefined ? '0.f' : element(op.edge, at, place);
        const from = element(op.arg, new Map(at).set(ROW, `(${row} - ${op.by})`.replace('- -', '+ ')), place);
        return `(${row} == ${op.by === 1 ? 0 : module.chunk - 1} ? ${edge} : ${from})`;
      }
      case 'mask': return `(${index(at, COL)} ${op.strict ? '<' : '<='} ${index(at, ROW)} ? ${element(op.arg, at, place)} : 0.f)`;
      case 'reduce': case 'contract': case 'compose': case 'cumsum': case 'dscore': case 'dscoreRow': case 'dscoreCol': case 'inverse': case 'recur':
        throw new Error(`${op.op} has no element text`);
    }
    op satisfies never;
  };

  /** Writes the loop of the block over the elements of `axes`; `body` gets the indices. */
  const overElements = (axes: readonly Axis[], body: (at: Map<Axis, string>) => void) => {
    const total = axes.reduce((n, axis) => n * size(axis), 1);
    code.open(`for (int i = threadIdx.x; i < ${total}; i += ${THREADS})`);
    const at = new Map<Axis, string>();
    let rest = 1;
    for (const axis of [...axes].reverse()) {
      const text = rest === 1 ? 'i' : `i / ${rest}`;
      at.set(axis, axis === axes[0] ? `(${text})` : `(${text} % ${size(axis)})`);
      rest *= size(axis);
    }
    body(at);
    code.close();
  };
  const assign = (tile: TileId, axes: readonly Axis[], value: (at: Map<Axis, string>) => string) => {
    if (axes.length === 0) {
      const text = value(new Map());
      code.line(`t${tile} = ${text};`);
      // The array it came from may be overwritten next.
      if (text.includes('[')) code.line('__syncthreads();');
    } else {
      overElements(axes, (at) => code.line(`t${tile}[${localIndex(axes, at)}] = ${value(at)};`));
      code.line('__syncthreads();');
    }
  };

  const letText = (tile: TileId, op: TileOp, place: Place) => {
    const { axes } = kernel.tiles[tile];
    switch (op.op) {
      case 'reduce': case 'contract': {
        const start = op.op === 'contract' || op.reduce === 'sum' ? '0.f' : op.reduce === 'max' ? floatLiteral(-Infinity) : floatLiteral(Infinity);
        const fold = (at: Map<Axis, string>) => {
          const inside = new Map(at).set(op.axis, 'j');
          const term = op.op === 'contract' ? `${element(op.a, inside, place)} * ${element(op.b, inside, place)}` : element(op.arg, inside, place);
          const sum = op.op === 'contract' || op.reduce === 'sum' ? `acc += ${term};` : `acc = ${op.reduce === 'max' ? 'fmaxf' : 'fminf'}(acc, ${term});`;
          code.line(`float acc = ${start};`);
          code.line(`for (int j = 0; j < ${size(op.axis)}; ++j) ${sum}`);
        };
        if (axes.length === 0) {
          code.open('');
          fold(new Map());
          code.line(`t${tile} = acc;`);
          code.close();
          code.line('__syncthreads();');
        } else {
          overElements(axes, (at) => {
            fold(at);
            code.line(`t${tile}[${localIndex(axes, at)}] = acc;`);
          });
          code.line('__syncthreads();');
        }
        return;
      }
      case 'compose': case 'cumsum': case 'recur': case 'inverse': case 'dscore': case 'dscoreRow': case 'dscoreCol': {
        const out = (at: ReadonlyMap<Axis, string>) => `t${tile}[${localIndex(axes, at)}]`;
        foldText(op, { code, chunk: module.chunk, size, out, element: (id, at) => element(id, at, place), over: (wanted, body) => overElements(wanted, body), axes });
        code.line('__syncthreads();');
        return;
      }
      case 'load': case 'literal': case 'zeros': case 'head': case 'heads': case 'keep': case 'map': case 'swap': case 'pick': case 'shift': case 'mask':
        assign(tile, axes, (at) => opText(op, at, place));
        return;
    }
    op satisfies never;
  };

  const storeText = (name: string, value: TileId, place: Place) => {
    const buffer = bufferNamed(module, name);
    const axes = kernel.tiles[value].axes;
    const rowAxis = buffer.outer === 'token' && place.token === undefined ? (axes.includes(COL) && !axes.includes(ROW) ? COL : ROW) : undefined;
    const all = rowAxis === undefined ? buffer.axes : [rowAxis, ...buffer.axes];
    const write = (at: ReadonlyMap<Axis, string>) => {
      const row = rowAxis === undefined ? undefined : index(at, rowAxis);
      const here = row === undefined ? place : { ...place, first: `(${place.first} + ${row})` };
      const guard = row === undefined ? '' : `if (${row} < ${place.length}) `;
      code.line(`${guard}st(${pointer(name)} + ${cellOffset(module, buffer, here)} + ${globalIndex(buffer.axes, at)}, ${element(value, at, place)});`);
    };
    // A value without the split axis is the same in every block: the first writes it.
    const once = kernel.split !== undefined && !buffer.axes.includes(kernel.split) && blocks > 1;
    if (once) code.open('if (v0 == 0)');
    if (all.length === 0) {
      code.open('if (threadIdx.x == 0)');
      write(new Map());
      code.close();
    } else overElements(all, write);
    if (once) code.close();
    code.line('__syncthreads();');
  };

  const copy = (to: TileId, from: TileId, place: Place) => {
    if (to !== from) assign(to, kernel.tiles[to].axes, (at) => element(from, at, place));
  };

  const loopText = (loop: TileLoop, place: Place, depth: number) => {
    for (const { tile, init } of loop.carry) copy(tile, init, place);
    const inside = openLoop(code, kernel, loop, `n${depth}`, module.chunk, place);
    bodyText(loop.body, inside, depth + 1);
    for (const { tile, next } of copiesInOrder(loop)) copy(tile, next, inside);
    code.close();
  };

  const bodyText = (body: readonly TileStmt[], place: Place, depth: number): void => {
    for (const stmt of body) {
      switch (stmt.kind) {
        case 'let':
          if (storage.homes.get(stmt.tile)?.kind !== 'inline') letText(stmt.tile, stmt.op, place);
          break;
        case 'store':
          storeText(stmt.buffer, stmt.value, place);
          break;
        case 'loop':
          loopText(stmt, place, depth);
          break;
        default:
          stmt satisfies never;
      }
    }
  };

  code.line(`// ${kernel.doc}`);
  code.open(`extern "C" __global__ void __launch_bounds__(${THREADS}) ${kernel.name}(${parameters})`);
  code.line('float* const sm = (float*)smem;');
  code.line(`const int v0 = ${blocks === 1 ? '0' : `(int)(blockIdx.x % ${blocks}) * ${block}`};`);
  code.line(`const int outer = ${blocks === 1 ? 'blockIdx.x' : `blockIdx.x / ${blocks}`};`);
  code.line('const int per_group = d.heads / d.groups;');
  if (kernel.inner === 'head') code.line('const int head = blockIdx.y, group = head / per_group;');
  else code.line('const int group = blockIdx.y;');
  const home: Place = kernel.inner === 'head' ? { head: 'head', group: 'group' } : { group: 'group' };
  const place = outerLines(code, kernel, home);
  if (scratch.length > 0) code.line(`float* const far_ = ${pointer(scratchName)} + (i64)(blockIdx.y * gridDim.x + blockIdx.x) * ${storage.globalFloats};`);
  for (const [tile, at] of storage.homes) {
    if (at.kind === 'scalar') code.line(`float t${tile} = 0.f;`);
    if (at.kind === 'array') code.line(`float* const t${tile} = ${at.space === 'shared' ? 'sm' : 'far_'} + ${at.offset};`);
  }
  bodyText(kernel.body, place, 0);
  code.close();

  const grid = gridOf(kernel, blocks);
  const programs: Extent[] = [...grid[0], ...grid[1]];
  return {
    text: code.text(),
    runtime: ['rt/base.cuh', 'rt/math.cuh'],
    block: THREADS,
    sharedBytes: storage.sharedFloats * 4,
    grid,
    args,
    scratch: scratch.map((name) => ({ name, role: 'workspace', dtype: 'f32', shape: [...programs, storage.globalFloats], axes: [] })),
  };
}
