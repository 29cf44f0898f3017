import type { DomainId, Flow, ValueId } from '../../ir/flow/flow.js';
import { operandsOf, readsOf } from '../../ir/flow/operands.js';
import type { Kernel } from './kernel.js';

/** What a program begins with, and what it has to leave. */
export interface Border {
  readonly roots: readonly ValueId[];
  readonly given: ReadonlySet<ValueId>;
}

/** What is wrong with the kernels of a program in this order; [] if each has what it reads, and all results are there at the end. */
export function verifyKernels(flow: Flow, kernels: readonly Kernel[], { roots, given }: Border): readonly string[] {
  const { values, domains } = flow;
  const problems: string[] = [];
  const stored = new Set(given);
  const listed = new Set<DomainId>();
  const leaf = (id: ValueId): boolean => ['input', 'param'].includes(values[id].kind);
  const made = (id: ValueId): boolean => ['literal', 'count', 'index', 'draw'].includes(values[id].kind);
  kernels.forEach((kernel, n) => {
    const fault = (text: string): number => problems.push(`kernel ${n} (${kernel.form}) ${text}`);
    const own = new Set(kernel.values);
    const loads = new Set(kernel.loads);
    for (const id of loads) if (!stored.has(id) && !leaf(id)) fault(`loads value ${id}, which is not there`);
    if (kernel.form === 'tables') listed.add(kernel.rows);
    /** Is it at hand: computed or loaded here, or read through another value that is? */
    const there = (id: ValueId): boolean => {
      if (own.has(id) || loads.has(id) || made(id)) return true;
      return ['gather', 'place', 'fold', 'f32', 'stop'].includes(values[id].kind) && operandsOf(values[id]).every(there);
    };
    for (const id of kernel.values) {
      for (const arg of readsOf(values[id], values)) if (!there(arg)) fault(`computes value ${id} without value ${arg}`);
      for (const at of [id, ...operandsOf(values[id])].map((one) => values[one].type.domain)) {
        if (domains[at].kind === 'slot' && !listed.has(at)) fault(`computes value ${id} before its slots are listed`);
      }
    }
    for (const id of kernel.stores) {
      if (!own.has(id)) fault(`stores value ${id}, which it does not compute`);
      stored.add(id);
    }
  });
  /** Zeros of what has no gradient are written by whoever holds the memory. */
  const constant = (id: ValueId): boolean => made(id) || (values[id].kind === 'gather' && operandsOf(values[id]).every(constant));
  for (const id of roots) if (!stored.has(id) && !leaf(id) && !constant(id)) problems.push(`value ${id} is never stored`);
  return problems;
}
