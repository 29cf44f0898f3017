import { sizeIn } from '../../ir/common/axes.js';
import { loadedBuffers, storedBuffers } from '../../ir/tile/buffers.js';
import type { TileKernel } from '../../ir/tile/tile.js';
import { innerText, sizeText } from './address.js';
import { WORKGROUP, type LoweredKernel, type WgslContext } from './lower.js';
import { arenaOffset } from './places.js';
import { createCode, identifier } from './text.js';

/** Writes a tensor of 16-bit floats from its copy in f32: every invocation owns whole words of two elements, over all cells at once. */
export function packKernel(cx: WgslContext, kernel: TileKernel): LoweredKernel {
  const [from, to] = [loadedBuffers(kernel.body)[0], storedBuffers(kernel.body)[0]];
  const buffer = cx.module.buffers.find((candidate) => candidate.name === to);
  if (buffer === undefined || from === undefined || to === undefined) throw new Error(`${kernel.name} does not copy one buffer`);
  const cell = buffer.axes.reduce((n, axis) => n * (sizeIn(cx.module.sizes, cx.module.chunk, axis) ?? 1), 1);
  const pointer = identifier('p_', to);
  const code = createCode(1);
  code.line(`let total = ${[sizeText(buffer.outer), ...innerText(buffer.inner), `${cell}u`].join(' * ')};`);
  code.line(`let copied = ${arenaOffset(cx.arena, from)};`);
  code.open(`for (var i = wid.x * ${WORKGROUP}u + lid; i < (total + 1u) / 2u; i += count.x * ${WORKGROUP}u)`);
  code.line('let low = arena[copied + 2u * i];');
  code.line('let high = select(0.0, arena[copied + min(2u * i + 1u, total - 1u)], 2u * i + 1u < total);');
  code.line(`${pointer}[i] = rt_pack_${cx.dtype === 'bf16' ? 'bf16' : 'f16'}(low, high);`);
  code.close();
  return {
    body: code.text(),
    resources: [
      { kind: 'tensor', tensor: to, access: 'write', pointer, type: 'u32' }, { kind: 'arena', tensors: [from] }, { kind: 'dims' },
    ],
    near: 0, panels: 0, tally: 0,
  };
}
