import { ROW, type Axis } from '../../../ir/common/axes.js';
import type { TileId, TileOp } from '../../../ir/tile/tile.js';
import { floatLiteral } from '../code.js';
import { roundedText, scalarText } from '../scalar.js';
import { endRow, type Place } from '../address.js';
import { reduceSum, rowExtremum, sumRuns } from './folds.js';
import { roundedMatrix } from './frugal.js';
import { productText } from './product.js';
import { decays } from './decays.js';
import { compose, cumsum, inverse } from './tokens.js';
import { timesText } from './forms.js';
import type { Team } from './team.js';
import { argument, elementwise, matrix, vector } from './values.js';

function mapText(team: Team, tile: TileId, { fn, args }: Extract<TileOp, { op: 'map' }>): void {
  const sloped = team.options.slopes?.get(tile);
  const of = fn === 'sigmoid' ? team.options.defs.get(args[0]) : undefined;
  if (sloped !== undefined) elementwise(team, tile, ([x]) => `m_silu_slope(${x})`, [sloped]);
  // It is made of the same numbers as that of what it is minus of.
  else if (of?.op === 'map' && of.fn === 'neg') elementwise(team, tile, ([x]) => `m_sigmoid_minus(${x})`, of.args);
  else elementwise(team, tile, (texts) => scalarText(fn, texts), args);
}

/** Writes one `let` (not of a load) for a team. */
export function opText(team: Team, tile: TileId, op: Exclude<TileOp, { op: 'load' | 'gather' }>, place: Place): void {
  const axes = team.axesOf(tile);
  switch (op.op) {
    case 'literal':
      team.formsOf(tile).scalar = floatLiteral(op.value);
      return;
    case 'head':
      team.formsOf(tile).scalar = `(float)${place.head ?? place.group}`;
      return;
    case 'heads':
      team.formsOf(tile).scalar = '(float)d.heads';
      return;
    case 'swap':
      return;
    case 'identity': {
      const { split } = team.options.kernel;
      // Of the split axis a block has a part.
      const at = (axis: Axis, text: string) => (axis === split ? `v0 + ${text}` : text);
      matrix(team, tile, (frag) => `(${at(frag.row, team.rowText)} == ${at(frag.col, team.colText(frag.col))} ? 1.f : 0.f)`);
      return;
    }
    case 'zeros':
      elementwise(team, tile, () => '0.f', []);
      return;
    case 'map':
      // A tile over no tokens has no rows to lie in fragments: whoever sums it reads it from its operands.
      if (axes.length === 2 && team.options.rowOf(axes) === undefined) return;
      mapText(team, tile, op);
      return;
    case 'round':
      if (axes.length === 2 && roundedMatrix(team, tile, op.arg)) return;
      elementwise(team, tile, ([x]) => (team.fits ? roundedText('f16', x) : `low(pack2(${x}, 0.f))`), [op.arg]);
      return;
    case 'draw': {
      const key = team.vec(op.key, 'any');
      const halves = [0, 1, 2, 3].map((n) => `${key}[${n}]`);
      const from = [op.element, op.position, op.sequence, op.lane];
      elementwise(team, tile, (args) => `draw(${[...halves, ...args].join(', ')})`, from);
      return;
    }
    case 'keep': {
      const row = (rowText: string, x: string) => `(${rowText} < ${place.length} ? ${x} : 0.f)`;
      if (axes.length === 1) vector(team, tile, ROW, () => row('i', argument(team, op.arg, 'vector', undefined)));
      else matrix(
        team, tile, (frag) => row(frag.row === ROW ? team.rowText : team.colText(frag.col), argument(team, op.arg, 'matrix', frag)),
      );
      return;
    }
    case 'put': {
      const choose = (token: string, of: string, arg: string) => `(${token} == ${endRow(place, op)} ? ${of} : ${arg})`;
      if (axes.length === 1) vector(team, tile, ROW, () => choose('i', team.scalar(op.of), argument(team, op.arg, 'vector', undefined)));
      else matrix(
        team, tile,
        (frag) => choose(team.tokenTexts(frag).token, argument(team, op.of, 'matrix', frag), argument(team, op.arg, 'matrix', frag)),
      );
      return;
    }
    case 'mask':
      matrix(team, tile, (frag) => {
        const col = team.colText(frag.col);
        const [r, c] = frag.row === ROW ? [team.rowText, col] : [col, team.rowText];
        return `(${c} ${op.strict ? '<' : '<='} ${r} ? ${argument(team, op.arg, 'matrix', frag)} : 0.f)`;
      });
      return;
    case 'contract':
      productText(team, tile, op);
      return;
    case 'reduce':
      if (op.reduce === 'sum') reduceSum(team, tile, op.axis, op.arg);
      else rowExtremum(team, tile, op);
      return;
    case 'runs':
      sumRuns(team, tile, op);
      return;
    case 'cumsum':
      cumsum(team, tile, op);
      return;
    case 'pick': {
      const at = op.row === 'first' ? 0 : team.options.cx.module.chunk - 1;
      if (axes.length === 0) {
        const v = team.vec(op.arg, 'any');
        team.putScalar(tile, `${v}[${at}]`);
      } else if (axes.length === 1) pickRow(team, tile, op.arg, axes[0], at);
      else team.refuse('a row of a tile with three axes');
      return;
    }
    case 'shift': {
      const edgeRow = op.by === 1 ? 0 : team.options.cx.module.chunk - 1;
      const edge = (k: string) => {
        if (op.edge === undefined) return '0.f';
        return team.axesOf(op.edge).length === 0 ? team.scalar(op.edge) : `${team.vec(op.edge, 'any')}[${k}]`;
      };
      if (axes.length === 1) {
        const from = team.vec(op.arg, 'any');
        vector(team, tile, ROW, () => `(i == ${edgeRow} ? ${edge('0')} : ${from}[(i - ${op.by}) & 63])`);
      } else {
        const { id, turned } = team.resolve(op.arg);
        const t = team.t32(id);
        team.need(t.piece, 'any');
        if (turned || t.rows !== ROW) return team.refuse('a shift along columns');
        matrix(team, tile, (frag) => {
          const { token, channel } = team.tokenTexts(frag);
          return `(${token} == ${edgeRow} ? ${edge(channel)} : ${t.pointer}[((${token} - ${op.by}) & 63) * ${t.stride} + ${channel}])`;
        });
      }
      return;
    }
    case 'inverse':
      inverse(team, tile, op);
      return;
    case 'compose':
      compose(team, tile, op);
      return;
    case 'dscore': case 'dscoreRow': case 'dscoreCol':
      // Made together with another one already?
      if (team.formsOf(tile).frags.length === 0) decays(team, team.options.groups?.get(tile) ?? [tile]);
      return;
    default: team.refuse(op.op);
  }
}

function pickRow(team: Team, tile: TileId, arg: TileId, axis: Axis, at: number): void {
  const { id, turned } = team.resolve(arg);
  if (turned) return team.refuse('a column of a transposed tile');
  const f = team.formsOf(id);
  if (f.t32 !== undefined) {
    const { t32 } = f;
    team.need(t32.piece, 'any');
    vector(team, tile, axis, () => `${t32.pointer}[${t32.rows === ROW ? `${at * t32.stride} + i` : `i * ${t32.stride} + ${at}`}]`);
  } else if (f.t16 !== undefined) {
    const { t16 } = f;
    team.need(t16.piece, 'any');
    const back = timesText(team.backOf(t16));
    vector(team, tile, axis, () => `tile_at<${team.pad(t16.rows)}>(${t16.address}, ${t16.rows === ROW ? `${at}, i` : `i, ${at}`})${back}`);
  } else {
    const frag = team.frag(id, ROW);
    const v = team.newVec(tile, axis);
    team.add({
      ...team.eachOf(frag, `if (${team.rowText} == ${at}) ${v.pointer}[${team.colText(frag.col)}] = ${frag.name}[i];`),
      writes: [{ piece: v.piece, by: 'any' }],
    });
  }
}

