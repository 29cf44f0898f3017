import { COL, ROW } from '../../../ir/common/axes.js';
import type { TileId, TileOp } from '../../../ir/tile/tile.js';
import type { Call } from '../instructions/instruction.js';
import type { Piece } from '../instructions/pieces.js';
import { isDscore, type Dscore } from './joined-decays.js';
import { inclusiveSums, OWN_BARRIER } from './tokens.js';
import { timesText } from './forms.js';
import type { Team } from './team.js';

interface Operand {
  readonly address: string;
  readonly back: string | undefined;
}

type Score = Extract<TileOp, { op: 'dscore' }>;

/**
 * Decay scores or their adjoints by halving levels (docs/algorithms.md: decays), from inclusive sums of the gates. `tiles`: one operation,
 * or several that share gates and an operand and are computed together (joined-decays.ts).
 */
export function decays(team: Team, tiles: readonly TileId[]): void {
  const ops = tiles.map((tile) => dscoreOf(team.options.defs.get(tile)));
  const [first] = ops;
  const sums = inclusiveSums(team, team.resolve(first.g).id, tiles[0]);
  const steps = team.steps(first.axis);
  const bits = (flag: (op: Dscore) => boolean, list: readonly Dscore[]) => list.reduce((mask, op, n) => mask | (flag(op) ? 1 << n : 0), 0);
  const how = (list: readonly Dscore[]) => [sums.stride, bits((op) => op.before, list), bits((op) => op.strict || op.before, list)];
  const own = team.parts === 1 ? OWN_BARRIER : `${OWN_BARRIER} + part`;
  const from = team.parts === 1 ? '0' : `part * ${steps}`;
  const scratch: Piece[] = [];
  /** Addresses of operands whose rows are tokens; the first `scaled` of them leave their decayed values in shared memory. */
  const operands = (ids: readonly TileId[], scaled: number): readonly Operand[] => {
    const operandTiles = ids.map((id) => team.tokenRows(id));
    for (const { piece } of operandTiles) team.need(piece, 'any');
    team.add({ kind: 'meet' });
    for (const { piece } of [...operandTiles, sums]) team.need(piece, 'any');
    for (let i = 0; i < scaled; i++) scratch.push(team.draft.take(64 * team.pad(first.axis) * 2, false));
    return operandTiles.map((operand) => ({ address: operand.address, back: team.backOf(operand) }));
  };
  const all = team.fresh('whole');
  const decay = (call: Pick<Call, 'fn' | 'shape'>, registers: string, args: Call['args']) => team.add({
    kind: 'call', ...call, args: [all, ...args, own], declares: [`float ${all}${registers};`],
    writes: scratch.map((piece) => ({ piece, by: 'any' })),
  });
  if (first.op === 'dscore') {
    const { rows, cols, at } = gridOf(team, ops);
    const found = operands([...cols, ...rows.map((op) => op.x)], cols.length);
    const addresses = found.map(({ address }) => address);
    const list = (texts: readonly string[]) => `{${texts.join(', ')}}`;
    decay({ fn: 'decay_scores', shape: [rows.length, cols.length, ...how(rows)] }, `[${rows.length * cols.length}][32]`, [
      list(addresses.slice(cols.length)), list(addresses.slice(0, cols.length)), sums.pointer,
      list(scratch.map((piece) => team.address(piece))), from, team.parts === 1 ? steps : `${from} + ${steps}`,
    ]);
    rows.forEach((_, n) => cols.forEach((__, m) => {
      const back = timesText(found[cols.length + n].back, found[m].back);
      const one = `${all}[${n * cols.length + m}][i]`;
      if (back !== '') team.add({ kind: 'each', count: 32, text: `${one} = ${one}${back};` });
    }));
    takeScores(team, tiles, (n) => `${all}[${at[n]}]`);
  } else {
    const rows = first.op === 'dscoreRow' ? ROW : COL;
    const packed = ops.map((op) => team.packed(adjointOf(op).a, rows));
    const [shared] = operands([first.op === 'dscoreRow' ? first.y : first.x], 1);
    decay({ fn: 'decay_sides', shape: [ops.length, steps, ...how(ops), rows === COL] }, `[${ops.length}][${steps * 8}]`, [
      `{${packed.map(({ name }) => name).join(', ')}}`, shared.address, sums.pointer, team.address(scratch[0]), from,
    ]);
    tiles.forEach((tile, n) => {
      const out = team.newFrag(tile, rows, first.axis);
      team.each(out, `${out.name}[i] = ${all}[${n}][i]${timesText(packed[n].back, shared.back)};`);
    });
  }
  team.begin();
  team.add({ kind: 'meet' });
  for (const piece of scratch) team.need(piece, 'any');
  for (const tile of tiles) if (team.options.exported.has(tile)) team.t16(tile);
}

function adjointOf(op: Dscore): Exclude<Dscore, Score> {
  if (op.op === 'dscore') throw new Error('scores among adjoints');
  return op;
}

function scoreOf(op: Dscore): Score {
  if (op.op !== 'dscore') throw new Error('adjoints among scores');
  return op;
}

function dscoreOf(op: TileOp | undefined): Dscore {
  if (op === undefined || !isDscore(op)) throw new Error('no decay operation');
  return op;
}

/** Readers and writers of scores computed together, and where each score lies among those of all pairs. */
function gridOf(
  team: Team, ops: readonly Dscore[],
): { readonly rows: readonly Score[]; readonly cols: readonly TileId[]; readonly at: readonly number[] } {
  const scores = ops.map(scoreOf);
  const sameReader = (a: Score, b: Score) => team.resolve(a.x).id === team.resolve(b.x).id
    && a.before === b.before
    && a.strict === b.strict;
  const sameWriter = (a: TileId, b: TileId) => team.resolve(a).id === team.resolve(b).id;
  const rows = scores.filter((op, n) => scores.findIndex((other) => sameReader(op, other)) === n);
  const cols = scores.map((op) => op.y).filter((y, n, all) => all.findIndex((other) => sameWriter(y, other)) === n);
  const at = scores.map((op) => (
    rows.findIndex((row) => sameReader(op, row)) * cols.length + cols.findIndex((col) => sameWriter(op.y, col))
  ));
  return { rows, cols, at };
}

/** Makes fragments of the scores whose sums over the channels of this part `whole` names. */
function takeScores(team: Team, tiles: readonly TileId[], whole: (n: number) => string): void {
  const outs = tiles.map((tile) => team.newFrag(tile, ROW, COL));
  if (team.parts === 1) {
    outs.forEach((out, n) => team.each(out, `${out.name}[i] = ${whole(n)}[i];`));
    return;
  }
  // They add up one after the other, always in the same order, and each part takes its columns of the sum.
  const sum = team.draft.take(64 * 64 * 4, false);
  outs.forEach((out, n) => {
    team.begin();
    if (n > 0) team.add({ kind: 'meet' });
    for (let part = 0; part < team.parts; part++) {
      team.add({
        kind: 'call', fn: part === 0 ? 'put_whole' : 'add_whole', shape: [], args: [team.pointerTo(sum), whole(n), 't'],
        when: `part == ${part}`, writes: part === 0 ? [{ piece: sum, by: 'any' }] : [],
      });
      team.add({ kind: 'meet' });
    }
    team.need(sum, 'any');
    team.add({ kind: 'call', fn: 'take_part', shape: [32 / team.parts], args: [out.name, team.pointerTo(sum), 'part', 't'] });
  });
}
