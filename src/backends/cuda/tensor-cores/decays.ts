import { COL, ROW } from '../../../ir/common/axes.js';
import type { TileId, TileOp } from '../../../ir/tile/tile.js';
import type { Piece } from './arena.js';
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
  const how = (list: readonly Dscore[]) => (
    `${sums.stride}, ${bits((op) => op.before, list)}, ${bits((op) => op.strict || op.before, list)}`
  );
  const own = team.parts === 1 ? `${OWN_BARRIER}` : `${OWN_BARRIER} + part`;
  const from = team.parts === 1 ? '0' : `part * ${steps}`;
  const scratch: Piece[] = [];
  /** Addresses of operands whose rows are tokens; the first `scaled` of them leave their decayed values in shared memory. */
  const operands = (ids: readonly TileId[], scaled: number): readonly Operand[] => {
    const operandTiles = ids.map((id) => team.tokenRows(id));
    for (const { piece } of operandTiles) team.willRead(piece, 'any');
    team.sync();
    for (const { piece } of [...operandTiles, sums]) team.willRead(piece, 'any');
    for (let i = 0; i < scaled; i++) {
      const piece = team.options.arena.take(64 * team.pad(first.axis) * 2, false);
      team.willWrite(piece, 'any');
      scratch.push(piece);
    }
    return operandTiles.map((operand) => ({ address: operand.address, back: team.backOf(operand) }));
  };
  const { code } = team;
  const all = team.fresh('whole');
  if (first.op === 'dscore') {
    const { rows, cols, at } = gridOf(team, ops);
    const found = operands([...cols, ...rows.map((op) => op.x)], cols.length);
    const addresses = found.map(({ address }) => address);
    const list = (texts: readonly string[]) => `{${texts.join(', ')}}`;
    const operandTexts = [
      list(addresses.slice(cols.length)), list(addresses.slice(0, cols.length)), sums.pointer,
      list(scratch.map((piece) => team.address(piece))),
    ].join(', ');
    const channels = `${from}, ${team.parts === 1 ? steps : `${from} + ${steps}`}`;
    code.line(
      `float ${all}[${rows.length * cols.length}][32]; `
      + `decay_scores<${rows.length}, ${cols.length}, ${how(rows)}>(${all}, ${operandTexts}, ${channels}, ${own});`,
    );
    rows.forEach((_, n) => cols.forEach((__, m) => {
      const back = timesText(found[cols.length + n].back, found[m].back);
      const one = `${all}[${n * cols.length + m}][i]`;
      if (back !== '') code.line(`UNROLL for (int i = 0; i < 32; ++i) ${one} = ${one}${back};`);
    }));
    takeScores(team, tiles, (n) => `${all}[${at[n]}]`);
  } else {
    const rows = first.op === 'dscoreRow' ? ROW : COL;
    const packed = ops.map((op) => team.packed(adjointOf(op).a, rows));
    const [shared] = operands([first.op === 'dscoreRow' ? first.y : first.x], 1);
    code.line(
      `float ${all}[${ops.length}][${steps * 8}]; decay_sides<${ops.length}, ${steps}, ${how(ops)}, ${rows === COL}>(`
      + `${all}, {${packed.map(({ name }) => name).join(', ')}}, ${shared.address}, ${sums.pointer}, `
      + `${team.address(scratch[0])}, ${from}, ${own});`,
    );
    tiles.forEach((tile, n) => {
      const out = team.newFrag(tile, rows, first.axis);
      team.each(out, `${out.name}[i] = ${all}[${n}][i]${timesText(packed[n].back, shared.back)};`);
    });
  }
  team.begin();
  team.sync();
  for (const piece of scratch) team.willRead(piece, 'any');
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
  const { code } = team;
  const outs = tiles.map((tile) => team.newFrag(tile, ROW, COL));
  if (team.parts === 1) {
    outs.forEach((out, n) => team.each(out, `${out.name}[i] = ${whole(n)}[i];`));
    return;
  }
  // They add up one after the other, always in the same order, and each part takes its columns of the sum.
  const sum = team.options.arena.take(64 * 64 * 4, false);
  outs.forEach((out, n) => {
    team.begin();
    if (n > 0) team.sync();
    team.willWrite(sum, 'any');
    for (let part = 0; part < team.parts; part++) {
      code.line(`if (part == ${part}) ${part === 0 ? 'put_whole' : 'add_whole'}(${team.pointerTo(sum)}, ${whole(n)}, t);`);
      team.sync();
    }
    team.willRead(sum, 'any');
    code.line(`take_part<${32 / team.parts}>(${out.name}, ${team.pointerTo(sum)}, part, t);`);
  });
}
