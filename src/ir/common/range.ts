/** Closed interval known to hold a value; the ends may be infinite. */
export interface Range {
  readonly lo: number;
  readonly hi: number;
}

export const ANY: Range = { lo: -Infinity, hi: Infinity };
