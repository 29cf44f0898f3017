import type { Plan, PlanKernel } from '../../ir/plan/plan.js';
import { elementCount } from '../call.js';
import { shapeOf, type Extents } from '../extents.js';

/** Tensors start on 256-byte boundaries, as bindings of their own would. */
const ALIGN = 64;

/** Where the arena tensors that some launch uses lie, in floats, in the order of the plan; the others take no room and are at 0. */
export function arenaLayout(plan: Plan, launches: readonly PlanKernel[], extents: Extents): { readonly floats: number; readonly offsets: readonly number[] } {
  const used = new Set(launches.flatMap((kernel) => kernel.args.flatMap((arg) => (arg.kind === 'arena' ? arg.tensors : []))));
  let floats = 0;
  const offsets = plan.arena.map((name) => {
    const tensor = plan.tensors.find((declared) => declared.name === name);
    if (tensor === undefined || !used.has(name)) return 0;
    const offset = floats;
    floats += Math.ceil(elementCount(shapeOf(tensor, extents)) / ALIGN) * ALIGN;
    return offset;
  });
  return { floats, offsets };
}
