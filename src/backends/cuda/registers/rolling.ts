import { ROW } from '../../../ir/common/axes.js';
import { bufferNamed, outerStride, type Place } from '../address.js';
import { cellPointer, elementType, sourcePresence } from '../lowered.js';
import type { Group } from './layout.js';
import { edgeText, keptName, nearBefore, windowName } from './sliding.js';
import { elementOf, type Writer } from './values.js';
import type { Window } from './windows.js';

/**
 * Windows of rows that come in turns: a thread keeps of each turn the rows that the next one looks at, too, and has asked for the others
 * of that one before it works.
 */
export function rollingWindows(w: Writer, windows: ReadonlyMap<string, Window>, { regs: own, threads }: Group, place: Place) {
  const { cx, code, layout } = w;
  const { chunk } = cx.module;
  const turns = chunk / (own * threads);
  // The first row of the thread's, in the chunk.
  const start = threads === 1 ? '0' : `warp * ${chunk / threads}`;
  const opened = [...windows].map(([name, { before, after, edge }]) => {
    const source = { buffer: bufferNamed(cx.module, name) };
    const axes = [ROW, ...source.buffer.axes];
    const to = windowName(w, name);
    const there = [sourcePresence(source), w.live(source.buffer.axes, '0', '0')].filter((text) => text !== undefined && text !== '');
    const columns = w.regs(axes, 'lane');
    const element = elementType(source.buffer, cx.dtype);
    // Two of 16 bits stay one number until they are used.
    const pair = columns === 2 && source.buffer.dtype === 'io' && cx.dtype !== 'f32';
    return {
      source, there, to, before, after, edge, shared: before + after, columns, later: `later_${to}`, kept: keptName(to),
      type: pair ? `Pair<${element}>` : `Few<${element}, ${columns}>`, take: pair ? 'pair' : `few<${columns}>`,
      at: `at_${to}`, step: `step_${to}`, from: `from_${to}`, end: `end_${to}`,
    };
  });
  type Opened = (typeof opened)[number];
  /** Says where rows begin that begin at a row of the chunk. */
  const beginAt = ({ source, at, step, from, end }: Opened, row: string) => {
    const cell = cellPointer(cx.module, source, { ...place, first: `(${place.first} + ${row})` });
    code.line(`auto* ${at} = ${[cell, elementOf(w, source.buffer, '0', '0')].filter((text) => text !== '').join(' + ')};`);
    code.line(`const i64 ${step} = ${outerStride(cx.module, source.buffer)};`);
    code.line(`const int ${from} = ${place.runFirst} - ${place.first} - (${row}), ${end} = ${place.runEnd} - ${place.first} - (${row});`);
  };
  /** Asks for the rows of a turn that the one before has not, from a row of the chunk on. */
  const askFor = (row: (window: Opened) => string) => {
    for (const window of opened) beginAt(window, row(window));
    code.open(`if (${opened.flatMap(({ end, there }) => [`${end} >= ${own}`, ...there]).join(' && ')})`);
    for (const { later, take, at, step } of opened) {
      code.line(`UNROLL for (int r = 0; r < ${own}; ++r, ${at} += ${step}) ${later}[r] = ${take}(${at});`);
    }
    code.close();
    code.open('else');
    for (const { later, take, at, step, end, there } of opened) {
      const one = `if (${[`r < ${end}`, ...there].join(' && ')}) ${later}[r] = ${take}(${at}); else ${later}[r] = {};`;
      code.line(`UNROLL for (int r = 0; r < ${own}; ++r, ${at} += ${step}) { ${one} }`);
    }
    code.close();
  };
  return {
    /** Asks for what the first turn needs. */
    ask(): void {
      for (const { kept, later, type, shared, columns } of opened) {
        code.line(`${type} ${later}[${own}];`);
        if (shared > 0) code.line(`float ${kept}[${shared * columns}];`);
      }
      code.open('');
      askFor(({ after }) => (after === 0 ? start : `${start} + ${after}`));
      code.close();
      code.open('');
      for (const window of opened) beginAt(window, window.before === 0 ? start : `${start} - ${window.before}`);
      for (const { kept, at, step, from, end, shared, columns, there } of opened) {
        const exists = [`r >= ${from}`, `r < ${end}`, ...there].join(' && ');
        const here = `&${kept}[r * ${columns}]`;
        const take = `if (${exists}) ldn<${columns}>(${here}, ${at}); else zeron<${columns}>(${here});`;
        code.line(`UNROLL for (int r = 0; r < ${shared}; ++r, ${at} += ${step}) { ${take} }`);
      }
      for (const { kept, from, before, columns, edge } of opened) edgeText(w, { name: kept, from, before, columns }, edge, place);
      code.close();
    },
    /** Makes what the first turn shares with one before. */
    begin(): void {
      for (const near of new Set(layout.near?.of.values())) nearBefore(w, near);
    },
    /** At the start of a turn. */
    next(): void {
      for (const { to, kept, later, shared, columns } of opened) {
        code.line(`float ${to}[${(own + shared) * columns}];`);
        if (shared > 0) code.line(`UNROLL for (int k = 0; k < ${shared * columns}; ++k) ${to}[k] = ${kept}[k];`);
        code.line(`UNROLL for (int r = 0; r < ${own}; ++r) ldn(&${to}[(r + ${shared}) * ${columns}], ${later}[r]);`);
      }
      // Within one array, compilers make one move in memory of it.
      for (const { to, kept, shared, columns } of opened) {
        if (shared > 0) code.line(`UNROLL for (int k = 0; k < ${shared * columns}; ++k) ${kept}[k] = ${to}[k + ${own * columns}];`);
      }
      code.open(`if (turn < ${turns - 1})`);
      askFor(({ after }) => `${w.index(ROW, '0', '0')} + ${own + after}`);
      code.close();
    },
  };
}
