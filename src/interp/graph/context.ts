import type { Tokens } from './tokens.js';
import type { Tape } from './value.js';

/** What every operation needs: the tokens over which values are, and where pull-backs go; without a tape nothing has a gradient. */
export interface Context {
  readonly tokens: Tokens;
  readonly tape: Tape | undefined;
}
