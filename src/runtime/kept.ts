import type { Plan } from '../ir/plan/plan.js';
import { kindName } from '../support/brief.js';
import type { Lead } from './lead.js';
import { sameSizes } from './programs.js';
import { RuntimeError, type DeviceTensor } from './runtime.js';

/**
 * What a forward has left on the device for the backward of the same inputs. It holds memory until it is released, or nobody has it any
 * more.
 */
export interface Kept {
  /** Gives the memory back. Backward computes again what it is not given. */
  release(): void;
}

interface Holding {
  readonly plan: Plan;
  readonly lead: Lead;
  readonly tensors: Readonly<Record<string, DeviceTensor>>;
  released: boolean;
}

const held = new WeakMap<object, Holding>();

/** Takes what the program left out of all that it made. */
export function keep(plan: Plan, lead: Lead, made: Readonly<Record<string, DeviceTensor>>): Kept {
  const left = plan.tensors.filter(({ name, role }) => role === 'workspace' && made[name] !== undefined);
  const holding: Holding = { plan, lead, tensors: Object.fromEntries(left.map(({ name }) => [name, made[name]])), released: false };
  const kept: Kept = {
    release() {
      if (!holding.released) for (const tensor of Object.values(holding.tensors)) tensor.release();
      holding.released = true;
    },
  };
  held.set(kept, holding);
  return kept;
}

/** The tensors of what a user gives back; refuses what another scan, kernels of another build or a call of other sizes left. */
export function takeKept(plan: Plan, lead: Lead, given: unknown): Readonly<Record<string, DeviceTensor>> {
  const holding = typeof given === 'object' && given !== null ? held.get(given) : undefined;
  const fault = (what: string): RuntimeError => new RuntimeError(
    `${plan.scan}: \`kept\` ${what}`, 'pass what `forward` with `keep: true` gave for the same inputs, or leave it out',
  );
  if (holding === undefined) throw fault(given instanceof Object ? 'is not what a forward kept' : `is ${kindName(given)}`);
  if (holding.released) throw fault('was released');
  if (holding.plan !== plan) throw fault(
    holding.plan.scan === plan.scan ? 'was left by kernels that were loaded apart' : `was left by \`${holding.plan.scan}\``,
  );
  if (!sameSizes(holding.lead.sizes, lead.sizes)) throw fault('was left by a call of other sizes');
  return holding.tensors;
}
