import { COL, ROW, includesAll, sameAxes, runsOf, swapAxis, unionAxes, withoutAxes, type Axis } from '../common/axes.js';
import { isRows } from './domain.js';
import type { TileBuffer, TileId, TileOp } from './tile.js';

export type OpName = TileOp['op'];
type Named<N extends OpName> = Extract<TileOp, { readonly op: N }>;

/** How an operation gets its elements. */
export type Role =
  /** From nothing that costs anything. */
  | 'free'
  | 'load'
  /** From the elements of its operands at the same indices. */
  | 'pointwise'
  /** From one element of its operand at other indices. */
  | 'move'
  /** From many elements of its operands; its own elements do not depend on each other. */
  | 'fold'
  /** From its own earlier elements, or from many that are looked at in turns. */
  | 'scan';

const ROLES = {
  load: 'load', gather: 'load',
  literal: 'free', zeros: 'free', head: 'free', heads: 'free', index: 'free', number: 'free', size: 'free',
  identity: 'pointwise', draw: 'pointwise', map: 'pointwise', keep: 'pointwise', round: 'pointwise', mask: 'pointwise',
  swap: 'move', pick: 'move', shift: 'move', put: 'move', take: 'move',
  contract: 'fold', compose: 'fold', reduce: 'fold', runs: 'fold', dscore: 'fold', dscoreRow: 'fold', dscoreCol: 'fold',
  cumsum: 'scan', recur: 'scan', dgate: 'scan', inverse: 'scan', nth: 'scan', top: 'scan',
  pack: 'scan', unpack: 'scan', tally: 'scan', queue: 'scan',
} as const satisfies Readonly<Record<OpName, Role>>;

/** The operations of a role. */
export type OpOf<R extends Role> = { [N in OpName]: (typeof ROLES)[N] extends R ? Named<N> : never }[OpName];

export function roleOf(op: TileOp): Role {
  return ROLES[op.op];
}

export function hasRole<R extends Role>(op: TileOp, ...roles: readonly R[]): op is OpOf<R> {
  return roles.some((role) => role === ROLES[op.op]);
}

/** Operations whose elements have an expression of their own, made of single elements of the operands. */
export type ElementOp = OpOf<'free' | 'load' | 'pointwise' | 'move'>;

export function isElementwise(op: TileOp): op is ElementOp {
  return hasRole(op, 'free', 'load', 'pointwise', 'move');
}

/** What is known where an operation stands. */
export interface Scope {
  readonly row: boolean;
  readonly chunk: boolean;
  readonly segment: boolean;
  readonly run: boolean;
  readonly head: boolean;
}

/** How the verifier looks at an operation. */
export interface Check {
  readonly scope: Scope;
  readonly split: Axis | undefined;
  axesOf(tile: TileId): readonly Axis[];
  fault(message: string): void;
  /** undefined after a fault. */
  buffer(name: string): TileBuffer | undefined;
  /** A buffer of which any cell is read. */
  anywhere(name: string): TileBuffer | undefined;
  /** The operand has these axes at least, or exactly these. */
  needs(tile: TileId, axes: readonly Axis[], what: string): void;
  exactly(tile: TileId, axes: readonly Axis[], what: string): void;
}

type AxesOf = (tile: TileId) => readonly Axis[];

/** One operation: what everybody who only reads or counts needs to know of it. */
interface OpFacts<O extends TileOp> {
  /** Tiles it reads, in the order it names them. */
  operands(op: O): readonly TileId[];
  /** Those of them that only say how much decays: a lowering that has the running sums of such a tile reads these. */
  gates?(op: O): readonly TileId[];
  /** Axes of its result; undefined where it is made with them. */
  axes(op: O, axesOf: AxesOf): readonly Axis[] | undefined;
  /** What makes it legal beyond that. */
  check?(op: O, check: Check): void;
  text(op: O): string;
  /**
   * Arithmetic, of a result with axes `own`: two for a multiply-add; one for an element of a function, of a fold's argument, of a running
   * sum.
   */
  flops?(op: O, own: readonly Axis[], axesOf: AxesOf, elements: (axes: readonly Axis[]) => number): number;
  /** Elements that pass through registers one by one: of the result, unless it says otherwise; none where tensor cores multiply. */
  singles?(op: O, own: readonly Axis[], axesOf: AxesOf, elements: (axes: readonly Axis[]) => number): number;
}

const SCORES = [ROW, COL];
const drawnFrom = (op: Named<'draw'>) => [op.element, op.position, op.sequence, op.lane];
const none = () => [];
const arg = (op: { readonly arg: TileId }) => [op.arg];
const same = (op: { readonly arg: TileId }, axesOf: AxesOf) => axesOf(op.arg);
const withoutRow = (op: { readonly arg: TileId }, axesOf: AxesOf) => withoutAxes(axesOf(op.arg), [ROW]);
const hasRows = (op: { readonly arg: TileId }, check: Check) => check.needs(op.arg, [ROW], 'operand');
const pairs = (how: { readonly before: boolean; readonly strict: boolean }) => (how.before ? ' before' : how.strict ? ' strict' : '');
const fits = (
  op: { readonly arg: TileId }, tile: TileId, { axesOf }: Check,
) => includesAll(withoutAxes(axesOf(op.arg), [ROW]), axesOf(tile));

function checkFold(name: OpName, axis: Axis, check: Check): void {
  if (axis === check.split) check.fault(`${name}: folds the split axis ${axis}`);
}

function checkRun(name: OpName, { scope, fault }: Check): void {
  if (!scope.chunk || !scope.run) fault(`${name}: no chunk of a run is known here`);
}

type Dscore = Named<'dscore' | 'dscoreRow' | 'dscoreCol'>;

function checkGates(op: Dscore, check: Check): void {
  if (op.before && !op.strict) check.fault(`${op.op}: a read before the decay pairs rows with earlier ones only`);
  if (op.op === 'dscore') checkFold('dscore', op.axis, check);
  check.exactly(op.g, [ROW, op.axis], 'gate');
}

const dscoreFlops = (
  op: Dscore, _own: readonly Axis[], _axesOf: AxesOf, elements: (axes: readonly Axis[]) => number,
) => 2 * elements([ROW, COL, op.axis]);

const inOneGo = () => 0;

/** Tokens between which decays are taken pair by pair: larger blocks are halved until they are as small. */
const FINEST = 16;

/**
 * Both operands of a decayed product are scaled anew for every size of block: a difference of gates, its exponential, a product. `parts`:
 * into which they are split, so that adjoints cancel.
 */
const scaled = (parts: number) => (
  op: Dscore, _own: readonly Axis[], _axesOf: AxesOf, elements: (axes: readonly Axis[]) => number,
) => parts * 2 * 3 * (1 + Math.max(0, Math.ceil(Math.log2(elements([ROW]) / FINEST)))) * elements([ROW, op.axis]);

const OPS: { readonly [N in OpName]: OpFacts<Named<N>> } = {
  load: {
    operands: none, axes: () => undefined,
    check(op, { scope, fault, buffer: named }) {
      const buffer = named(op.buffer);
      if (buffer === undefined) return;
      const expected = !isRows(buffer) ? 'none' : scope.row ? 'one' : op.rows === 'col' ? 'col' : 'row';
      if (
        op.back !== undefined && (op.rows !== 'row' || !scope.run)
      ) fault(`load ${op.buffer}: no neighbours of rows are known here`);
      if (op.rows !== expected) fault(`load ${op.buffer}: rows '${op.rows}' where '${expected}' is meant`);
    },
    text: (op) => `load ${op.buffer}${op.rows === 'none' ? '' : ` ${op.rows}`}${op.back === undefined ? '' : ` back ${op.back}`}`
      + (op.whole === undefined ? '' : `, whole ${op.whole}`),
  },
  gather: {
    operands: none, axes: () => undefined,
    check(op, { scope, fault, buffer: named, anywhere }) {
      const [buffer, index] = [anywhere(op.buffer), named(op.index)];
      if (!scope.chunk || scope.row) fault(`gather ${op.buffer}: no chunk is known here`);
      if (buffer !== undefined && !isRows(buffer)) fault(`gather ${op.buffer}: it has no rows`);
      if (index === undefined) return;
      if (index.dtype !== 'i32' || !isRows(index)) fault(`gather ${op.buffer}: ${op.index} has no numbers of rows`);
      if (index.axes.some((axis) => buffer?.axes.includes(axis))) fault(`gather ${op.buffer}: ${op.index} has an axis of it`);
    },
    text: (op) => `gather ${op.buffer} ${op.rows} by ${op.index}`,
  },
  nth: {
    operands: (op) => (op.of === undefined ? [op.count] : [op.count, op.of]), axes: () => undefined,
    check(op, { scope, fault, anywhere }) {
      const buffer = anywhere(op.buffer);
      if (scope.chunk || scope.row || scope.segment) fault(`nth ${op.buffer}: rows of a part`);
      if (buffer !== undefined && (!isRows(buffer) || buffer.dtype !== 'f32')) fault(`nth ${op.buffer}: it has no rows of numbers`);
    },
    text: (op) => `nth %${op.count} ${op.buffer}${op.of === undefined ? '' : `, row of %${op.of}`}`,
  },
  top: {
    operands: (op) => [op.arg, op.count], axes: same, text: (op) => `top[${op.axes.join(', ')}] %${op.count} of %${op.arg}`,
    check(op, check) {
      check.needs(op.arg, op.axes, 'operand');
      for (const axis of op.axes) checkFold('top', axis, check);
      if (check.axesOf(op.count).some((axis) => op.axes.includes(axis))) check.fault('top: as many as differ by what is chosen from');
    },
    // Every element is looked at once for each bit of a key.
    flops: (_, own, _axesOf, elements) => 32 * elements(own),
  },
  pack: {
    operands: (op) => [op.arg, op.held],
    axes: (op, axesOf) => [...withoutAxes(unionAxes(axesOf(op.held), axesOf(op.arg)), op.axes), op.to],
    text: (op) => `pack[${op.axes.join(', ')} to ${op.to}] %${op.arg} where %${op.held}`,
    check(op, check) {
      check.needs(op.held, op.axes, 'choice');
      for (const axis of op.axes) checkFold('pack', axis, check);
      if ([op.arg, op.held].some((tile) => check.axesOf(tile).includes(op.to))) check.fault(`pack: an operand has ${op.to} already`);
    },
    flops: (op, _own, axesOf, elements) => 2 * elements(unionAxes(axesOf(op.held), axesOf(op.arg))),
  },
  unpack: {
    operands: (op) => [op.arg, op.number],
    axes: (op, axesOf) => [...withoutAxes(unionAxes(axesOf(op.number), axesOf(op.arg)), [op.from]), ...op.axes],
    text: (op) => `unpack[${op.from} to ${op.axes.join(', ')}] %${op.arg} at %${op.number}`,
    check(op, check) {
      check.needs(op.number, [op.from], 'number');
      for (const axis of [op.from, ...op.axes]) checkFold('unpack', axis, check);
      for (const tile of [op.arg, op.number]) {
        if (check.axesOf(tile).some((axis) => op.axes.includes(axis))) check.fault('unpack: an operand has its axes already');
      }
    },
    flops: (op, own, axesOf, elements) => elements(own) + elements(axesOf(op.arg)),
  },
  tally: {
    operands: arg, axes: (op) => op.axes, text: (op) => `tally[${op.axes.join(', ')}] %${op.arg}`,
    check: (op, check) => check.axesOf(op.arg).forEach((axis) => checkFold('tally', axis, check)),
    flops: (op, _own, axesOf, elements) => elements(axesOf(op.arg)),
  },
  queue: {
    operands: (op) => [op.arg, op.first], axes: same, text: (op) => `queue[${op.axes.join(', ')}] %${op.arg} from %${op.first}`,
    check(op, check) {
      hasRows(op, check);
      check.exactly(op.first, op.axes, 'start');
    },
    flops: (_, own, _axesOf, elements) => 2 * elements(own),
  },
  literal: { operands: none, axes: none, text: (op) => `${op.value}` },
  zeros: { operands: none, axes: () => undefined, text: () => 'zeros' },
  identity: { operands: none, axes: () => undefined, text: () => 'identity' },
  head: {
    operands: none, axes: none, text: () => 'head',
    check: (_, { scope, fault }) => (scope.head ? undefined : fault('head: no head is known here')),
  },
  heads: { operands: none, axes: none, text: () => 'heads' },
  index: { operands: none, axes: (op) => [op.axis], text: (op) => `index[${op.axis}]` },
  number: {
    operands: none, axes: (op) => (op.of === 'run' ? [] : [ROW]), text: (op) => `number of the ${op.of}`,
    check(op, { scope, fault }) {
      if (op.of !== 'run' && (!scope.chunk || scope.row)) fault('number: no chunk is known here');
      if (op.of !== 'row' && !scope.run) fault('number: no run is known here');
    },
  },
  size: {
    operands: none, axes: none, text: (op) => `size of ${op.of === 'run' ? 'the run' : `all ${op.of}`}`,
    check: (op, { scope, fault }) => (op.of === 'run' && !scope.run ? fault('size: no run is known here') : undefined),
  },
  keep: {
    operands: arg, axes: (op, axesOf) => unionAxes([ROW], axesOf(op.arg)), text: (op) => `keep %${op.arg}`,
    check: (_, { scope, fault }) => (scope.chunk ? undefined : fault('keep: no chunk is known here')),
  },
  round: { operands: arg, axes: same, text: (op) => `round %${op.arg}` },
  draw: {
    operands: (op) => [op.key, ...drawnFrom(op)], axes: (op, axesOf) => unionAxes(...drawnFrom(op).map(axesOf)),
    check: (op, check) => check.exactly(op.key, [op.axis], 'key'),
    text: (op) => `draw ${drawnFrom(op).map((x) => `%${x}`).join(', ')} by %${op.key}`,
    // Two products of two words a round, most of all.
    flops: (_, own, _axesOf, elements) => 80 * elements(own),
  },
  map: {
    operands: (op) => op.args, axes: (op, axesOf) => unionAxes(...op.args.map(axesOf)),
    text: (op) => `${op.fn} ${op.args.map((x) => `%${x}`).join(', ')}`,
    flops: (_, own, _axesOf, elements) => elements(own),
  },
  runs: {
    operands: arg, axes: ({ axis, length, arg: of }, axesOf) => axesOf(of).map((each) => (each === axis ? runsOf(axis, length) : each)),
    text: (op) => `runs[${op.axis}, ${op.length}] %${op.arg}`,
    check: (op, check) => check.needs(op.arg, [op.axis], 'operand'),
    flops: (op, _own, axesOf, elements) => elements(axesOf(op.arg)),
  },
  reduce: {
    operands: arg, axes: (op, axesOf) => withoutAxes(axesOf(op.arg), [op.axis]), text: (op) => `${op.reduce}[${op.axis}] %${op.arg}`,
    check(op, check) {
      check.needs(op.arg, [op.axis], 'operand');
      checkFold('reduce', op.axis, check);
    },
    flops: (op, _own, axesOf, elements) => elements(axesOf(op.arg)),
  },
  contract: {
    operands: (op) => [op.a, op.b], axes: (op, axesOf) => withoutAxes(unionAxes(axesOf(op.a), axesOf(op.b)), [op.axis]),
    check(op, check) {
      check.needs(op.a, [op.axis], 'left operand');
      check.needs(op.b, [op.axis], 'right operand');
      checkFold('contract', op.axis, check);
    },
    text: (op) => `contract[${op.axis}] %${op.a}, %${op.b}`,
    flops: (op, own, _axesOf, elements) => 2 * elements([...own, op.axis]), singles: inOneGo,
  },
  compose: {
    operands: (op) => [op.a, op.b], axes: () => SCORES,
    check(op, check) {
      check.exactly(op.a, SCORES, 'left operand');
      check.exactly(op.b, SCORES, 'right operand');
    },
    text: (op) => `compose${op.fine ? ' fine' : ''} %${op.a}, %${op.b}`,
    flops: (_op, _own, _axesOf, elements) => 2 * elements([ROW, ROW, COL]), singles: inOneGo,
  },
  swap: {
    operands: arg, axes: (op, axesOf) => axesOf(op.arg).map(swapAxis(op.axes)),
    text: (op) => `swap${op.axes === undefined ? '' : `[${op.axes.join(', ')}]`} %${op.arg}`,
  },
  cumsum: {
    operands: arg, axes: same,
    check(op, check) {
      check.needs(op.arg, [op.axis ?? ROW], 'operand');
      checkFold('cumsum', op.axis ?? ROW, check);
      if (op.decays && (op.reverse || op.axis !== undefined)) check.fault('cumsum: sums of log decays go forwards along the rows');
    },
    // Exclusive sums of log decays are the inclusive ones less their own.
    gates: (op) => (op.exclusive && op.decays ? [op.arg] : []),
    text: (op) => (
      `cumsum${op.axis === undefined ? '' : `[${op.axis}]`}${op.exclusive ? ' exclusive' : ''}`
      + `${op.reverse ? ' reversed' : op.decays ? '' : ' uncut'} %${op.arg}`
    ),
    flops: (op, _own, axesOf, elements) => elements(axesOf(op.arg)),
  },
  shift: {
    operands: (op) => (op.edge === undefined ? [op.arg] : [op.arg, op.edge]), axes: same,
    check(op, check) {
      hasRows(op, check);
      if (op.edge !== undefined && !fits(op, op.edge, check)) check.fault(`shift: edge %${op.edge} has axes the tile lacks`);
    },
    text: (op) => `shift ${op.by} %${op.arg}${op.edge === undefined ? '' : `, edge %${op.edge}`}`,
  },
  pick: { operands: arg, axes: withoutRow, check: hasRows, text: (op) => `pick ${op.row} %${op.arg}` },
  put: {
    operands: (op) => [op.arg, op.of], axes: same,
    check(op, check) {
      hasRows(op, check);
      checkRun('put', check);
      if (!fits(op, op.of, check)) check.fault(`put: %${op.of} has axes the tile lacks`);
    },
    text: (op) => `put %${op.of} at ${op.at} from the ${op.from} of %${op.arg}`,
  },
  take: {
    operands: arg, axes: withoutRow,
    check(op, check) {
      hasRows(op, check);
      checkRun('take', check);
    },
    text: (op) => `take ${op.at} from the ${op.from} of %${op.arg}`,
  },
  mask: {
    operands: arg, axes: same, check: (op, check) => check.needs(op.arg, SCORES, 'operand'),
    text: (op) => `mask${op.strict ? ' strict' : ''} %${op.arg}`,
  },
  dscore: {
    operands: (op) => [op.x, op.y, op.g], gates: (op) => [op.g], axes: () => SCORES,
    check(op, check) {
      checkGates(op, check);
      check.exactly(op.x, [ROW, op.axis], 'reader');
      check.exactly(op.y, [ROW, op.axis], 'writer');
    },
    text: (op) => `dscore[${op.axis}]${pairs(op)} %${op.x}, %${op.y} by %${op.g}`, flops: dscoreFlops, singles: scaled(1),
  },
  dscoreRow: {
    operands: (op) => [op.a, op.y, op.g], gates: (op) => [op.g], axes: (op) => [ROW, op.axis],
    check(op, check) {
      checkGates(op, check);
      check.exactly(op.a, SCORES, 'scores');
      check.exactly(op.y, [ROW, op.axis], 'writer');
    },
    text: (op) => `dscoreRow[${op.axis}]${pairs(op)} %${op.a}, %${op.y} by %${op.g}`, flops: dscoreFlops, singles: scaled(2),
  },
  dscoreCol: {
    operands: (op) => [op.a, op.x, op.g], gates: (op) => [op.g], axes: (op) => [COL, op.axis],
    check(op, check) {
      checkGates(op, check);
      check.exactly(op.a, SCORES, 'scores');
      check.exactly(op.x, [ROW, op.axis], 'reader');
    },
    text: (op) => `dscoreCol[${op.axis}]${pairs(op)} %${op.a}, %${op.x} by %${op.g}`, flops: dscoreFlops, singles: scaled(2),
  },
  dgate: {
    operands: (op) => [op.a, op.x, op.y, op.decay], axes: (op, axesOf) => unionAxes(axesOf(op.x), axesOf(op.y), axesOf(op.decay)),
    check(op, check) {
      check.exactly(op.a, SCORES, 'scores');
      for (const [tile, what] of [[op.x, 'reader'], [op.y, 'writer'], [op.decay, 'decay']] as const) {
        check.needs(tile, [ROW], what);
        if (check.axesOf(tile).includes(COL)) check.fault(`dgate: ${what} %${tile} has a second row axis`);
      }
    },
    text: (op) => `dgate${op.before ? ' before' : ''} %${op.a}, %${op.x}, %${op.y} by %${op.decay}`,
    flops: (_, own, _axesOf, elements) => 3 * elements([COL, ...own]),
  },
  inverse: {
    operands: arg, axes: () => SCORES, check: (op, check) => check.exactly(op.arg, SCORES, 'operand'),
    text: (op) => `inverse${op.fine ? ' fine' : ''} %${op.arg}`,
    flops: (_op, _own, _axesOf, elements) => Math.round(elements([ROW, ROW, COL]) / 3),
  },
  recur: {
    operands: (op) => [op.decay, ...(op.less === undefined ? [] : [op.less]), op.write, op.init],
    axes: (op, axesOf) => unionAxes(axesOf(op.decay), axesOf(op.write)),
    check(op, { axesOf, fault }) {
      const axes = unionAxes(axesOf(op.decay), axesOf(op.write));
      if (op.less !== undefined && !sameAxes(axesOf(op.less), axesOf(op.decay))) fault(`recur: %${op.less} has not the axes of the decay`);
      if (!axes.includes(ROW)) fault('recur: neither decay nor write has a row axis');
      if (!includesAll(withoutAxes(axes, [ROW]), axesOf(op.init))) fault(`recur: the start %${op.init} has axes that decay and write lack`);
    },
    text: (op) => `recur${op.reverse ? ' reversed' : ''} %${op.decay}${op.less === undefined ? '' : ` (1 + %${op.less})`}, `
      + `%${op.write} from %${op.init}`,
    flops: (_, own, _axesOf, elements) => 2 * elements(own),
  },
};

/** The record of an operation. Methods may take less than their type says: each is filed under the one that it takes. */
export function factsOf(op: TileOp): OpFacts<TileOp> {
  return OPS[op.op];
}

/** Tiles an operation reads, in the order it names them. */
export function operandsOf(op: TileOp): readonly TileId[] {
  return factsOf(op).operands(op);
}

/** The operands that are read as they are, gates left aside. */
export function valueOperands(op: TileOp): readonly TileId[] {
  const gates = factsOf(op).gates?.(op) ?? [];
  return operandsOf(op).filter((tile) => !gates.includes(tile));
}
