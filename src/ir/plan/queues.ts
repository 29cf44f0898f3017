import type { Launch, PlanKernel } from './plan.js';

/**
 * Puts the kernels of a program, in their order, on two queues. A launch must follow an earlier one if both touch a tensor and at least one
 * writes it; it goes on in the queue of such a one, which is for the follower that most launches follow on, one behind the other, or begins
 * in the queue that the launch before it is not in. `waits` names what it must follow besides.
 */
export function queuesOf(kernels: readonly PlanKernel[]): readonly Launch[] {
  const launches: { kernel: string; queue: 0 | 1; waits: number[] }[] = [];
  /** Last launch of each queue, and up to where each queue has seen the other. */
  const last: [number, number] = [-1, -1];
  const seen: [number, number] = [-1, -1];
  const before = kernels.map((kernel, at) => kernels.slice(0, at).flatMap((other, index) => (conflict(other, kernel) ? [index] : [])));
  const ahead = chains(before);
  kernels.forEach((kernel, at) => {
    const direct = before[at].filter((index) => !before[at].some((later) => later > index && before[later].includes(index)));
    const isFirst = (index: number) => !before.some((own, other) => other > at && own.includes(index) && ahead[other] > ahead[at]);
    const follows = ([0, 1] as const).find((queue) => last[queue] >= 0 && direct.includes(last[queue]) && isFirst(last[queue]));
    const queue = follows ?? (at === 0 || launches[at - 1].queue === 1 ? 0 : 1);
    const waits = direct.filter((index) => launches[index].queue !== queue && index > seen[queue]);
    launches.push({ kernel: kernel.name, queue, waits });
    if (waits.length > 0) seen[queue] = Math.max(...waits);
    last[queue] = at;
  });
  return launches;
}

/** By launch: so many follow it, one behind the other. `before`: those that each must follow. */
function chains(before: readonly (readonly number[])[]): readonly number[] {
  const ahead = before.map(() => 0);
  for (let at = before.length - 1; at >= 0; at--) for (const index of before[at]) ahead[index] = Math.max(ahead[index], ahead[at] + 1);
  return ahead;
}

/** Must one of two launches follow the other? */
export function conflict(x: PlanKernel, y: PlanKernel): boolean {
  return x.args.some(
    (a) => a.kind === 'arena'
    || (a.kind === 'table' && y.args.some((b) => b.kind === 'table' && b.table === a.table && (writes(a) || writes(b))))
    || ('tensor' in a && y.args.some((b) => b.kind === 'arena' || ('tensor' in b && b.tensor === a.tensor && (writes(a) || writes(b)))))
  );
}

function writes(arg: PlanKernel['args'][number]): boolean {
  return (arg.kind === 'tensor' && arg.access !== 'read') || (arg.kind === 'table' && arg.access === 'write');
}
