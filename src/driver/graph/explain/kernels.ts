import { nameOf } from '../../../ir/flow/print.js';
import { groupsOf } from '../../../ir/flow/typing.js';
import type { IoDtype } from '../../../ir/common/dtype.js';
import { elements } from '../../../ir/graph/typing.js';
import type { Lowering, Plan, PlanKernel, PlanTensor, Target } from '../../../ir/plan/plan.js';
import type { Kernel } from '../../../passes/cluster/kernel.js';
import { extentsOf, polynomial, type Extents } from '../../../runtime/extents.js';
import { namesIn } from '../../../runtime/named.js';
import { launchesOf } from '../../../runtime/programs.js';
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
  /** As the plan has it: of whole tiles, of which there are as many as choices by lot fill. */
  readonly flops: number;
  /** Of the tensors that its launches take and give, each once. */
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

interface CallTokens {
  readonly batch: number;
  readonly tokens: number;
}

/** What the plan says of a call. Throws a LimitError where there are too many tokens for one. */
export function kernelsText({ flow, clusters, plan }: CompiledGraph, call: CallTokens): KernelsText {
  const extents = expectedExtents(plan, call);
  const of = (program: KernelText['program'], list: readonly Kernel[]): readonly KernelText[] => {
    const needed = launchesOf(plan, program, extents);
    const launched = [...new Set(needed.map(({ kernel }) => kernel))];
    const described = (name: string, text: string, launches: readonly string[]): KernelText => {
      const kernels = plan.kernels.filter((kernel) => launches.includes(kernel.name));
      return {
        program, name, launches, text, flops: kernels.reduce((sum, { flops }) => sum + polynomial(flops, extents), 0),
        bytes: bytesOf(plan, kernels, extents), lowerings: [...new Set(kernels.map(({ lowering }) => lowering))],
      };
    };
    // Kernels that several launches make have names or numbers of their own behind that of the kernel.
    const own = list.map((_, n) => launched.filter((name) => new RegExp(`^${program}${n}(_\\w+)?$`).test(name)));
    const others = launched.filter((name) => !own.some((names) => names.includes(name)));
    return [
      ...list.map((kernel, n) => described(
        `${program}${n}`, `${kernel.form} of ${nameOf(flow, kernel.rows)} [${kernel.axes.map(({ name }) => name).join(', ')}]`, own[n],
      )),
      ...(others.length === 0 ? [] : [described(program, 'numbers of tokens, tables of slots', others)]),
    ];
  };
  return {
    target: plan.target, dtype: plan.dtype,
    kernels: [...of('forward', clusters.forward), ...of('backward', clusters.backward)],
    slots: flow.domains.flatMap((domain, id): SlotText[] => {
      if (domain.kind !== 'slot') return [];
      const [groups, { perToken }, { chunk }] = [groupsOf(domain), domain, plan];
      const count = elements(groups);
      return [{
        name: nameOf(flow, id), groups: groups.map(({ name }) => name).join(', '), count, perToken, chunk,
        ...loadOf(call.batch * call.tokens, count, perToken, chunk),
      }];
    }),
  };
}

/** Numbers for the names of a plan, with as many tiles of slots as there are by lot, not as many as there may be. */
export function expectedExtents(plan: Plan, { batch, tokens }: CallTokens): Extents {
  const lengths = namesIn(plan).joins ? [batch * tokens] : Array.from({ length: batch }, () => tokens);
  const bounds = extentsOf(plan, { heads: 1, groups: 1, lengths });
  return Object.fromEntries(Object.entries(bounds).map(([name, bound]) => {
    const extent = plan.extents[name];
    const made = 'domain' in extent ? plan.made?.[extent.domain] : undefined;
    if (made === undefined || extent.of !== 'chunk') return [name, bound];
    const { mean, filled } = loadOf(batch * tokens, made.runs, made.perRow, plan.chunk);
    return [name, made.runs * mean / (filled * plan.chunk)];
  }));
}

function bytesOf({ tensors }: Plan, kernels: readonly PlanKernel[], extents: Extents): number {
  const touched = new Set(kernels.flatMap(({ args }) => args.flatMap((arg) => (
    arg.kind === 'tensor' || arg.kind === 'tensorMap' ? [arg.tensor] : arg.kind === 'arena' ? arg.tensors : []
  ))));
  const width = ({ dtype }: PlanTensor): number => (dtype === 'f32' || dtype === 'i32' ? 4 : 2);
  return tensors.reduce((sum, tensor) => (
    touched.has(tensor.name) ? sum + polynomial([[...tensor.shape, width(tensor)]], extents) : sum
  ), 0);
}
