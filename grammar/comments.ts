import type { IToken } from 'chevrotain';
import type { Comment } from '../src/ir/ast/ast.js';

/** Hands out the comments of a file in order, to the item or statement that they stand beside. */
export interface CommentReader {
  /** Those that begin before `offset` and were not taken yet. */
  before(offset: number): readonly Comment[];
  /** Those after `end` on the same line, up to the next token. */
  after(end: number, next: number): readonly Comment[];
  /** Is the line above empty? Not so at the start of a file or block. */
  blankBefore(offset: number): boolean;
}

export function commentReader(file: string, text: string, tokens: readonly IToken[]): CommentReader {
  let cursor = 0;
  const blankBefore = (offset: number): boolean => {
    let newlines = 0;
    for (let i = offset - 1; i >= 0; i--) {
      const c = text[i];
      if (c === '\n') newlines += 1;
      else if (c !== ' ' && c !== '\t' && c !== '\r') return newlines > 1 && c !== '{';
    }
    return false;
  };
  const take = (): Comment => {
    const { image, startOffset } = tokens[cursor++];
    const clean = image.replace(/\r\n/g, '\n').trimEnd();
    return { text: clean, blankBefore: blankBefore(startOffset), origin: { file, start: startOffset, end: startOffset + image.length } };
  };
  return {
    before(offset) {
      const found: Comment[] = [];
      while (cursor < tokens.length && tokens[cursor].startOffset < offset) found.push(take());
      return found;
    },
    after(end, next) {
      const found: Comment[] = [];
      let from = end;
      while (cursor < tokens.length && tokens[cursor].startOffset < next && !text.slice(from, tokens[cursor].startOffset).includes('\n')) {
        const comment = take();
        from = comment.origin.end;
        found.push(comment);
        if (comment.text.includes('\n')) break;
      }
      return found;
    },
    blankBefore,
  };
}
