import { visible, visibleLine } from '../support/text.js';
import type { Span } from '../ir/common/span.js';
import type { Diagnostic, Label } from './diagnostic.js';

export interface RenderOptions {
  /** Text of a file, to show its lines; undefined if it is not known. */
  readonly source: (file: string) => string | undefined;
  /** The caller knows about terminals and NO_COLOR. */
  readonly colour: boolean;
}

type Style = 'error' | 'warning' | 'frame' | 'bold' | 'note';
type Paint = (style: Style, text: string) => string;

const ESCAPES: Readonly<Record<Style, string>> = { error: '1;31', warning: '1;33', frame: '34', bold: '1', note: '36' };
const plain: Paint = (_, text) => text;
const coloured: Paint = (style, text) => (text === '' ? '' : `\u001b[${ESCAPES[style]}m${text}\u001b[0m`);

/** Diagnostics that are shown; errors come before warnings where there are more. */
const SHOWN = 50;
/** Columns of a line that are shown of one that is longer than twice as much. */
const AROUND = 80;

/** Several diagnostics, one blank line between them; no newline at the end. */
export function renderAll(diagnostics: readonly Diagnostic[], options: RenderOptions): string {
  const rank = (d: Diagnostic): number => (d.severity === 'error' ? 0 : 1);
  const shown = diagnostics.length <= SHOWN ? diagnostics : [...diagnostics].sort((x, y) => rank(x) - rank(y)).slice(0, SHOWN);
  const left = diagnostics.length - shown.length;
  return [...shown.map((d) => render(d, options)), ...(left > 0 ? [`and ${left} more`] : [])].join('\n\n');
}

/** One diagnostic: title, place, the lines with their labels, help and notes; no newline at the end. */
export function render(d: Diagnostic, options: RenderOptions): string {
  const paint = options.colour ? coloured : plain;
  const labels = [d.primary, ...d.secondary];
  const files = [...new Set(labels.map((label) => label.span.file))];
  const located = labels.map((label) => ({
    label, at: position(options.source(label.span.file), label.span.start), primary: label === d.primary,
  }));
  const width = Math.max(...located.map(({ at }) => String(at.line).length));
  const bar = paint('frame', `${' '.repeat(width)}│`);
  const lines = [`${paint(d.severity, `${d.severity}[${d.code}]`)}${paint('bold', `: ${visibleLine(d.title)}`)}`];
  for (const file of files) {
    const own = located.filter(({ label }) => label.span.file === file);
    const { line, column } = own[0].at;
    lines.push(`${paint('frame', `${' '.repeat(width)}┌─`)} ${visibleLine(file)}:${line}:${column}`, bar);
    lines.push(...snippets(options.source(file) ?? '', own, width, bar, paint, d.severity), bar);
  }
  for (const text of d.help) lines.push(`${paint('frame', `${' '.repeat(width)}=`)} ${paint('note', 'help')}: ${visibleLine(text)}`);
  for (const text of d.note) lines.push(`${paint('frame', `${' '.repeat(width)}=`)} ${paint('note', 'note')}: ${visibleLine(text)}`);
  return lines.join('\n');
}

interface Located {
  readonly label: Label;
  readonly at: Position;
  readonly primary: boolean;
}

function snippets(source: string, labels: readonly Located[], width: number, bar: string, paint: Paint, severity: Style): string[] {
  const texts = source.split('\n');
  const numbers = [...new Set(labels.map(({ at }) => at.line))].sort((a, b) => a - b);
  return numbers.flatMap((number, i) => {
    const whole = (texts[number - 1] ?? '').replace(/\r$/, '');
    const gap = i > 0 && number > numbers[i - 1] + 1 ? [paint('frame', `${' '.repeat(width)}·`)] : [];
    const here = labels.filter(({ at }) => at.line === number).sort((a, b) => b.at.column - a.at.column);
    const { text, shift } = window(whole, Math.min(...here.map(({ at }) => at.column)));
    const marks = here.filter(({ at }) => at.column - shift <= text.length + 1).map(({ label, at, primary }) => {
      const start = at.column - shift - 1;
      const indent = visible(text.slice(0, start)).replace(/[^\t]/g, ' ');
      const length = Math.max(1, visible(text.slice(start, start + label.span.end - label.span.start)).length);
      const style = primary ? severity : 'frame';
      return `${bar} ${indent}${paint(style, `${'^'.repeat(length)} ${visibleLine(label.text)}`.trimEnd())}`;
    });
    return [...gap, `${paint('frame', `${String(number).padStart(width)}│`)} ${visible(text)}`.trimEnd(), ...marks];
  });
}

/** What is shown of a line, and how many columns its first one lies to the left of where it was. */
function window(line: string, column: number): { readonly text: string; readonly shift: number } {
  if (line.length <= 2 * AROUND) return { text: line, shift: 0 };
  const start = Math.max(0, column - 1 - AROUND);
  const end = Math.min(line.length, start + 2 * AROUND);
  return { text: `${start > 0 ? '…' : ''}${line.slice(start, end)}${end < line.length ? '…' : ''}`, shift: start > 0 ? start - 1 : 0 };
}

export interface Position {
  /** From 1. */
  readonly line: number;
  /** From 1, in UTF-16 units. */
  readonly column: number;
}

export function position(source: string | undefined, offset: number): Position {
  const text = source ?? '';
  const end = Math.min(offset, text.length);
  let [line, start] = [1, 0];
  for (let at = text.indexOf('\n'); at >= 0 && at < end; at = text.indexOf('\n', start)) [line, start] = [line + 1, at + 1];
  return { line, column: end - start + 1 };
}

/** `file:line:column` of a place. */
export function place(span: Span, source: string | undefined): string {
  const { line, column } = position(source, span.start);
  return `${span.file}:${line}:${column}`;
}
