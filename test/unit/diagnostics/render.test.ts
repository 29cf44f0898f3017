import { describe, expect, it } from 'vitest';
import { diagnostic } from '../../../src/diagnostics/diagnostic.js';
import { place, position, render, renderAll } from '../../../src/diagnostics/render.js';

const text = 'first line\n\tsecond\r\nthird';
const span = (start: number, end: number, file = 'a.lmoe') => ({ file, start, end });
const plain = { source: (file: string) => (file === 'a.lmoe' ? text : undefined), colour: false };

describe('render', () => {
  it('shows lines in order, tabs as they are, and labels from the right', () => {
    const d = diagnostic('E202', 'a title', span(12, 18), 'main', {
      secondary: [
        { span: span(0, 5), text: 'left' }, { span: span(6, 10), text: 'right' }, { span: span(20, 99), text: 'to the end' },
      ], help: ['a remedy'], note: ['some background'],
    });
    expect(render(d, plain)).toBe([
      'error[E202]: a title', ' ┌─ a.lmoe:2:2', ' │', '1│ first line', ' │       ^^^^ right', ' │ ^^^^^ left',
      '2│ \tsecond', ' │ \t^^^^^^ main', '3│ third', ' │ ^^^^^ to the end', ' │',
      ' = help: a remedy', ' = note: some background',
    ].join('\n'));
  });

  it('shows where lines were left out', () => {
    expect(render(
      diagnostic('E205', 'twice', span(0, 5), 'one', { secondary: [{ span: span(20, 25), text: 'two' }] }), plain,
    )).toContain(' ·\n3│ third');
  });

  it('survives a file that it cannot show', () => {
    expect(render(
      diagnostic('W201', 'unused', span(3, 5, 'gone.lmoe'), 'here'), plain,
    )).toMatch(/^warning\[W201\]: unused\n ┌─ gone\.lmoe:1:\d+\n/);
  });

  it('colours only if asked to', () => {
    const d = diagnostic('E202', 'a title', span(0, 5), 'x');
    expect(render(d, plain)).not.toContain('\u001b');
    const coloured = render(d, { ...plain, colour: true });
    expect(coloured).toContain('\u001b[1;31m');
    expect(coloured.replace(/\u001b\[[\d;]*m/g, '')).toBe(render(d, plain));
  });

  it('separates several by an empty line', () => expect(renderAll(
    [diagnostic('E201', 'a', span(0, 1), ''), diagnostic('E201', 'b', span(0, 1), '')], plain,
  ).split('\n\n')).toHaveLength(2));

  it('counts lines and columns from 1', () => {
    expect(position(text, 0)).toEqual({ line: 1, column: 1 });
    expect(position(text, 12)).toEqual({ line: 2, column: 2 });
    expect(place(span(20, 21), text)).toBe('a.lmoe:3:1');
  });
});
