import type { Flow } from '../../ir/flow/flow.js';
import { nameOf } from '../../ir/flow/print.js';
import type { Clusters, Kernel } from './kernel.js';

/** One kernel a line, for tests and for `--emit`. */
export function printClusters(flow: Flow, { forward, backward }: Clusters): string {
  const lines = (program: string, kernels: readonly Kernel[]): string[] => {
    return kernels.map((kernel) => `  ${program} ${lineOf(flow, kernel)}`);
  };
  return [`clusters ${flow.name}`, ...lines('forward', forward), ...lines('backward', backward), ''].join('\n');
}

function lineOf(flow: Flow, { form, rows, axes, anchors, stores, loads }: Kernel): string {
  const ids = (list: readonly number[]): string => list.map((id) => `%${id}`).join(' ');
  const of = anchors.length === 0 ? '' : ` of ${ids(anchors)}`;
  return `${form} ${nameOf(flow, rows)} [${axes.map(({ name }) => name).join(', ')}]${of}: ${ids(loads)} -> ${ids(stores)}`;
}
