import type { Plan, PlanTensor } from '../ir/plan/plan.js';

/**
 * The plan's name of a tensor that a user calls `name`. Both agree, but for states: a plan must tell the initial state `S` from the final one
 * and the cotangent of the final state from the gradient of the initial one, so it says `final.S` and `d_final.S` where users say `S` and `d_S`.
 */
export function planName(plan: Plan, role: PlanTensor['role'], name: string): string {
  const final = name.startsWith('d_') ? `d_final.${name.slice(2)}` : `final.${name}`;
  const candidates = role === 'final' || role === 'cotangent' ? [name, final] : [name];
  for (const candidate of candidates) {
    if (plan.tensors.some((tensor) => tensor.role === role && tensor.name === candidate)) return candidate;
  }
  return name;
}

/** The plan's name of an output or a final state. */
export function resultName(plan: Plan, name: string): string {
  const output = plan.tensors.find((tensor) => tensor.role === 'output' && tensor.name === name);
  return output?.name ?? planName(plan, 'final', name);
}
