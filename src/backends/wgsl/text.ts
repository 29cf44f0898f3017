import { plainName } from '../describe.js';

/** Lines of WGSL; a nested list is a place that gets lines later. */
export type Lines = (string | Lines)[];

/** Writes indented statements; `open` and `close` keep the braces. */
export interface Code {
  line(text: string): void;
  open(text: string): void;
  close(): void;
  /** A place at this depth that still takes lines when later text has been written. */
  slot(): (text: string) => void;
  text(): string;
}

export function createCode(depth = 0): Code {
  const lines: Lines = [];
  const line = (text: string) => void lines.push('  '.repeat(depth) + text);
  return {
    line,
    open(text) {
      line(`${text} {`);
      depth++;
    },
    close() {
      depth--;
      line('}');
    },
    slot() {
      const late: Lines = [];
      const indent = '  '.repeat(depth);
      lines.push(late);
      return (text) => void late.push(indent + text);
    },
    text: () => withoutUnused(flat(lines)).join('\n'),
  };
}

function flat(lines: Lines): string[] {
  return lines.flatMap((item) => (typeof item === 'string' ? [item] : flat(item)));
}

/** Leaves out constants that nothing reads: a place names all it knows, a kernel needs some of it. */
function withoutUnused(lines: readonly string[]): readonly string[] {
  const uses = new Map<string, number>();
  for (const line of lines.filter((text) => !/^\s*\/\//.test(text))) for (const [name] of line.matchAll(/\b[A-Za-z_]\w*/g)) uses.set(
    name, (uses.get(name) ?? 0) + 1,
  );
  const kept = lines.filter((line) => {
    const name = /^\s*let (\w+) = /.exec(line)?.[1];
    return name === undefined || (uses.get(name) ?? 0) > 1;
  });
  return kept.length === lines.length ? kept : withoutUnused(kept);
}

const LARGEST = 3.4028234663852886e38;

/** An f32 literal with every bit; infinities become the largest finite numbers, since WGSL has none. */
export function floatLiteral(value: number): string {
  const single = Math.fround(Math.min(LARGEST, Math.max(-LARGEST, value)));
  const text = Object.is(single, -0) ? '-0' : String(single);
  const plain = /[.e]/.test(text) ? text : `${text}.0`;
  return single < 0 || Object.is(single, -0) ? `(${plain}f)` : `${plain}f`;
}

/** A name that WGSL takes for a tensor's or an axis': a prefix keeps it from keywords. */
export function identifier(prefix: string, name: string): string {
  return `${prefix}${plainName(name)}`;
}

/** A whole number as WGSL says it, a variable, or their sum. */
export interface Index {
  /** Empty: no variable. */
  readonly text: string;
  readonly plus: number;
}

export const variable = (text: string, plus = 0): Index => ({ text, plus });
export const constant = (plus: number): Index => ({ text: '', plus });

export function indexText(index: Index): string {
  if (index.text === '') return `${index.plus}u`;
  return index.plus === 0 ? index.text : `(${index.text} + ${index.plus}u)`;
}

/** `start` + the sum of index * stride. */
export function linear(start: Index, terms: readonly (readonly [Index, number])[]): string {
  let plus = start.plus;
  const texts = start.text === '' ? [] : [start.text];
  for (const [index, stride] of terms) {
    plus += index.plus * stride;
    if (index.text !== '' && stride !== 0) texts.push(stride === 1 ? index.text : `${index.text} * ${stride}u`);
  }
  if (plus !== 0 || texts.length === 0) texts.push(`${plus}u`);
  return texts.join(' + ');
}

/**
 * The bound of a loop of `n` turns that stays a loop: `zero` is 0, which no driver can know. Unrolled, kernels take some drivers ten times
 * longer to compile.
 */
export function rolled(n: number): string {
  return `${n}u + zero`;
}
