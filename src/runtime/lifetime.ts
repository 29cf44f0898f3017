import { RuntimeError } from './runtime.js';

/** What is given back once and not used afterwards. */
export interface Lifetime {
  /** Throws where it was given back. */
  check(): void;
  /** Gives it back; a second time does nothing. */
  end(release: () => void): void;
}

/** A tensor whose memory may be another's by now. */
export function releasedTensor(what: string): RuntimeError {
  return new RuntimeError(`${what} was released`, 'release a tensor after its last use');
}

export function lifetime(what: string): Lifetime {
  let over = false;
  return {
    check() {
      if (over) throw new RuntimeError(`${what} was released`, 'release it after its last use, or load it again');
    },
    end(release) {
      if (over) return;
      over = true;
      release();
    },
  };
}
