import type { Launch, PlanKernel } from './plan.js';

/**
 * Puts the kernels of a program, in their order, on two lanes. A launch must follow an earlier one if both touch a tensor and at least one
 * writes it; it goes on in the lane of such a one, or begins in the lane that the launch before it is not in. `waits` names what it must
 * follow besides.
 */
export function lanesOf(kernels: readonly PlanKernel[]): readonly Launch[] {
  const launches: { kernel: string; lane: 0 | 1; waits: number[] }[] = [];
  /** Last launch of each lane, and up to where each lane has seen the other. */
  const last: [number, number] = [-1, -1];
  const seen: [number, number] = [-1, -1];
  kernels.forEach((kernel, at) => {
    const before = kernels.slice(0, at).flatMap((other, index) => (conflict(other, kernel) ? [index] : []));
    const direct = before.filter((index) => !before.some((later) => later > index && conflict(kernels[index], kernels[later])));
    const follows = ([0, 1] as const).find((lane) => last[lane] >= 0 && direct.includes(last[lane]));
    const lane = follows ?? (at === 0 || launches[at - 1].lane === 1 ? 0 : 1);
    const waits = direct.filter((index) => launches[index].lane !== lane && index > seen[lane]);
    launches.push({ kernel: kernel.name, lane, waits });
    if (waits.length > 0) seen[lane] = Math.max(...waits);
    last[lane] = at;
  });
  return launches;
}

function conflict(x: PlanKernel, y: PlanKernel): boolean {
  return x.args.some(
    (a) => a.kind === 'arena'
    || ('tensor' in a && y.args.some((b) => b.kind === 'arena' || ('tensor' in b && b.tensor === a.tensor && (writes(a) || writes(b)))))
  );
}

function writes(arg: PlanKernel['args'][number]): boolean {
  return arg.kind === 'tensor' && arg.access !== 'read';
}
