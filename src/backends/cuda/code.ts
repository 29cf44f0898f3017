/** Writes indented lines of C; `open` and `close` keep the braces. */
export interface Code {
  line(text: string): void;
  open(text: string): void;
  close(tail?: string): void;
  text(): string;
}

export function createCode(): Code {
  const lines: string[] = [];
  let depth = 0;
  const line = (text: string) => void lines.push(text === '' ? '' : '  '.repeat(depth) + text);
  return {
    line,
    open(text) {
      line(`${text} {`);
      depth++;
    },
    close(tail = '') {
      depth--;
      line('}' + tail);
    },
    text: () => lines.join('\n') + '\n',
  };
}

/** A float literal that keeps every bit of the f32. */
export function floatLiteral(value: number): string {
  const single = Math.fround(value);
  if (Number.isNaN(single)) return '__int_as_float(0x7fffffff)';
  if (single === Infinity) return '__int_as_float(0x7f800000)';
  if (single === -Infinity) return '__int_as_float(0xff800000)';
  const text = Object.is(single, -0) ? '-0' : String(single);
  const exact = /[.e]/.test(text) ? text : `${text}.`;
  return single < 0 || Object.is(single, -0) ? `(${exact}f)` : `${exact}f`;
}
