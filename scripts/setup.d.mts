/** Programs that tests take for a browser. */
export const BROWSERS: readonly string[];
