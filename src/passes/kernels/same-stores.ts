import { sameDomain } from '../../ir/tile/domain.js';
import { storedBuffers, withBuffers } from '../../ir/tile/buffers.js';
import type { TileBuffer, TileKernel, TileModule, TileStmt, TileStore } from '../../ir/tile/tile.js';

/**
 * A module in which nothing is stored twice: a workspace that has what another buffer has, from the same kernel, is read there instead. A
 * choice and the mask of it are the same numbers.
 */
export function withoutCopies(module: TileModule): TileModule {
  const buffers = new Map(module.buffers.map((buffer) => [buffer.name, buffer]));
  const storedIn = (name: string): readonly TileKernel[] => module.kernels.filter(({ body }) => storedBuffers(body).includes(name));
  const instead = new Map<string, string>();
  for (const { name, body } of module.kernels) {
    const stores = body.filter(isStore);
    for (const copy of stores) {
      if (buffers.get(copy.buffer)?.role !== 'workspace' || storedIn(copy.buffer).length > 1) continue;
      const first = stores.find((one) => one !== copy && !instead.has(one.buffer) && one.value === copy.value
        && alike(buffers.get(one.buffer), buffers.get(copy.buffer)) && storedIn(one.buffer).every((kernel) => kernel.name === name));
      if (first !== undefined) instead.set(copy.buffer, first.buffer);
    }
  }
  if (instead.size === 0) return module;
  const isCopy = (stmt: TileStmt): boolean => isStore(stmt) && instead.has(stmt.buffer);
  return {
    ...module, buffers: module.buffers.filter(({ name }) => !instead.has(name)),
    kernels: module.kernels.map((kernel) => withBuffers(
      { ...kernel, body: kernel.body.filter((stmt) => !isCopy(stmt)) }, (name) => instead.get(name) ?? name,
    )),
  };
}

const isStore = (stmt: TileStmt): stmt is TileStore => stmt.kind === 'store' && stmt.by === undefined && stmt.only === undefined;

/** Cells of the same kind with the same elements in the same order. */
function alike(a: TileBuffer | undefined, b: TileBuffer | undefined): boolean {
  return a !== undefined && b !== undefined && a.outer === b.outer && a.inner === b.inner && a.dtype === b.dtype
    && sameDomain(a.domain, b.domain) && a.axes.join() === b.axes.join();
}
