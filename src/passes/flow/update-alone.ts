import type { Flow } from '../../ir/flow/flow.js';
import { pruned } from './prune.js';

/** The update of a Flow without its calls. Of what it takes the inputs are left, which hosts give. */
export function updateAlone(flow: Flow): Flow {
  const { inputs, values, update } = flow;
  const takes = update.takes.flatMap((take) => {
    const value = values.findIndex((one) => one.kind === 'input' && inputs[one.input].name === take.name);
    return value < 0 ? [] : [{ ...take, value }];
  });
  return pruned({ ...flow, outputs: [], losses: [], counts: [], checks: [], update: { ...update, takes }, backward: undefined });
}
