import { TOKEN } from '../../ir/flow/flow.js';
import { loadedBuffers } from '../../ir/tile/buffers.js';
import { buildKernel } from '../../ir/tile/build.js';
import type { TileKernel } from '../../ir/tile/tile.js';
import { numberOf } from './numbering.js';
import { tileDomain, type Binding, type Memory } from './memory.js';

/** Kernels that write numbers of tokens, of sequences and of elements which others load. */
export function countLaunches(memory: Memory, kernels: readonly TileKernel[], program: string): readonly TileKernel[] {
  const loaded = new Set(kernels.flatMap(({ body }) => loadedBuffers(body)));
  return [...memory.bindings.values()].flatMap((binding) => (
    loaded.has(binding.buffer.name) ? counting(memory, binding, `${program}_${binding.buffer.name}`) ?? [] : []
  ));
}

function counting({ flow }: Memory, { buffer, held }: Binding, name: string): TileKernel | undefined {
  const head = { name, domain: tileDomain(flow, TOKEN), inner: 'once' } as const;
  if (held.kind === 'index') {
    return buildKernel({ ...head, doc: 'Numbers of elements.', outer: 'once' }, (k) => k.store(buffer, numberOf(k, held.axes)));
  }
  if (held.kind === 'number' && (held.number === 'tokens' || held.number === 'time')) {
    const of = held.number === 'tokens' ? 'row' : 'place';
    return buildKernel({ ...head, doc: 'Numbers of tokens.', outer: 'chunk' }, (k) => k.store(buffer, k.number(of)));
  }
  const value = held.kind === 'value' ? flow.values[held.value] : undefined;
  if (value?.kind !== 'count' || value.of === 'ranks') return undefined;
  const { of } = value;
  const [doc, outer] = [`The number of ${of === 'batch' ? 'sequences' : 'tokens'}.`, of === 'time' ? 'run' : 'once'] as const;
  return buildKernel({ ...head, doc, outer }, (k) => k.store(buffer, k.size(of === 'time' ? 'run' : of === 'batch' ? 'runs' : 'rows')));
}
