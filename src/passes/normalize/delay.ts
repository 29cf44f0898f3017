import { includesAll } from '../../ir/common/axes.js';
import type { ScanBuilder } from '../../ir/scan/build.js';
import { ancestorsOf, type NodeId } from '../../ir/scan/scan.js';
import type { Spec } from '../../ir/spec/spec.js';
import { collapse, type Form } from './forms.js';

/**
 * Tokens that a chain of states may look back: kernels take the first ones of a sequence from its first chunk, and no back end makes
 * shorter ones.
 */
const FURTHEST = 16;

/**
 * What a state is now, where tokens alone say so: `x1 = x[t-1]`, `last = k * w`. To read it at `[t-1]` is to load the token before, so
 * nothing has to be carried. Undefined for states that remember themselves, or what was read of others, and for those that would be costly
 * to make again.
 */
export function delayOf(b: ScanBuilder, spec: Spec, state: number, form: Form): NodeId | undefined {
  const { axes } = spec.states[state];
  if (form.decay !== undefined || axes.length > 1 || form.terms.some((term) => term.read !== undefined)) return undefined;
  const value = collapse(b, form);
  const node = b.nodes[value];
  if (!includesAll(b.axesOf(value), axes)) return undefined;
  const kinds = new Set([...ancestorsOf(b.nodes, [value])].map((id) => b.nodes[id].kind));
  if (kinds.has('result') || !kinds.has('input')) return undefined;
  if (node.kind === 'past') return node.states.length < FURTHEST ? value : undefined;
  return kinds.has('past') ? undefined : value;
}
