import { bytesText, visible, visibleLine } from '../support/text.js';
import { writeErr, writeOut } from './streams.js';

/** Where a command talks. Results go to `out`; progress goes to standard error, and only to a terminal. */
export interface Ui {
  readonly color: boolean;
  /** Results. What a terminal would take for commands is shown instead. */
  out(text: string): void;
  /** Results that are a file's content: byte for byte. */
  data(text: string): void;
  err(text: string): void;
  /** Diagnostics and problems, which their printers have made fit for terminals, colours included. */
  report(text: string): void;
  /** Shows `text` in the last line of a terminal until the next call; undefined clears it. Silent in a pipe. */
  progress(text: string | undefined): void;
}

function wantsColor(stream: NodeJS.WriteStream): boolean {
  if (process.env.NO_COLOR !== undefined && process.env.NO_COLOR !== '') return false;
  if (process.env.FORCE_COLOR !== undefined && process.env.FORCE_COLOR !== '0') return true;
  return stream.isTTY === true && process.env.TERM !== 'dumb';
}

function withNewline(text: string): string {
  return text.endsWith('\n') ? text : `${text}\n`;
}

/** The user's terminal. */
export function terminalUi(): Ui {
  const terminal = process.stderr.isTTY === true && process.env.CI === undefined;
  let shown = false;
  const clear = (): void => {
    if (shown) writeErr('\r\u001b[2K');
    shown = false;
  };
  return {
    color: wantsColor(process.stderr),
    out(text) {
      clear();
      writeOut(withNewline(visible(text)));
    },
    data(text) {
      clear();
      writeOut(text);
    },
    err(text) {
      clear();
      writeErr(withNewline(visible(text)));
    },
    report(text) {
      clear();
      writeErr(withNewline(text));
    },
    progress(text) {
      if (!terminal) return;
      clear();
      if (text === undefined) return;
      // Longer than the line would wrap, and clearing would leave the first part.
      writeErr(visibleLine(text).slice(0, (process.stderr.columns || 80) - 1));
      shown = true;
    },
  };
}

/** Columns of text, each as wide as its widest cell; numbers (cells that start with a digit) to the right. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const row of rows) row.forEach((cell, i) => { widths[i] = Math.max(widths[i] ?? 0, cell.length); });
  return rows
    .map((row) => row.map((cell, i) => (
      /^[\d.][\d.e+-]*$/.test(cell) ? cell.padStart(widths[i]) : cell.padEnd(widths[i])
    )).join('  ').trimEnd())
    .join('\n');
}

const BAR = 24;

/** A line that says how far long work is, at most ten times a second: how much, how fast, how long still. */
export function progressBar(what: string, show: (text: string) => void): (done: number, total: number) => void {
  const begun = performance.now();
  let shown = -Infinity;
  return (done, total) => {
    const now = performance.now();
    if (now - shown < 100) return;
    shown = now;
    const share = total === 0 ? 1 : done / total;
    const filled = Math.round(share * BAR);
    const seconds = (now - begun) / 1000;
    const left = seconds < 2 || share === 0 ? '' : `, ${Math.ceil(seconds / share - seconds)} s left`;
    const bar = `${'█'.repeat(filled)}${'·'.repeat(BAR - filled)}`;
    const speed = bytesText(done / Math.max(seconds, 1e-3));
    show(`${what} ${bar} ${Math.floor(share * 100)} % of ${bytesText(total)}, ${speed}/s${left}`);
  };
}
