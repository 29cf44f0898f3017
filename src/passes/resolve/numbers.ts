import { diagnostic, type Diagnostic } from '../../diagnostics/diagnostic.js';
import type { Span } from '../../ir/common/span.js';
import type { Spec, SpecNode } from '../../ir/spec/spec.js';
import { math } from '../../math/index.js';

const LARGEST = 3.4028234663852886e38;

/** E405 for every number that the scan computes with and f32 cannot hold: kernels and the formula would mean different things. */
export function unheldNumbers({ nodes, states, outputs }: Spec): readonly Diagnostic[] {
  const found: Diagnostic[] = [];
  const reached = new Set<number>();
  const open = [...states.map(({ next }) => next), ...outputs.map(({ value }) => value)];
  for (let id = open.pop(); id !== undefined; id = open.pop()) {
    if (reached.has(id)) continue;
    reached.add(id);
    const node = nodes[id];
    const value = numberOf(nodes, node);
    if (value !== undefined && !isHeld(value)) found.push(unheld(value, node.origin));
    else if (node.kind === 'map') open.push(...node.args);
    else if (node.kind === 'reduce') open.push(node.arg);
  }
  return found;
}

/** Is it a number, and one that rounds to a finite f32? */
export function isHeld(value: number): boolean {
  return Number.isFinite(Math.fround(value));
}

/** What a literal is, or a function of literals. */
function numberOf(nodes: readonly SpecNode[], node: SpecNode): number | undefined {
  if (node.kind === 'literal') return node.value;
  if (node.kind !== 'map') return undefined;
  const values = node.args.flatMap((arg) => {
    const of = nodes[arg];
    return of.kind === 'literal' ? [of.value] : [];
  });
  return values.length === node.args.length ? math[node.fn].f64(values[0], values[1] ?? NaN) : undefined;
}

function unheld(value: number, origin: Span): Diagnostic {
  const finite = Number.isFinite(value);
  const label = finite ? 'too large' : `${String(value).replace('Infinity', 'inf')}, at every token`;
  return diagnostic('E405', finite ? 'a number that f32 cannot hold' : 'this is no number', origin, label, {
    help: [
      finite ? `kernels compute in f32, whose largest number is ${LARGEST.toPrecision(8)}`
      : 'check the numbers: nothing that is computed with this is finite'
    ],
  });
}
