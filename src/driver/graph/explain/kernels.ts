import { nameOf } from '../../../ir/flow/print.js';
import { groupsOf } from '../../../ir/flow/typing.js';
import { SEQUENCE, type DomainId, type Flow } from '../../../ir/flow/flow.js';
import { elements } from '../../../ir/graph/typing.js';
import type { IoDtype } from '../../../ir/common/dtype.js';
import type { Lowering, Target } from '../../../ir/plan/plan.js';
import { total } from '../../../passes/cluster/cost.js';
import type { Kernel } from '../../../passes/cluster/kernel.js';
import type { CompiledGraph } from '../kernels.js';
import { loadOf, type Load } from './load.js';

/** The kernels of a layer or mixture, at the tokens of a call. */
export interface KernelsText {
  readonly target: Target;
  readonly dtype: IoDtype;
  readonly kernels: readonly KernelText[];
  /** What is chosen. */
  readonly slots: readonly SlotText[];
}

export interface KernelText {
  readonly program: 'forward' | 'backward';
  readonly name: string;
  /** Launches in the plan that it is. */
  readonly launches: readonly string[];
  /** `product of slot1 [expert.F]` */
  readonly text: string;
  readonly flops: number;
  /** At least to and from memory, each value once, rows in 16 bits. */
  readonly bytes: number;
  readonly lowerings: readonly Lowering[];
}

export interface SlotText extends Load {
  readonly name: string;
  readonly groups: string;
  readonly count: number;
  readonly perToken: number;
  readonly chunk: number;
}

export function kernelsText(
  { flow, clusters, plan }: CompiledGraph, { batch, tokens }: { readonly batch: number; readonly tokens: number },
): KernelsText {
  const rows = (domain: DomainId): number => rowsOf(flow, domain, batch, tokens);
  const of = (program: KernelText['program'], list: readonly Kernel[]): readonly KernelText[] => list.map((kernel, n) => {
    // Kernels that several launches make have names or numbers of their own behind that of the kernel.
    const own = plan.kernels.filter(({ name }) => new RegExp(`^${program}${n}(_\\w+)?$`).test(name));
    return {
      program, name: `${program}${n}`, launches: own.map(({ name }) => name),
      text: `${kernel.form} of ${nameOf(flow, kernel.rows)} [${kernel.axes.map(({ name }) => name).join(', ')}]`,
      flops: total(kernel.cost.flops, rows), bytes: total(kernel.cost.bytes, rows),
      lowerings: [...new Set(own.map(({ lowering }) => lowering))],
    };
  });
  return {
    target: plan.target, dtype: plan.dtype,
    kernels: [...of('forward', clusters.forward), ...of('backward', clusters.backward)],
    slots: flow.domains.flatMap((domain, id): SlotText[] => {
      if (domain.kind !== 'slot') return [];
      const [groups, { perToken }, { chunk }] = [groupsOf(domain), domain, plan];
      const count = elements(groups);
      return [{
        name: nameOf(flow, id), groups: groups.map(({ name }) => name).join(', '), count, perToken, chunk,
        ...loadOf(batch * tokens, count, perToken, chunk),
      }];
    }),
  };
}

/** Rows of a domain where every token has as many slots as it may. */
function rowsOf({ domains }: Flow, id: DomainId, batch: number, tokens: number): number {
  const domain = domains[id];
  if (domain.kind === 'slot') return batch * tokens * domain.perToken;
  return id === SEQUENCE ? batch : batch * tokens;
}
