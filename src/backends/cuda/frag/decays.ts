import { COL, ROW } from '../../../ir/common/axes.js';
import type { TileId, TileOp } from '../../../ir/tile/tile.js';
import type { Dscore } from './gather.js';
import { inclusiveSums, OWN_BARRIER } from './tokens.js';
import { unsupported } from './forms.js';
import type { Team } from './team.js';

/**
 * Decay scores or their adjoints by halving levels (docs/algorithms.md: decays), from inclusive sums of the gates. `tiles`: one operation, or several
 * that share gates and an operand and are computed together (gather.ts).
 */
export function decays(team: Team, tiles: readonly TileId[]): void {
  const ops = tiles.map((tile) => dscoreOf(team.options.defs.get(tile)));
  const [first] = ops;
  const sums = inclusiveSums(team, team.resolve(first.g).id, tiles[0]);
  const scratch = team.options.arena.take(64 * team.pad(first.axis) * 2, false);
  const steps = team.steps(first.axis);
  const bits = (flag: (op: Dscore) => boolean) => ops.reduce((mask, op, n) => mask | (flag(op) ? 1 << n : 0), 0);
  const how = `${sums.stride}, ${bits((op) => op.before)}, ${bits((op) => op.strict || op.before)}`;
  const own = team.parts === 1 ? `${OWN_BARRIER}` : `${OWN_BARRIER} + part`;
  const from = team.parts === 1 ? '0' : `part * ${steps}`;
  /** Addresses of operands whose rows are tokens. */
  const operands = (ids: readonly TileId[]): readonly string[] => {
    const operandTiles = ids.map((id) => team.tokenRows(id));
    for (const { piece } of operandTiles) team.willRead(piece, 'any');
    team.sync();
    for (const { piece } of [...operandTiles, sums]) team.willRead(piece, 'any');
    team.willWrite(scratch, 'any');
    return operandTiles.map(({ address }) => address);
  };
  const { code } = team;
  const all = team.fresh('whole');
  const place = `${sums.pointer}, ${team.address(scratch)}, ${from}`;
  if (first.op === 'dscore') {
    const [y, ...xs] = operands([first.y, ...ops.flatMap((op) => (op.op === 'dscore' ? [op.x] : []))]);
    code.line(`float ${all}[${ops.length}][32]; decay_scores<${ops.length}, ${how}>(${all}, {${xs.join(', ')}}, ${y}, ${place}, ${team.parts === 1 ? steps : `${from} + ${steps}`}, ${own});`);
    takeScores(team, tiles, all);
  } else {
    const rows = first.op === 'dscoreRow' ? ROW : COL;
    const packed = ops.map((op) => (op.op === 'dscore' ? unsupported('scores among adjoints') : team.packed(op.a, rows).name));
    const [shared] = operands([first.op === 'dscoreRow' ? first.y : first.x]);
    code.line(`float ${all}[${ops.length}][${steps * 8}]; decay_sides<${ops.length}, ${steps}, ${how}, ${rows === COL}>(${all}, {${packed.join(', ')}}, ${shared}, ${place}, ${own});`);
    tiles.forEach((tile, n) => {
      const out = team.newFrag(tile, rows, first.axis);
      team.each(out, `${out.name}[i] = ${all}[${n}][i];`);
    });
  }
  team.begin();
  team.sync();
  team.willRead(scratch, 'any');
  for (const tile of tiles) if (team.options.exported.has(tile)) team.t16(tile);
}

function dscoreOf(op: TileOp | undefined): Dscore {
  if (op?.op !== 'dscore' && op?.op !== 'dscoreRow' && op?.op !== 'dscoreCol') throw new Error('no decay operation');
  return op;
}

/** Makes fragments of the scores `whole[n]`, which every part has summed over its channels. */
function takeScores(team: Team, tiles: readonly TileId[], whole: string): void {
  const { code } = team;
  const outs = tiles.map((tile) => team.newFrag(tile, ROW, COL));
  if (team.parts === 1) {
    outs.forEach((out, n) => team.each(out, `${out.name}[i] = ${whole}[${n}][i];`));
    return;
  }
  // They add up one after the other, always in the same order, and each part takes its columns of the sum.
  const sum = team.options.arena.take(64 * 64 * 4, false);
  outs.forEach((out, n) => {
    team.begin();
    if (n > 0) team.sync();
    team.willWrite(sum, 'any');
    for (let part = 0; part < team.parts; part++) {
      code.line(`if (part == ${part}) ${part === 0 ? 'put_whole' : 'add_whole'}(${team.pointerTo(sum)}, ${whole}[${n}], t);`);
      team.sync();
    }
    team.willRead(sum, 'any');
    code.line(`take_part<${32 / team.parts}>(${out.name}, ${team.pointerTo(sum)}, part, t);`);
  });
}
