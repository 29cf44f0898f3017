import type { Spec } from '../ir/spec/spec.js';
import { loadHead, nameResults, newResults, openMachine, runSequence, sequencesOf, type SpecCall, type Tensors } from './spec-machine.js';

/**
 * The meaning of a Spec: token by token, head by head, in float64. Every target is judged by it, so it shares no code with the passes.
 *
 * `tensors`: inputs [tokens, H | G, ...axes], params [H, ...axes] and, if not zero, initial states [N, H, ...axes].
 * Gives outputs [tokens, H, ...axes] by name and the states after the last token by `finalName`.
 */
export function runSpec(spec: Spec, call: SpecCall, tensors: Tensors): Map<string, Float64Array> {
  const machine = openMachine(spec, call, tensors);
  const results = newResults(machine);
  for (let head = 0; head < call.heads; head++) {
    loadHead(machine, head);
    sequencesOf(call).forEach((sequence, n) => runSequence(machine, results, n, sequence, head, () => undefined));
  }
  return nameResults(spec, results);
}
