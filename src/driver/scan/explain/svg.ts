import type { KernelCost, ProgramCost } from './costs.js';
import type { Explanation } from './model.js';
import { arrow, LETTER, MARKER, rect, round, svg, text } from '../../explain/shapes.js';
import { duration, quantity } from '../../explain/quantity.js';

const CHUNKS = 4;
const SEGMENT = 2;
const LANE = { left: 190, box: 110, gap: 46, height: 46, space: 34, line: 15 };

/**
 * Data flow of a program over four chunks, two segments: one lane per kernel. Chunks of a lane are apart where every chunk has a program of
 * its own, and linked where one program carries the state along. Arrows go down where the next lane reads what this one writes; beside a
 * lane stands who reads what.
 */
export function flowPicture(program: ProgramCost, title: string, backwards: boolean): string {
  const { box, gap, height, space, line } = LANE;
  const left = Math.max(LANE.left, 24 + LETTER.name * Math.max(0, ...program.kernels.map(({ name }) => name.length)));
  const right = left + CHUNKS * box + (CHUNKS - 1) * gap;
  const body: string[] = [MARKER];
  const chunkX = (chunk: number) => left + chunk * (box + gap);
  for (let chunk = 0; chunk < CHUNKS; chunk++) body.push(text(chunkX(chunk) + box / 2, 16, `chunk ${chunk}`, 'small', 'middle'));
  let y = 30;
  let longest = 0;
  program.kernels.forEach((kernel, lane) => {
    body.push(text(8, y + 20, kernel.name, 'name'), text(8, y + 36, `${kernel.blocks} blocks`, 'small'));
    if (kernel.walk === 'once') {
      body.push(rect(left, y, right - left, height, 'once', kernel.doc), text((left + right) / 2, y + 28, 'all chunks', 'in', 'middle'));
    } else {
      for (let chunk = 0; chunk < CHUNKS; chunk++) {
        const walks = kernel.walk !== 'chunks';
        body.push(rect(chunkX(chunk), y, box, height, walks ? 'walk' : 'own', kernel.doc));
        body.push(text(chunkX(chunk) + box / 2, y + 28, walks ? 'state' : 'tokens', 'in', 'middle'));
        if (chunk > 0 && (kernel.walk === 'sequences' || (kernel.walk === 'segments' && chunk % SEGMENT !== 0))) {
          const [from, to] = [chunkX(chunk - 1) + box, chunkX(chunk)];
          body.push(backwards && goesBack(kernel) ? arrow(
            to - 2, y + height / 2, from + 4, y + height / 2,
          ) : arrow(from + 2, y + height / 2, to - 4, y + height / 2));
        }
      }
    }
    const later = program.kernels.slice(lane + 1);
    const notes = handedOn(kernel, later);
    notes.forEach((note, i) => body.push(text(right + 12, y + 14 + i * line, note, 'small')));
    longest = Math.max(longest, ...notes.map((note) => note.length));
    const below = y + Math.max(height, notes.length * line) + space;
    if (later.length > 0 && kernel.writes.some((name) => later[0].reads.includes(name))) {
      for (let chunk = 0; chunk < CHUNKS; chunk++) body.push(arrow(
        chunkX(chunk) + box / 2, y + height + 2, chunkX(chunk) + box / 2, below - 4,
      ));
    }
    y = below;
  });
  return svg(right + 20 + LETTER.small * longest, y, title, body);
}

/** `→ S_walk, S_gradients: ws.S.score`, and what only the caller reads. */
function handedOn(kernel: KernelCost, later: readonly KernelCost[]): string[] {
  const byReaders = new Map<string, string[]>();
  for (const name of kernel.writes) {
    const readers = later.filter((next) => next.reads.includes(name)).map((next) => next.name).join(', ') || 'the caller';
    byReaders.set(readers, [...(byReaders.get(readers) ?? []), name]);
  }
  return [...byReaders].map(([readers, names]) => `→ ${readers}: ${shortened(names)}`);
}

/** Kernels that write gradients walk against time. */
function goesBack(kernel: KernelCost): boolean {
  return kernel.writes.some((name) => name.startsWith('d_')) || /revers|backward|adjoint|against/i.test(`${kernel.name} ${kernel.doc}`);
}

function shortened(names: readonly string[]): string {
  return names.length <= 5 ? names.join(', ') : `${names.slice(0, 4).join(', ')} and ${names.length - 4} more`;
}

const CELLS = 24;

/** One mask: how much of token c (column) reaches the reader at token r (row), for log decays that `logDecay` gives per token. */
export function maskPicture(
  title: string, notes: readonly string[], strict: boolean, before: boolean, logDecay: (token: number) => number,
): string {
  const cell = 9;
  const running: number[] = [];
  for (let token = 0; token < CELLS; token++) running.push((running[token - 1] ?? 0) + logDecay(token));
  const body: string[] = [text(0, 12, title, 'name')];
  for (let row = 0; row < CELLS; row++) {
    for (let col = 0; col < CELLS; col++) {
      const kept = strict ? col < row : col <= row;
      const reader = before ? (running[row - 1] ?? 0) : running[row];
      const weight = kept ? Math.exp(reader - running[col]) : 0;
      const opacity = kept ? ` fill-opacity="${round(0.08 + 0.92 * Math.min(1, weight))}"` : '';
      body.push(
        `<rect x="${col * cell}" y="${20 + row * cell}" width="${cell - 1}" height="${cell - 1}" `
        + `class="${kept ? 'kept' : 'masked'}"${opacity}/>`,
      );
    }
  }
  const captions = ['rows read, columns wrote', ...notes];
  captions.forEach((caption, i) => body.push(text(0, 34 + CELLS * cell + 16 * i, caption, 'small')));
  const widest = Math.max(LETTER.name * title.length, ...captions.map((caption) => LETTER.small * caption.length));
  return svg(Math.max(CELLS * cell, widest) + 10, 28 + CELLS * cell + 16 * captions.length, title, body);
}

/** Kernels on a time axis and on a byte axis, forward above backward. */
export function timelinePicture(e: Explanation): string {
  const width = 900;
  const left = 90;
  const bar = 34;
  const body: string[] = [];
  let y = 10;
  const programs: readonly (readonly [string, ProgramCost])[] = [['forward', e.forward], ['backward', e.backward]];
  const axis = (label: string, total: number, of: (kernel: KernelCost) => number, show: (value: number) => string): void => {
    body.push(text(0, y + 8, label, 'name'));
    y += 18;
    for (const [name, program] of programs) {
      let x = left;
      body.push(text(0, y + 21, name, 'small'));
      program.kernels.forEach((kernel, i) => {
        const span = total === 0 ? 0 : ((width - left) * of(kernel)) / total;
        body.push(rect(x, y, Math.max(span - 1, 1), bar, `tone${i % 6}`, `${kernel.name}: ${show(of(kernel))}, bound by ${kernel.bound}`));
        if (span > kernel.name.length * 7) body.push(text(x + span / 2, y + 21, kernel.name, 'in', 'middle'));
        x += span;
      });
      body.push(text(Math.min(x + 6, width + 4), y + 21, show(program.kernels.reduce((sum, kernel) => sum + of(kernel), 0)), 'small'));
      y += bar + 8;
    }
    y += 22;
  };
  axis(
    `time at the roofline of one ${e.machine.name}`, Math.max(e.forward.seconds, e.backward.seconds), (kernel) => kernel.seconds, duration,
  );
  axis('bytes moved', Math.max(e.forward.bytes, e.backward.bytes), (kernel) => kernel.bytes, (value) => quantity(value, 'B'));
  axis('arithmetic', Math.max(e.forward.flops, e.backward.flops), (kernel) => kernel.flops, (value) => quantity(value, 'FLOP'));
  return svg(width + 110, y, 'kernels on axes of time, bytes and arithmetic', body);
}
