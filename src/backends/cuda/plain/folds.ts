import { COL, ROW, withoutAxes, type Axis } from '../../../ir/common/axes.js';
import type { TileId, TileOp } from '../../../ir/tile/tile.js';
import type { Code } from '../code.js';

export interface FoldWriter {
  readonly code: Code;
  readonly chunk: number;
  size(axis: Axis): number;
  /** C text of an element of the result. */
  out(at: ReadonlyMap<Axis, string>): string;
  /** C text of an element of an operand, which has an array or is one number. */
  element(tile: TileId, at: ReadonlyMap<Axis, string>): string;
  /** A loop of the block over the elements of `axes`. */
  over(axes: readonly Axis[], body: (at: Map<Axis, string>) => void): void;
  /** Axes of the result. */
  readonly axes: readonly Axis[];
}

/** Operations that walk along an axis, that of tokens mostly: one thread per column. */
export function foldText(op: Extract<TileOp, { op: 'cumsum' | 'recur' | 'dgate' }>, w: FoldWriter): void {
  const { code } = w;
  if (op.op === 'dgate') {
    gateText(op, w);
    return;
  }
  const axis = op.op === 'cumsum' ? op.axis ?? ROW : ROW;
  const length = w.size(axis);
  w.over(withoutAxes(w.axes, [axis]), (at) => {
    const here = new Map(at).set(axis, 'r');
    const recur = op.op === 'recur';
    code.line(`float acc = ${recur ? w.element(op.init, at) : '0.f'};`);
    code.line('#pragma unroll 8');
    code.open(`for (int s = 0; s < ${length}; ++s)`);
    code.line(`const int r = ${op.reverse ? `${length - 1} - s` : 's'};`);
    if (recur) {
      const [a, x] = [w.element(op.decay, here), w.element(op.write, here)];
      if (op.less === undefined) code.line(`acc = ${a} * acc + ${x};`);
      else code.line(`acc = decayed(acc, ${a}, ${w.element(op.less, here)}, ${x});`);
      code.line(`${w.out(here)} = acc;`);
    } else {
      const x = w.element(op.arg, here);
      code.line(`const float x = ${op.decays ? `log_decay(${x})` : x};`);
      code.line(op.exclusive ? `${w.out(here)} = acc; acc += x;` : `acc += x; ${w.out(here)} = acc;`);
    }
    code.close();
  });
}

/** f[r] is what writes before token t bring to what token r reads, decayed up to t; h gathers the readers behind t, the last one first. */
function gateText(op: Extract<TileOp, { op: 'dgate' }>, w: FoldWriter): void {
  const { code, chunk } = w;
  w.over(withoutAxes(w.axes, [ROW]), (at) => {
    const row = (tile: TileId, index: string) => w.element(tile, new Map(at).set(ROW, index));
    code.line(`float f[${chunk}] = {};`);
    code.line(`${w.out(new Map(at).set(ROW, '0'))} = 0.f;`);
    code.line('#pragma unroll 1');
    code.open(`for (int t = 1; t < ${chunk}; ++t)`);
    code.line('const int c = t - 1;');
    code.line(`const float kept = ${row(op.decay, 'c')}, y = ${row(op.y, 'c')};`);
    code.line('float h = 0.f;');
    code.open(`UNROLL for (int r = ${chunk - 1}; r > 0; --r) if (r >= t)`);
    code.line(`f[r] = kept * f[r] + y * ${w.element(op.a, new Map([[ROW, 'r'], [COL, 'c']]))};`);
    const next = op.before ? row(op.decay, 'r') : `(r < ${chunk - 1} ? ${row(op.decay, '(r + 1)')} : 0.f)`;
    code.line(`${op.before ? 'if (r > t) ' : ''}h = ${next} * h + ${row(op.x, 'r')} * f[r];`);
    code.close();
    code.line(`${w.out(new Map(at).set(ROW, 't'))} = h;`);
    code.close();
  });
}

export type DecayOp = Extract<TileOp, { op: 'dscore' | 'dscoreRow' | 'dscoreCol' }>;

/** Call of the decay score templates: arrays of the operands, decays e^g, rows of `pitch` and `scores` floats. */
export function decayCall(
  op: DecayOp, chunk: number, channels: number, pitch: number, scores: number,
  arrays: { readonly out: string; readonly a: string; readonly b: string; readonly decay: string },
): string {
  const flags = `${op.before}, ${op.strict || op.before}`;
  const call = `<${chunk}, ${channels}, ${pitch}, ${scores}, ${flags}>(${arrays.out}, ${arrays.a}, ${arrays.b}, ${arrays.decay});`;
  switch (op.op) {
    case 'dscore': return `decay_scores${call}`;
    case 'dscoreRow': return `decay_rows${call}`;
    case 'dscoreCol': return `decay_columns${call}`;
  }
}

/** Operands of a decay score as its template takes them: two tiles over tokens and channels, or scores and one such tile. */
export function decayOperands(op: DecayOp): { readonly a: TileId; readonly b: TileId } {
  switch (op.op) {
    case 'dscore': return { a: op.x, b: op.y };
    case 'dscoreRow': return { a: op.a, b: op.y };
    case 'dscoreCol': return { a: op.a, b: op.x };
  }
}

/** Token axes by their position: tiles of a decay score come with ROW or COL. */