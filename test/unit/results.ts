import { runTiles, type TileDims } from '../../src/interp/tile.js';
import { storedBuffers } from '../../src/ir/tile/buffers.js';
import type { TileModule } from '../../src/ir/tile/tile.js';

/**
 * What a program gives, by the interpreter of tiles. Of rows whose runs a kernel counts those that there are: memory has as many as there
 * may be, and what lies behind the last one is nobody's.
 */
export function resultsOf(
  module: TileModule, program: string, dims: TileDims, given: ReadonlyMap<string, Float64Array>,
): ReadonlyMap<string, Float64Array> {
  const made = module.domains.flatMap((domain) => domain.made ?? []);
  const { gives, launches } = module.programs[program];
  const stored = new Set(module.kernels.filter(({ name }) => launches.includes(name)).flatMap(({ body }) => storedBuffers(body)));
  const offsets = made.map((one) => one.offsets).filter((name) => stored.has(name));
  const shown: TileModule = {
    ...module,
    buffers: module.buffers.map((buffer) => (offsets.includes(buffer.name) ? { ...buffer, role: 'output' } : buffer)),
    programs: { ...module.programs, [program]: { ...module.programs[program], gives: [...gives, ...offsets] } },
  };
  const buffers = new Map(given);
  runTiles(shown, program, dims, buffers);
  return new Map(gives.map((name) => {
    const data = buffers.get(name) ?? new Float64Array();
    const { outer, domain } = module.buffers.find((buffer) => buffer.name === name) ?? {};
    const own = outer === 'row' ? domain?.made : undefined;
    const count = own && buffers.get(own.offsets)?.[own.runs];
    if (own === undefined || count === undefined) return [name, data];
    const tokens = (dims.runs[own.of] ?? []).reduce((n, [, length]) => n + length, 0);
    return [name, data.slice(0, data.length / (tokens * own.perRow) * count)];
  }));
}
