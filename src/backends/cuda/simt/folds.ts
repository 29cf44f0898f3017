import { COL, ROW, withoutAxes, type Axis } from '../../../ir/common/axes.js';
import type { TileId, TileOp } from '../../../ir/tile/tile.js';
import type { Code } from '../code.js';

export interface FoldWriter {
  readonly code: Code;
  readonly chunk: number;
  size(axis: Axis): number;
  /** The element of the result at these indices. */
  out(at: ReadonlyMap<Axis, string>): string;
  element(tile: TileId, at: ReadonlyMap<Axis, string>): string;
  /** A loop of the block over the elements of `axes`. */
  over(axes: readonly Axis[], body: (at: Map<Axis, string>) => void): void;
  /** Axes of the result. */
  readonly axes: readonly Axis[];
}

type Fold = Extract<TileOp, { op: 'compose' | 'cumsum' | 'recur' | 'inverse' | 'dscore' | 'dscoreRow' | 'dscoreCol' }>;

/** Operations that walk along the token axis: one thread per column. */
export function foldText(op: Fold, w: FoldWriter): void {
  const { code, chunk } = w;
  switch (op.op) {
    case 'cumsum': {
      w.over(withoutAxes(w.axes, [ROW]), (at) => {
        const here = new Map(at).set(ROW, 'r');
        code.line('float acc = 0.f;');
        code.open(`for (int s = 0; s < ${chunk}; ++s)`);
        code.line(`const int r = ${op.reverse ? `${chunk - 1} - s` : 's'};`);
        code.line(`const float x = ${w.element(op.arg, here)};`);
        if (op.exclusive) code.line(`${w.out(here)} = acc; acc += x;`);
        else code.line(`acc += x; ${w.out(here)} = acc;`);
        code.close();
      });
      return;
    }
    case 'recur': {
      w.over(withoutAxes(w.axes, [ROW]), (at) => {
        const here = new Map(at).set(ROW, 'r');
        code.line(`float acc = ${w.element(op.init, at)};`);
        code.open(`for (int s = 0; s < ${chunk}; ++s)`);
        code.line(`const int r = ${op.reverse ? `${chunk - 1} - s` : 's'};`);
        code.line(`acc = ${w.element(op.decay, here)} * acc + ${w.element(op.write, here)};`);
        code.line(`${w.out(here)} = acc;`);
        code.close();
      });
      return;
    }
    case 'compose': {
      w.over([ROW, COL], (at) => {
        code.line('float acc = 0.f;');
        code.line(`for (int j = 0; j < ${chunk}; ++j) acc += ${w.element(op.a, new Map(at).set(COL, 'j'))} * ${w.element(op.b, new Map(at).set(ROW, 'j'))};`);
        code.line(`${w.out(at)} = acc;`);
      });
      return;
    }
    case 'inverse': {
      // Column c of X = (I - A)^-1 by forward substitution: X[r] = e_c[r] + sum_{j<r} A[r,j] X[j].
      w.over([COL], (at) => {
        code.open(`for (int r = 0; r < ${chunk}; ++r)`);
        code.line(`float acc = r == ${at.get(COL)} ? 1.f : 0.f;`);
        const self = new Map(at).set(ROW, 'j');
        code.line(`for (int j = ${at.get(COL)}; j < r; ++j) acc += ${w.element(op.arg, new Map([[ROW, 'r'], [COL, 'j']]))} * ${w.out(self)};`);
        code.line(`${w.out(new Map(at).set(ROW, 'r'))} = acc;`);
        code.close();
      });
      return;
    }
    case 'dscore': case 'dscoreRow': case 'dscoreCol':
      decayScores(op, w);
      return;
  }
  op satisfies never;
}

/**
 * The exponent of pair (r, c) is the sum of g over the tokens in (c, r] (without r if `before`), grown token by token: no e^-G, and a
 * gate of -inf resets without a NaN.
 */
function decayScores(op: Extract<Fold, { op: 'dscore' | 'dscoreRow' | 'dscoreCol' }>, w: FoldWriter): void {
  const { code, chunk } = w;
  const K = op.axis;
  const strict = op.strict || op.before;
  const gate = (row: string, k: string) => w.element(op.g, new Map([[ROW, row], [K, k]]));
  if (op.op === 'dscore') {
    // Four pairs of one column share the running exponent: thread (c, quarter) would repeat it, so a thread owns a column.
    w.over([COL], (at) => {
      const c = at.get(COL) ?? '';
      code.line(`for (int r = 0; r < ${chunk}; ++r) ${w.out(new Map(at).set(ROW, 'r'))} = 0.f;`);
      code.open(`for (int k = 0; k < ${w.size(K)}; ++k)`);
      code.line('float decay = 0.f;');
      code.line(`const float y = ${w.element(op.y, tokenAt(c, K, 'k'))};`);
      code.open(`for (int r = ${c}; r < ${chunk}; ++r)`);
      if (!op.before) code.line(`if (r > ${c}) decay += ${gate('r', 'k')};`);
      code.line(`if (r ${strict ? '>' : '>='} ${c}) ${w.out(new Map(at).set(ROW, 'r'))} += ${w.element(op.x, tokenAt('r', K, 'k'))} * y * m_exp(decay);`);
      if (op.before) code.line(`if (r > ${c}) decay += ${gate('r', 'k')};`);
      code.close();
      code.close();
    });
    return;
  }
  if (op.op === 'dscoreRow') {
    w.over([ROW, K], (at) => {
      const r = at.get(ROW) ?? '';
      const k = at.get(K) ?? '';
      code.line('float acc = 0.f, decay = 0.f;');
      code.open(`for (int c = ${strict ? `${r} - 1` : r}; c >= 0; --c)`);
      // Going down from r: the pair (r, c) gains g of token c + 1.
      code.line(`if (c < ${op.before ? `${r} - 1` : r}) decay += ${gate('(c + 1)', k)};`);
      code.line(`acc += ${w.element(op.a, new Map([[ROW, r], [COL, 'c']]))} * ${w.element(op.y, tokenAt('c', K, k))} * m_exp(decay);`);
      code.close();
      code.line(`${w.out(at)} = acc;`);
    });
    return;
  }
  w.over([COL, K], (at) => {
    const c = at.get(COL) ?? '';
    const k = at.get(K) ?? '';
    code.line('float acc = 0.f, decay = 0.f;');
    code.open(`for (int r = ${strict ? `${c} + 1` : c}; r < ${chunk}; ++r)`);
    if (op.before) code.line(`if (r - 1 > ${c}) decay += ${gate('(r - 1)', k)};`);
    else code.line(`if (r > ${c}) decay += ${gate('r', k)};`);
    code.line(`acc += ${w.element(op.a, new Map([[ROW, 'r'], [COL, c]]))} * ${w.element(op.x, tokenAt('r', K, k))} * m_exp(decay);`);
    code.close();
    code.line(`${w.out(at)} = acc;`);
  });
}

/** Indices of a token tile whichever of its two names the token axis has. */
const tokenAt = (token: string, axis: Axis, k: string): Map<Axis, string> => new Map([[ROW, token], [COL, token], [axis, k]]);
