import { COL, ROW } from '../../../ir/common/axes.js';
import type { TileId, TileOp } from '../../../ir/tile/tile.js';
import { readAfter } from '../uses.js';
import type { Tile32 } from './forms.js';
import type { Team } from './team.js';
import { matrix } from './values.js';

/** Barrier of one warpgroup of a team of two: this one, or the next for the second. */
export const OWN_BARRIER = 4;

/** Work for 128 threads. */
const alone = (team: Team) => (team.parts === 1 ? {} : { when: 'part == 0' });

export function cumsum(team: Team, tile: TileId, op: Extract<TileOp, { op: 'cumsum' }>): void {
  // Those of the runtime forwards are of log decays.
  if (!op.reverse && !op.decays) return team.refuse('a running sum forwards of other numbers than log decays');
  if (team.axesOf(tile).length === 1) {
    const from = team.vec(op.arg, 'any');
    const v = team.newVec(tile, ROW);
    team.add({
      kind: 'call', fn: 'vec_cumsum', shape: [], args: [v.pointer, from, op.exclusive, op.reverse], when: 't < 32',
      writes: [{ piece: v.piece, by: 'any' }],
    });
    return;
  }
  const { id, turned } = team.resolve(op.arg);
  if (turned) return team.refuse('a running sum along columns');
  if (op.exclusive && !op.reverse) {
    // The inclusive sums, a row later: no array of their own.
    const { piece, pointer: sums, stride } = inclusiveSums(team, id, tile);
    team.need(piece, 'any');
    matrix(team, tile, (frag) => {
      const { token, channel } = team.tokenTexts(frag);
      return `(${token} == 0 ? 0.f : ${sums}[(${token} - 1) * ${stride} + ${channel}])`;
    });
    return;
  }
  // A decay score may have asked for it already.
  if (team.formsOf(tile).t32 === undefined) sumColumns(team, tile, id, op.exclusive, op.reverse, tile);
}

/** `moment`: the statement being written. */
function sumColumns(team: Team, tile: TileId, arg: TileId, exclusive: boolean, reverse: boolean, moment: TileId): Tile32 {
  const from = team.t32(arg);
  if (from.rows !== ROW && from.rows !== COL) return team.refuse(`a running sum of tile ${arg}, which lies across`, from);
  team.need(from.piece, 'owner');
  team.add({ kind: 'meet' });
  // In place where nobody asks for the summands any more. Of what comes in stages nobody knows: walks are put in another order.
  const inPlace = !from.piece.staged && !readAfter(team.options.kernel, arg, moment, tile);
  const to = inPlace ? from : team.newT32(from.rows, from.cols, team.options.exported.has(tile));
  if (inPlace) delete team.formsOf(arg).t32;
  team.need(from.piece, 'any');
  team.add({
    kind: 'own', count: team.pad(from.cols), writes: [{ piece: to.piece, by: 'any' }],
    text: `col_cumsum<${exclusive}, ${reverse}>(`
      + `${to.pointer} + i, ${from.pointer} + i, ${from.stride}, i < ${team.size(from.cols)});`,
  });
  team.formsOf(tile).t32 = to;
  return to;
}

/** The array of inclusive sums of a tile: that of a running sum of the kernel, wherever it stands, or one of its own. */
export function inclusiveSums(team: Team, gate: TileId, moment: TileId): Tile32 {
  const known = [...team.options.defs].find(
    ([, def]) => def.op === 'cumsum' && def.decays && !def.exclusive && team.resolve(def.arg).id === gate
  );
  const sums = known?.[0] ?? -1 - gate;
  return team.formsOf(sums).t32 ?? sumColumns(team, sums, gate, false, false, moment);
}

/** Template argument of a solve whose products have operands in two parts. */
const fineShape = ({ fine }: { readonly fine: boolean }) => (fine ? [true] : []);

/** Products inside a solve keep more digits than 16-bit operands have (docs/algorithms.md: solves). */
export function compose(team: Team, tile: TileId, op: Extract<TileOp, { op: 'compose' }>): void {
  const arrays = [op.a, op.b].map((id) => {
    const found = team.resolve(id);
    if (found.turned) team.refuse('a composition of transposed tiles');
    return team.t32(found.id);
  });
  team.add({ kind: 'meet' });
  for (const { piece } of arrays) team.need(piece, 'any');
  const out = team.newT32(ROW, COL);
  team.add({
    kind: 'call', fn: 'compose_tf32', shape: [out.stride, ...fineShape(op)], args: [...[out, ...arrays].map((x) => x.pointer), 't'],
    ...alone(team), writes: [{ piece: out.piece, by: 'any' }],
  });
  team.formsOf(tile).t32 = out;
}

/** (I - A)^-1, in place. */
export function inverse(team: Team, tile: TileId, op: Extract<TileOp, { op: 'inverse' }>): void {
  const { id, turned } = team.resolve(op.arg);
  if (turned) return team.refuse('the inverse of a transposed tile');
  // In place: the array is the result's from now on.
  const t = team.t32(id);
  delete team.formsOf(id).t32;
  team.add({ kind: 'meet' });
  team.add({
    kind: 'call', fn: 'tri_inverse', shape: [t.stride, ...fineShape(op)], args: [t.pointer, 't', OWN_BARRIER], ...alone(team),
    writes: [{ piece: t.piece, by: 'any' }],
  });
  team.formsOf(tile).t32 = t;
}
