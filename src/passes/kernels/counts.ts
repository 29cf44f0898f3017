import { TOKEN } from '../../ir/flow/flow.js';
import { loadedBuffers } from '../../ir/tile/buffers.js';
import { buildKernel } from '../../ir/tile/build.js';
import type { TileKernel } from '../../ir/tile/tile.js';
import { tileDomain, type Memory } from './memory.js';

/** Kernels that write numbers of tokens and sequences which others load. */
export function countLaunches({ flow, bindings }: Memory, kernels: readonly TileKernel[], program: string): readonly TileKernel[] {
  const loaded = new Set(kernels.flatMap(({ body }) => loadedBuffers(body)));
  const domain = tileDomain(flow, TOKEN);
  return [...bindings.values()].flatMap(({ buffer, held }): readonly TileKernel[] => {
    const value = held.kind === 'value' ? flow.values[held.value] : undefined;
    if (value?.kind !== 'count' || value.of === 'ranks' || !loaded.has(buffer.name)) return [];
    const { of } = value;
    const head = {
      name: `${program}_${of}`, doc: `The number of ${of === 'batch' ? 'sequences' : 'tokens'}.`, domain, inner: 'once',
      outer: of === 'time' ? 'run' : 'once',
    } as const;
    return [buildKernel(head, (k) => k.store(buffer, k.size(of === 'time' ? 'run' : of === 'batch' ? 'runs' : 'rows')))];
  });
}
