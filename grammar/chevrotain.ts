import type * as Chevrotain from 'chevrotain';

/**
 * The library in the one file that it also comes in: its entry point is seven hundred small ones, which take a third of a second to read,
 * longer than most programs.
 */
async function oneFile(): Promise<typeof Chevrotain> {
  try {
    const whole: typeof Chevrotain = await import(new URL('../chevrotain.mjs', import.meta.resolve('chevrotain')).href);
    return whole;
  } catch {
    return import('chevrotain');
  }
}

export const {
  Alternation, Alternative, EmbeddedActionsParser, Lexer, NonTerminal, Option, Repetition, RepetitionMandatory,
  RepetitionMandatoryWithSeparator, RepetitionWithSeparator, Terminal, createToken,
} = await oneFile();
