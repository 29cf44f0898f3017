import type { Plan, PlanTensor } from '../ir/plan/plan.js';

/**
 * The plan's name of a tensor that a user calls `name`. Both agree, but for states: a plan must tell the initial state `S` from the final
 * one and the cotangent of the final state from the gradient of the initial one, so it says `final.S` and `d_final.S` where users say `S`
 * and `d_S`; and `initial.h` and `d_initial.h` where an output has the name of the state.
 */
export function planName(plan: Pick<Plan, 'tensors'>, role: PlanTensor['role'], name: string): string {
  const found = [name, marked(role, name)].find((candidate) => plan.tensors.some(
    (tensor) => tensor.role === role && tensor.name === candidate
  ));
  return found ?? name;
}

/** The name that tells a state's tensor from its namesake. */
function marked(role: PlanTensor['role'], name: string): string {
  switch (role) {
    case 'initial': return `initial.${name}`;
    case 'final': return `final.${name}`;
    case 'cotangent': return name.replace(/^d_/, 'd_final.');
    case 'gradient': return name.replace(/^d_/, 'd_initial.');
    case 'input': case 'param': case 'output': case 'workspace': return name;
  }
}

/** What users call a tensor that they give, and whether they give it among the states. Names of users have no dots. */
export function userName({ role, name }: Pick<PlanTensor, 'role' | 'name'>): { readonly name: string; readonly state: boolean } {
  switch (role) {
    case 'initial': return { name: name.replace(/^initial\./, ''), state: true };
    case 'cotangent': return { name: name.replace(/^d_(final\.)?/, ''), state: name.startsWith('d_final.') };
    case 'input': case 'param': case 'output': case 'final': case 'gradient': case 'workspace': return { name, state: false };
  }
}

/** The plan's name of an output or a final state. */
export function resultName(plan: Plan, name: string): string {
  const output = plan.tensors.find((tensor) => tensor.role === 'output' && tensor.name === name);
  return output?.name ?? planName(plan, 'final', name);
}
