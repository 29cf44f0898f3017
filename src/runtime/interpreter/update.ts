import { update } from '../../interp/flow/machine.js';
import { readFlow } from '../../ir/flow/json.js';
import type { ReadFile } from '../open.js';
import type { BufferUpdate } from '../update.js';
import { tensor } from '../tensors.js';

/** Opens how buffers move after a step, which `lmoec build` wrote beside kernels. In float64: `sign` of what is even is 0. */
export async function openUpdate(readFile: ReadFile): Promise<BufferUpdate> {
  const flow = readFlow(new TextDecoder().decode(await readFile('update.json')));
  const read = new Set(flow.values.flatMap((value) => (value.kind === 'param' ? [flow.params[value.param].path] : [])));
  return {
    takes: flow.update.takes.map(({ name }) => name),
    params: flow.params.map(({ path }) => path).filter((path) => read.has(path)),
    buffers: flow.params.flatMap(({ path, buffer }) => (buffer ? [path] : [])),
    run(calls, params) {
      const found = update(flow, calls.map((takes) => ({ takes })), params);
      return Object.fromEntries(flow.update.results.map(({ name, axes }) => {
        const names = axes.map((axis) => axis.name.slice(axis.name.lastIndexOf('.') + 1)).join(' ');
        return [name, tensor(names, axes.map(({ size }) => size), Float32Array.from(found.get(name) ?? []))];
      }));
    },
  };
}
