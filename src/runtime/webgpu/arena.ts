import type { Plan, PlanKernel } from '../../ir/plan/plan.js';
import { elementCount } from '../arrays.js';
import { shapeOf, type Extents } from '../extents.js';

/** Tensors start on 256-byte boundaries, as bindings of their own would. */
const ALIGN = 64;

interface Placed {
  readonly name: string;
  /** Launches from the first to the last that uses the tensor. */
  readonly first: number;
  readonly last: number;
  readonly offset: number;
  readonly floats: number;
}

/**
 * Where the arena tensors of a program lie, in floats, in the order of the plan. Launches run one after the other, so tensors that no
 * launch needs at the same time share memory. Those that none uses are at 0.
 */
export function arenaLayout(
  plan: Plan, launches: readonly PlanKernel[], extents: Extents,
): { readonly floats: number; readonly offsets: readonly number[] } {
  const placed: Placed[] = [];
  const wanted = plan.arena.flatMap((name) => {
    const tensor = plan.tensors.find((declared) => declared.name === name);
    const uses = launches.flatMap((kernel, i) => (
      kernel.args.some((arg) => arg.kind === 'arena' && arg.tensors.includes(name)) ? [i] : []
    ));
    if (tensor === undefined || uses.length === 0) return [];
    return [{
      name, first: uses[0], last: uses[uses.length - 1], floats: Math.ceil(elementCount(shapeOf(tensor, extents)) / ALIGN) * ALIGN,
    }];
  });
  for (const tensor of wanted.sort((a, b) => b.floats - a.floats)) {
    const rivals = placed.filter((other) => other.first <= tensor.last && tensor.first <= other.last).sort((a, b) => a.offset - b.offset);
    let offset = 0;
    for (const rival of rivals) {
      if (offset + tensor.floats <= rival.offset) break;
      offset = Math.max(offset, rival.offset + rival.floats);
    }
    placed.push({ ...tensor, offset });
  }
  return {
    floats: placed.reduce((end, { offset, floats }) => Math.max(end, offset + floats), 0),
    offsets: plan.arena.map((name) => placed.find((tensor) => tensor.name === name)?.offset ?? 0),
  };
}
