import type { Span } from '../../ir/common/span.js';

/**
 * What only shows when a graph is run: an index beyond its axis, a score that is no number where something is chosen, a sinkhorn plan that
 * does not settle, a value that depends on other tokens in `step`. Whoever runs it makes a diagnostic of it.
 */
export type FaultKind = 'index' | 'not a number' | 'no plan' | 'other tokens' | 'unread';

export class GraphFault extends Error {
  constructor(readonly kind: FaultKind, message: string, readonly origin: Span) {
    super(message);
  }
}
