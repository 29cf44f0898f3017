import { hasErrors } from '../../diagnostics/diagnostic.js';
import type { Signature } from '../../ir/common/signature.js';
import { signatureOf } from '../../ir/graph/signature.js';
import type { Declaration } from '../kind.js';
import { settingsFor, withUnsaid, type Settings } from '../parts.js';
import type { Failed } from '../problem.js';

/** What a layer, mixture or model takes and gives at its settings. */
export function signatureAt({ source, part }: Declaration, given: Settings): Signature | Failed {
  const { graph, diagnostics } = source.parts.elaborate(part.name, withUnsaid(part, settingsFor(part, given)), true);
  return graph === undefined || hasErrors(diagnostics) ? { diagnostics } : signatureOf(graph);
}
