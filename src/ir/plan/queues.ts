import type { Launch, PlanKernel } from './plan.js';

/**
 * Puts the kernels of a program, in their order, on two queues. A launch must follow an earlier one if both touch a tensor and at least one
 * writes it; it goes on in the queue of such a one, or begins in the queue that the launch before it is not in. `waits` names what it must
 * follow besides.
 */
export function queuesOf(kernels: readonly PlanKernel[]): readonly Launch[] {
  const launches: { kernel: string; queue: 0 | 1; waits: number[] }[] = [];
  /** Last launch of each queue, and up to where each queue has seen the other. */
  const last: [number, number] = [-1, -1];
  const seen: [number, number] = [-1, -1];
  kernels.forEach((kernel, at) => {
    const before = kernels.slice(0, at).flatMap((other, index) => (conflict(other, kernel) ? [index] : []));
    const direct = before.filter((index) => !before.some((later) => later > index && conflict(kernels[index], kernels[later])));
    const follows = ([0, 1] as const).find((queue) => last[queue] >= 0 && direct.includes(last[queue]));
    const queue = follows ?? (at === 0 || launches[at - 1].queue === 1 ? 0 : 1);
    const waits = direct.filter((index) => launches[index].queue !== queue && index > seen[queue]);
    launches.push({ kernel: kernel.name, queue, waits });
    if (waits.length > 0) seen[queue] = Math.max(...waits);
    last[queue] = at;
  });
  return launches;
}

function conflict(x: PlanKernel, y: PlanKernel): boolean {
  return x.args.some(
    (a) => a.kind === 'arena'
    || (a.kind === 'table' && y.args.some((b) => b.kind === 'table' && b.table === a.table && (writes(a) || writes(b))))
    || ('tensor' in a && y.args.some((b) => b.kind === 'arena' || ('tensor' in b && b.tensor === a.tensor && (writes(a) || writes(b)))))
  );
}

function writes(arg: PlanKernel['args'][number]): boolean {
  return (arg.kind === 'tensor' && arg.access !== 'read') || (arg.kind === 'table' && arg.access === 'write');
}
