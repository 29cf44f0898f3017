import { COL, ROW, type Axis } from '../../ir/common/axes.js';
import { gateAxes } from '../../ir/scan/scan.js';
import type { TileBuffer } from '../../ir/tile/tile.js';
import { stageKey, type Context } from './context.js';
import { isReadGate } from './fine.js';
import type { Parts } from './parts.js';

/** A reader of a stage: one of its reads, or the erase of one of its sources. */
export type ReaderId = { readonly kind: 'read' | 'erase'; readonly index: number };

/** Workspaces of one matrix stage. Shapes: score tiles [chunk, ROW, COL], token tensors [token, axes], states [..., K, V]. */
export interface StageBuffers {
  score(read: number, source: number): TileBuffer;
  /** What rounding leaves out of that. */
  scoreRest(read: number, source: number): TileBuffer;
  /** T_ij of (I - A)^{-1}. */
  solve(i: number, j: number): TileBuffer;
  /** What rounding leaves out of that. */
  solveRest(i: number, j: number): TileBuffer;
  /** Row vectors times e^{G} (gates along the row axis). */
  rows(reader: ReaderId): TileBuffer;
  /** Column vectors times e^{GC - G} (gates along the row axis). */
  cols(source: number): TileBuffer;
  /** e^{GC} of a chunk (gates along the row axis). */
  whole(): TileBuffer;
  /** What an erasing source writes apart from what it reads of the state: value_j + sum of A_jk V_k. */
  write(source: number): TileBuffer;
  /** w of an erasing source. */
  written(source: number): TileBuffer;
  /** What rounding leaves out of that. */
  writtenRest(source: number): TileBuffer;
  /** Cotangent of Y of an erasing source. */
  solved(source: number): TileBuffer;
  /** What tokens add to the gradient of the gate by what they read. */
  gateReads(): TileBuffer;
  /** State at the start of a chunk. */
  states(): TileBuffer;
  /** Cotangent of the state at the end of a chunk. */
  cotangents(): TileBuffer;
  /** Decay of a segment. */
  span(): TileBuffer;
  /**
   * What a segment with erases makes of the state before it, [K, columns]: its own writes left out, that at its end. As a sum of so many
   * parts as products want.
   */
  map(columns: Axis): readonly [TileBuffer, ...TileBuffer[]];
  /** State at a segment's end if it starts from zero; against time, the cotangent at its start if that at its end is zero. */
  local(reverse: boolean): TileBuffer;
  /** State at a segment's start; against time, the cotangent at its end. As users see states, which stand in where there is one segment. */
  entry(reverse: boolean): TileBuffer;
  /** Gradient of the state before the first token, as users see it, as far as this walk knows (states that are walked several times). */
  initial(): TileBuffer;
}

export function stageBuffers(cx: Context, parts: Parts, index: number): StageBuffers {
  const { draft } = cx;
  const name = (suffix: string) => `${stageKey(cx, index)}.${suffix}`;
  const values = parts.stage.valueAxes;
  const state = [parts.row, ...values];
  const decayAxes = gateAxes(parts.gate);
  const vectorType = values.length === 0 ? 'f32' : 'io';
  const rowsType = draft.narrowRange ? 'f32' : vectorType;
  const stateType = draft.narrowRange || isReadGate(cx, parts) ? 'f32' : 'io';
  return {
    score: (r, j) => draft.workspace(name(`score${r}_${j}`), 'chunk', [ROW, COL], 'io'),
    scoreRest: (r, j) => draft.workspace(name(`score_rest${r}_${j}`), 'chunk', [ROW, COL], 'io'),
    solve: (i, j) => draft.workspace(name(`solve${i}_${j}`), 'chunk', [ROW, COL], 'io'),
    solveRest: (i, j) => draft.workspace(name(`rest${i}_${j}`), 'chunk', [ROW, COL], 'io'),
    rows: (reader) => draft.workspace(name(`${reader.kind}${reader.index}`), 'row', [parts.row], 'io'),
    cols: (j) => draft.workspace(name(`col${j}`), 'row', [parts.row], 'io'),
    whole: () => draft.workspace(name('decay'), 'chunk', decayAxes, 'f32'),
    write: (j) => draft.workspace(name(`given${j}`), 'row', values, vectorType),
    written: (j) => draft.workspace(name(`written${j}`), 'row', values, rowsType),
    writtenRest: (j) => draft.workspace(name(`written_rest${j}`), 'row', values, 'io'),
    solved: (j) => draft.workspace(name(`solved${j}`), 'row', values, rowsType),
    gateReads: () => draft.workspace(name('gate_reads'), 'row', decayAxes, 'f32'),
    states: () => draft.workspace(name('states'), 'chunk', state, stateType),
    cotangents: () => draft.workspace(name('cotangents'), 'chunk', state, stateType),
    span: () => draft.workspace(name('span'), 'segment', decayAxes, 'f32'),
    map: (columns) => {
      const part = (suffix: string, dtype: TileBuffer['dtype']) => draft.workspace(name(suffix), 'segment', [parts.row, columns], dtype);
      return draft.halfOperands && !draft.narrowRange ? [part('map', 'io'), part('map_rest', 'io')] : [part('map', 'f32')];
    },
    local: (reverse) => draft.workspace(name(reverse ? 'local_cotangent' : 'local'), 'segment', state, 'f32'),
    initial: () => draft.workspace(name('initial'), 'run', draft.user.initials[parts.stage.state].axes, 'f32'),
    entry: (reverse) => draft.workspace(
      name(reverse ? 'entry_cotangent' : 'entry'), 'segment', draft.user.initials[parts.stage.state].axes, 'f32',
    ),
  };
}

/** All readers of a stage. */
export function readersOf(parts: Parts): readonly ReaderId[] {
  return [
    ...parts.reads.map((_, index): ReaderId => ({ kind: 'read', index })),
    ...parts.erasing.map((index): ReaderId => ({ kind: 'erase', index })),
  ];
}
