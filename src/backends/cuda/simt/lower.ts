import { COL, ROW, sameAxes, type Axis } from '../../../ir/common/axes.js';
import { operandsOf, storedBuffers } from '../../../ir/tile/operands.js';
import type { TileId, TileKernel, TileLoop, TileOp, TileStmt } from '../../../ir/tile/tile.js';
import { axisSize, bufferNamed, type Place } from '../address.js';
import { copiesInOrder } from '../carry.js';
import { createCode, floatLiteral } from '../code.js';
import { gridOf, pointer, sharedLimit, signature, type CudaContext, type LoweredKernel } from '../lowered.js';
import { openLoop, outerLines } from '../prologue.js';
import { walk } from '../uses.js';
import { createBarriers } from './barriers.js';
import { createElements, spotAt, type Spot } from './element.js';
import { decayCall, decayOperands, foldText, type DecayOp } from './folds.js';
import { homesOf, productAxes, type Homes, type Product } from './homes.js';
import { orient, productsText, shapeOf, stageFloats, type Running } from './product.js';
import { arrayAxes, pitchOf, planStorage } from './storage.js';

const THREADS = 256;
/** Kernels with scratch in device memory take turns on it: one block per multiprocessor. */
const SCRATCH_BLOCKS = 132;

/**
 * The lowering that takes every kernel, in f32 throughout: tiles that many statements read are arrays in shared memory (in device memory what does
 * not fit), the others are expressions in the loops of their readers; products run as outer products in registers.
 */
export function lowerSimt(cx: CudaContext, kernel: TileKernel): LoweredKernel {
  const { module } = cx;
  const homes = homesOf(kernel);
  const splitSize = kernel.split === undefined ? 1 : axisSize(module, kernel.split);
  const wanted = kernel.split === undefined ? [1] : [64, 32, 16, 8, 4, 2, 1].filter((n) => splitSize % n === 0);
  const withBlock = (block: number) => (axis: Axis) => (axis === kernel.split ? block : axisSize(module, axis));
  const plan = (block: number) => {
    const stage = Math.ceil(stageOf(kernel, homes, withBlock(block)) / 4) * 4;
    return { block, stage, ...planStorage(kernel, homes, withBlock(block), Math.floor(sharedLimit(cx.target) / 4) - stage) };
  };
  const storage = wanted.map(plan).find((option) => option.globalFloats === 0) ?? plan(Math.min(wanted[0], 32));
  const { block, stage } = storage;
  const blocks = splitSize / block;
  const scratchName = `${kernel.name}_scratch`;
  const scratch = storage.globalFloats === 0 ? [] : [scratchName];
  const { args, parameters } = signature(cx, kernel, scratch);
  const code = createCode();
  const elements = createElements({ cx, kernel, code, homes, storage, split: block });
  const barriers = createBarriers(homes, storage, stage, () => code.line('__syncthreads();'));
  const { size } = elements;
  const stored = new Set(storedBuffers(kernel.body));
  const axesOf = (tile: TileId) => kernel.tiles[tile].axes;
  const array = (tile: TileId) => {
    const home = homes.get(tile);
    return home?.kind === 'same' ? home.as : tile;
  };

  /** Writes the loop of the block over the elements of `axes`, `width` neighbours along the last at a time. */
  const overElements = (axes: readonly Axis[], width: number, body: (at: Map<Axis, string>) => void) => {
    const total = axes.reduce((n, axis) => n * size(axis), 1) / width;
    code.open(`for (int i = threadIdx.x; i < ${total}; i += ${THREADS})`);
    const at = new Map<Axis, string>();
    let rest = 1;
    for (const axis of [...axes].reverse()) {
      const last = axis === axes[axes.length - 1];
      const extent = last ? size(axis) / width : size(axis);
      const part = `${rest === 1 ? 'i' : `i / ${rest}`}${axis === axes[0] ? '' : ` % ${extent}`}`;
      const name = indexName(axis);
      code.line(`const int ${name} = ${last && width > 1 ? `${part} * ${width}` : part};`);
      at.set(axis, name);
      rest *= extent;
    }
    body(at);
    code.close();
  };
  /** Neighbours that can be computed together; a shift of rows takes them one by one. */
  const widthOf = (axes: readonly Axis[], value: TileId): number => {
    const last = axes[axes.length - 1];
    return last === undefined || size(last) % 4 !== 0 || ((last === ROW || last === COL) && shifts(homes, value)) ? 1 : 4;
  };
  const spotOf = (axes: readonly Axis[], at: ReadonlyMap<Axis, string>, place: Place, width: number): Spot => spotAt(at, place, axes[axes.length - 1], width);

  /** Fused products that a value takes in, innermost first. */
  const runningIn = (tile: TileId): readonly Running[] => {
    const home = homes.get(tile);
    if (home?.kind === 'fused') return [{ tile, op: home.op }];
    return home?.kind === 'inline' ? operandsOf(home.op).flatMap(runningIn) : [];
  };
  const products = (running: readonly Running[], target: readonly Axis[], place: Place, finish: (spot: Spot) => void) => {
    barriers.reads(running.flatMap(({ op }) => operandsOf(op)));
    barriers.stage();
    productsText({ kernel, code, homes, elements, stage: 'stage', barrier: () => barriers.force() }, running, target, place, finish);
  };
  /** An expression to an array or a register. */
  const assign = (tile: TileId, sources: readonly TileId[], place: Place, value: (spot: Spot) => (e: string) => string, moves = false) => {
    const axes = arrayAxes(axesOf(tile));
    if (axes.length === 0) {
      barriers.reads(sources);
      code.open('');
      const text = value(spotAt(new Map(), place))('0');
      code.line(`t${tile} = ${text};`);
      code.close();
      return;
    }
    const running = sources.flatMap(runningIn);
    if (running.length > 0) {
      const rest = () => barriers.access(sources, [array(tile)]);
      barriers.before(sources, [array(tile)]);
      products(running, axes, place, (spot) => elements.put(tile, spot, value(spot)));
      rest();
      return;
    }
    barriers.before(sources, [array(tile)]);
    const last = axes[axes.length - 1];
    const width = Math.min(...sources.map((source) => widthOf(axes, source)), size(last) % 4 === 0 && !(moves && last === ROW) ? 4 : 1);
    overElements(axes, width, (at) => {
      const spot = spotOf(axes, at, place, width);
      elements.put(tile, spot, value(spot));
    });
    barriers.access(sources, [array(tile)]);
  };

  const foldAxis = (tile: TileId, axis: Axis, all: readonly Axis[], sources: readonly TileId[], place: Place, how: 'sum' | 'max' | 'min', term: (spot: Spot) => string) => {
    const axes = arrayAxes(axesOf(tile));
    const start = how === 'sum' ? '0.f' : floatLiteral(how === 'max' ? -Infinity : Infinity);
    const step = (x: string) => (how === 'sum' ? `acc += ${x};` : `acc = ${how === 'max' ? 'fmaxf' : 'fminf'}(acc, ${x});`);
    const fn = how === 'sum' ? 'fold_sum' : how === 'max' ? 'fmaxf' : 'fminf';
    const total = axes.reduce((n, each) => n * size(each), 1);
    const across = size(axis) >= 32 && (axes.length === 0 || arrayAxes(all)[all.length - 1] === axis);
    const writes = axes.length === 0 ? [] : [array(tile)];
    barriers.before(sources, writes);
    const terms = (at: Map<Axis, string>, first: string, by: number) => {
      code.line(`float acc = ${start};`);
      code.line('#pragma unroll 4');
      code.open(`for (int j = ${first}; j < ${size(axis)}; j += ${by})`);
      code.line(step(term(spotAt(new Map(at).set(axis, 'j'), place))));
      code.close();
    };
    const lane = '(int)(threadIdx.x & 31)';
    const folded = `lanes_fold(acc, [](float x, float y) { return ${fn}(x, y); })`;
    if (axes.length === 0) {
      // Every warp computes the number for itself.
      code.open('');
      terms(new Map(), across ? lane : '0', across ? 32 : 1);
      code.line(`t${tile} = ${across ? folded : 'acc'};`);
      code.close();
    } else if (across) {
      code.open(`for (int i = threadIdx.x / 32; i < ${total}; i += ${THREADS / 32})`);
      const at = new Map<Axis, string>();
      let rest = 1;
      for (const each of [...axes].reverse()) {
        at.set(each, `(${rest === 1 ? 'i' : `i / ${rest}`}${each === axes[0] ? '' : ` % ${size(each)}`})`);
        rest *= size(each);
      }
      terms(at, lane, 32);
      code.line(`acc = ${folded};`);
      code.open('if ((threadIdx.x & 31) == 0)');
      elements.put(tile, spotAt(at, place), () => 'acc');
      code.close();
      code.close();
    } else {
      overElements(axes, 1, (at) => {
        terms(at, '0', 1);
        elements.put(tile, spotAt(at, place), () => 'acc');
      });
    }
    barriers.access(sources, writes);
  };

  const decayText = (tile: TileId, op: DecayOp, place: Place) => {
    const channels = size(op.axis);
    const pitch = pitchOf([ROW, op.axis], size);
    const scores = pitchOf([ROW, COL], size);
    const { a, b } = decayOperands(op);
    barriers.before([op.g], []);
    barriers.stage();
    const width = widthOf([ROW, op.axis], op.g);
    overElements([ROW, op.axis], width, (at) => {
      const spot = spotAt(at, place, op.axis, width);
      const g = elements.value(op.g, spot);
      code.line(width === 1 ? `stage[${indexName(ROW)} * ${pitch} + ${indexName(op.axis)}] = m_exp(${g('0')});` : `UNROLL for (int e = 0; e < ${width}; ++e) stage[${indexName(ROW)} * ${pitch} + ${indexName(op.axis)} + e] = m_exp(${g('e')});`);
    });
    barriers.force();
    code.line(decayCall(op, module.chunk, channels, pitch, scores, { out: `t${array(tile)}`, a: `t${array(a)}`, b: `t${array(b)}`, decay: 'stage' }));
    barriers.access([a, b], [array(tile)]);
    barriers.stageRead();
  };

  const letText = (tile: TileId, op: TileOp, place: Place): void => {
    switch (op.op) {
      case 'reduce':
        foldAxis(tile, op.axis, axesOf(op.arg), [op.arg], place, op.reduce, (spot) => elements.value(op.arg, spot)('0'));
        return;
      case 'contract': case 'compose': {
        if (productAxes(kernel, op) !== undefined) {
          barriers.before([op.a, op.b], [array(tile)]);
          products([{ tile, op }], arrayAxes(axesOf(tile)), place, (spot) => elements.put(tile, spot, spot.sums.get(tile) ?? (() => '0.f')));
          barriers.access([op.a, op.b], [array(tile)]);
          return;
        }
        if (op.op === 'compose') throw new Error('compose of what is no matrix');
        const all = [...new Set([...axesOf(op.a), ...axesOf(op.b)])];
        foldAxis(tile, op.axis, all, [op.a, op.b], place, 'sum', (spot) => `${elements.value(op.a, spot)('0')} * ${elements.value(op.b, spot)('0')}`);
        return;
      }
      case 'cumsum': case 'recur': {
        const axes = arrayAxes(axesOf(tile));
        barriers.before(operandsOf(op), [array(tile)]);
        foldText(op, {
          code, chunk: module.chunk, size, axes,
          out: (at) => elements.arrayAt(array(tile), at),
          element: (id, at) => elements.value(id, spotAt(at, place))('0'),
          over: (wanted, body) => overElements(wanted, 1, body),
        });
        barriers.access(operandsOf(op), [array(tile)]);
        return;
      }
      case 'inverse': {
        barriers.before([op.arg], [array(tile)]);
        barriers.stage();
        code.line(`inverse<${module.chunk}, ${pitchOf([ROW, COL], size)}>(t${array(tile)}, t${array(op.arg)}, stage);`);
        barriers.force();
        return;
      }
      case 'dscore': case 'dscoreRow': case 'dscoreCol': decayText(tile, op, place); return;
      case 'load': case 'literal': case 'zeros': case 'head': case 'heads': case 'keep': case 'map': case 'swap': case 'pick': case 'shift': case 'mask':
        // What this kernel has stored may be what it reads.
        if (op.op === 'load' && stored.has(op.buffer)) barriers.flush();
        assign(tile, operandsOf(op), place, (spot) => elements.operation(tile, op, spot), op.op === 'shift');
        return;
    }
    op satisfies never;
  };

  const storeText = (name: string, value: TileId, place: Place) => {
    const buffer = bufferNamed(module, name);
    const tokens = buffer.outer === 'token' && place.token === undefined;
    const row = axesOf(value).includes(COL) && !axesOf(value).includes(ROW) ? COL : ROW;
    const all = tokens ? [row, ...buffer.axes] : buffer.axes;
    const running = runningIn(value);
    barriers.before([value], []);
    barriers.buffer(name);
    // A value without the split axis is the same in every block: the first writes it.
    const once = kernel.split !== undefined && !buffer.axes.includes(kernel.split) && blocks > 1;
    const write = (spot: Spot) => elements.store(name, spot, elements.value(value, spot));
    if (running.length > 0 && sameAxes(all, axesOf(running[0].tile))) {
      products(running, all, place, (spot) => {
        if (once) code.open('if (v0 == 0)');
        write(spot);
        if (once) code.close();
      });
    } else {
      if (once) code.open('if (v0 == 0)');
      if (all.length === 0) {
        code.open('if (threadIdx.x == 0)');
        write(spotAt(new Map(), place));
        code.close();
      } else {
        const width = widthOf(all, value);
        overElements(all, width, (at) => write(spotOf(all, at, place, width)));
      }
      if (once) code.close();
    }
    barriers.access([value], []);
  };

  const copy = (to: TileId, from: TileId, place: Place) => {
    if (to !== from && array(from) !== to) assign(to, [from], place, (spot) => elements.value(from, spot));
  };

  const loopText = (loop: TileLoop, place: Place, depth: number) => {
    for (const { tile, init } of loop.carry) copy(tile, init, place);
    barriers.flush();
    const inside = openLoop(code, kernel, loop, `n${depth}`, module.chunk, place);
    bodyText(loop.body, inside, depth + 1);
    for (const { tile, next } of copiesInOrder(loop)) copy(tile, next, inside);
    barriers.flush();
    code.close();
  };

  const bodyText = (body: readonly TileStmt[], place: Place, depth: number): void => {
    for (const stmt of body) {
      switch (stmt.kind) {
        case 'let': {
          const kind = homes.get(stmt.tile)?.kind;
          if (kind !== 'inline' && kind !== 'fused') letText(stmt.tile, stmt.op, place);
          break;
        }
        case 'store': storeText(stmt.buffer, stmt.value, place); break;
        case 'loop': loopText(stmt, place, depth); break;
        default: stmt satisfies never;
      }
    }
  };

  code.line(`// ${kernel.doc}`);
  code.open(`extern "C" __global__ void __launch_bounds__(${THREADS}) ${kernel.name}(${parameters})`);
  code.line(`float* const stage = (float*)smem; float* const sm = stage + ${stage}; (void)stage, (void)sm;`);
  if (scratch.length > 0) {
    code.line(`float* const far_ = ${pointer(scratchName)} + (i64)blockIdx.x * ${storage.globalFloats};`);
    code.line('#pragma unroll 1');
    code.open(`for (int program = blockIdx.x; program < ${programsText(kernel, blocks)}; program += gridDim.x)`);
  }
  const [x, inner] = scratch.length > 0 ? [`program / ${innerCount(kernel)}`, `program % ${innerCount(kernel)}`] : ['(int)blockIdx.x', 'blockIdx.y'];
  code.line(`const int x = ${x}, v0 = ${blocks === 1 ? '0' : `x % ${blocks} * ${block}`}, outer = ${blocks === 1 ? 'x' : `x / ${blocks}`}, per_group = d.heads / d.groups;`);
  code.line('(void)v0, (void)outer, (void)per_group;');
  if (kernel.inner === 'head') code.line(`const int head = ${inner}, group = head / per_group; (void)group;`);
  else code.line(`const int group = ${inner};`);
  const place = outerLines(code, kernel, kernel.inner === 'head' ? { head: 'head', group: 'group' } : { group: 'group' });
  for (const [tile, home] of homes) if (home.kind === 'scalar') code.line(`float t${tile} = 0.f;`);
  for (const [tile, home] of storage.arrays) code.line(`float* const t${tile} = ${home.space === 'shared' ? 'sm' : 'far_'} + ${home.offset};`);
  bodyText(kernel.body, place, 0);
  if (scratch.length > 0) {
    barriers.flush();
    code.close();
  }
  code.close();

  return {
    text: code.text(),
    runtime: ['rt/base.cuh', 'rt/math.cuh', 'rt/lanes.cuh', 'rt/simt.cuh'],
    block: THREADS,
    sharedBytes: (stage + storage.sharedFloats) * 4,
    grid: scratch.length > 0 ? [[SCRATCH_BLOCKS], [1], [1]] : gridOf(kernel, blocks),
    args,
    scratch: scratch.map((name) => ({ name, role: 'workspace', dtype: 'f32', shape: [SCRATCH_BLOCKS, storage.globalFloats], axes: [] })),
  };
}

/** Number of programs of a launch along the inner dimension, and in all. */
const innerCount = (kernel: TileKernel) => (kernel.inner === 'head' ? 'd.heads' : 'd.groups');
const programsText = (kernel: TileKernel, blocks: number) => `${kernel.outer === 'once' ? '1' : `d.${kernel.outer}s`} * ${blocks} * ${innerCount(kernel)}`;

/** Floats of the stages that the kernel's statements need, one after the other. */
function stageOf(kernel: TileKernel, homes: Homes, size: (axis: Axis) => number): number {
  let floats = 0;
  walk(kernel.body, (stmt) => {
    if (stmt.kind !== 'let') return;
    const { op } = stmt;
    switch (op.op) {
      case 'contract': case 'compose': floats = Math.max(floats, productStage(kernel, op, size)); break;
      case 'inverse': floats = Math.max(floats, (size(ROW) * size(ROW)) / 4); break;
      case 'dscore': case 'dscoreRow': case 'dscoreCol': floats = Math.max(floats, size(ROW) * pitchOf([ROW, op.axis], size)); break;
      case 'load': case 'literal': case 'zeros': case 'head': case 'heads': case 'keep': case 'map': case 'swap': case 'pick': case 'shift': case 'mask': case 'reduce':
      case 'cumsum': case 'recur':
        break;
      default: op satisfies never;
    }
  });
  return floats;
}

/** Of either orientation, alone or beside another: the target decides later. */
function productStage(kernel: TileKernel, op: Product, size: (axis: Axis) => number): number {
  if (productAxes(kernel, op) === undefined) return 0;
  const { m, n, ka } = orient(kernel, op, []);
  const [M, N, K] = [size(m), size(n), size(ka)];
  return Math.max(...[1, 2].flatMap((count) => [stageFloats(shapeOf(M, N, K, count)), stageFloats(shapeOf(N, M, K, count))]));
}

/** A user's axis may be called `row`. */
const indexName = (axis: Axis) => `i_${axis.replace('%', '_')}`;

function shifts(homes: Homes, tile: TileId): boolean {
  const home = homes.get(tile);
  return home?.kind === 'inline' && (home.op.op === 'shift' || operandsOf(home.op).some((arg) => shifts(homes, arg)));
}
