import type { GraphOutput } from '../../ir/graph/graph.js';
import type { Axis } from '../../ir/graph/types.js';
import { within } from './demand.js';
import { valuesOf, type Scope } from './scope.js';
import type { Frame, Tokens } from './tokens.js';
import {
  alias, elementMap, hasAxis, joinMasks, makeValue, offsets, rowsIn, sameOrder, sizeOf, strides, type Mask, type Value,
} from './value.js';

/**
 * A part evaluated on some tokens of the caller, for `group` of its `width` lanes from `first` on. Row i of its tokens is copy
 * `rows.copies[i]` in lane `rows.lanes[i]`.
 */
export interface UnitTokens {
  readonly tokens: Tokens;
  /** The caller's copies. */
  readonly base: Frame;
  /** Are its tokens those of the caller, without lanes? */
  readonly whole: boolean;
  readonly first: number;
  readonly group: number;
  readonly width: number;
  readonly rows: { readonly copies: Int32Array; readonly lanes: Int32Array };
}

export interface Unit extends UnitTokens {
  readonly scope: Scope;
}

type Renamed = (axis: Axis) => Axis;

/** An argument as the part sees it: with its own names of axes, on its tokens. */
export function gatherArgument(
  scope: Scope, unit: UnitTokens, lanes: readonly Axis[], arg: Value, signature: readonly Axis[], renamed: Renamed,
): Value {
  const outer = signature.map(renamed);
  const inside = arg.masks.filter(({ of, picked }) => picked || !within(of.axes, lanes));
  const masks = inside.map(({ of, picked }): Mask => {
    const own = signature.filter((axis) => hasAxis(of.axes, renamed(axis)));
    return { of: gatherArgument(scope, unit, lanes, of, own, renamed), picked };
  });
  const laneless = !lanes.some((lane) => hasAxis(arg.axes, lane));
  if (unit.whole && laneless && sameOrder(arg.axes, outer)) return alias(arg, { axes: signature, masks });
  const { tokens } = unit;
  const few = arg.frame.level === 'one' || arg.frame.level === 'sequence';
  const coarse = few && (laneless || unit.group === 1);
  const frame = !coarse ? tokens.byToken : arg.frame.level === 'one' ? tokens.one : tokens.bySequence;
  const laneAt = offsets(lanes, strides(lanes, arg.axes));
  const rows = coarse ? undefined : rowsIn(scope.tokens, arg, unit.base);
  const rowAt = (copy: number): number => (coarse ? copy : rows === undefined ? unit.rows.copies[copy] : rows[unit.rows.copies[copy]]);
  const lane = (copy: number): number => (coarse ? unit.first : unit.rows.lanes[copy]);
  const from = Int32Array.from({ length: frame.copies }, (_, copy) => rowAt(copy) * arg.cell + laneAt[lane(copy)]);
  const cells = elementMap(outer, arg.axes);
  const data = new Float64Array(frame.copies * cells.length);
  for (let copy = 0, to = 0; copy < frame.copies; copy++) {
    for (let i = 0; i < cells.length; i++) data[to++] = arg.data[from[copy] + cells[i]];
  }
  const { tape } = scope.run;
  const varies = tape !== undefined && arg.varies;
  const value = makeValue(frame, signature, data, { masks, varies });
  if (tape !== undefined && varies) {
    tape.push(value, (cotangent, into) => {
      const to = into(arg);
      for (let copy = 0, at = 0; copy < frame.copies; copy++) {
        for (let i = 0; i < cells.length; i++) to[from[copy] + cells[i]] += cotangent[at++];
      }
    });
  }
  return value;
}

interface Assembly {
  readonly lanes: readonly Axis[];
  readonly units: readonly Unit[];
  readonly output: GraphOutput;
  readonly renamed: Renamed;
  readonly args: readonly Value[];
}

/** One output of all units, as the caller sees it: absent where an argument is restricted along lanes, 0 where nothing was evaluated. */
export function assemble(scope: Scope, { lanes, units, output, renamed, args }: Assembly): Value {
  const { tokens, run: { tape } } = scope;
  const values = units.map((unit) => valuesOf(unit.scope, [output.value])[0]);
  const outer = output.axes.map(renamed);
  if (units.length === 1 && units[0].whole && sameOrder(values[0].axes, output.axes)) {
    const masks = values[0].masks.map(({ of, picked }) => ({ of: alias(of, { axes: of.axes.map(renamed) }), picked }));
    return alias(values[0], { axes: outer, masks });
  }
  const [{ base, width }] = units;
  const all = (level: Frame['level']): boolean => values.every((value) => value.frame.level === 'one' || value.frame.level === level);
  const frame = all('one') ? tokens.one : all('sequence') ? tokens.bySequence : base;
  const axes = [...lanes, ...outer];
  const cell = sizeOf(output.axes);
  const data = new Float64Array(frame.copies * width * cell);
  const pieces = units.map((unit, n) => pieceOf(unit, values[n], frame, output.axes, width));
  pieces.forEach((piece) => move(piece, cell, (to, from) => {
    data[to] = piece.value.data[from];
  }));
  const own = ownMasks(pieces, units, output.axes, cell, data.length)
    .map(({ there, picked }): Mask => ({ of: makeValue(frame, axes, there), picked }));
  const masks = frame === base ? args.flatMap((arg) => arg.masks.filter(({ of, picked }) => !picked && within(of.axes, lanes))) : [];
  const varies = tape !== undefined && values.some((value) => value.varies);
  const out = makeValue(frame, axes, data, { masks: joinMasks(masks, own), varies });
  if (tape !== undefined && varies) {
    tape.push(out, (cotangent, into) => {
      for (const piece of pieces) {
        if (!piece.value.varies) continue;
        const to = into(piece.value);
        move(piece, cell, (at, from) => {
          to[from] += cotangent[at];
        });
      }
    });
  }
  return out;
}

/** Where the rows of a unit's value lie, in its data and, in rows of `cell`, in the assembled one. */
interface Piece {
  readonly value: Value;
  readonly from: Int32Array;
  readonly to: Int32Array;
  readonly cells: Int32Array;
}

function pieceOf(unit: Unit, value: Value, frame: Frame, axes: readonly Axis[], width: number): Piece {
  const { tokens, rows, first, group } = unit;
  const fine = frame.level === 'token' || frame.level === 'pair';
  const inner = fine ? tokens.byToken : frame.level === 'sequence' ? tokens.bySequence : tokens.one;
  const map = rowsIn(tokens, value, inner);
  const count = fine ? inner.copies : inner.copies * group;
  const copyOf = (i: number): number => (fine ? i : Math.floor(i / group));
  return {
    value,
    from: Int32Array.from({ length: count }, (_, i) => (map === undefined ? copyOf(i) : map[copyOf(i)]) * value.cell),
    to: Int32Array.from({ length: count }, (_, i) => {
      return fine ? rows.copies[i] * width + rows.lanes[i] : copyOf(i) * width + first + (i % group);
    }),
    cells: elementMap(axes, value.axes),
  };
}

function move({ from, to, cells }: Piece, cell: number, visit: (to: number, from: number) => void): void {
  for (let row = 0; row < from.length; row++) {
    const [at, base] = [to[row] * cell, from[row]];
    for (let i = 0; i < cell; i++) visit(at + i, base + cells[i]);
  }
}

/** Restrictions that outputs have by themselves, hard ones and picks. */
function ownMasks(
  pieces: readonly Piece[], units: readonly Unit[], axes: readonly Axis[], cell: number, size: number,
): { there: Float64Array; picked: boolean }[] {
  return [false, true].flatMap((picked) => {
    if (!pieces.some(({ value }) => value.masks.some((mask) => mask.picked === picked))) return [];
    const there = new Float64Array(size).fill(1);
    pieces.forEach(({ value, to }, n) => {
      const { tokens } = units[n];
      for (const mask of value.masks.filter((one) => one.picked === picked)) {
        const rows = rowsIn(tokens, mask.of, to.length === tokens.rows ? tokens.byToken : value.frame);
        const cells = elementMap(axes, mask.of.axes);
        to.forEach((row, i) => {
          const base = (rows === undefined ? i : rows[i]) * mask.of.cell;
          for (let e = 0; e < cell; e++) there[row * cell + e] *= mask.of.data[base + cells[e]];
        });
      }
    });
    return [{ there, picked }];
  });
}
