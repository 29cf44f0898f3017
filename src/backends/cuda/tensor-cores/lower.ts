import { loadedBuffers } from '../../../ir/tile/buffers.js';
import type { TileKernel } from '../../../ir/tile/tile.js';
import type { CudaContext, LoweredKernel } from '../lowered.js';
import { bufferNamed } from '../address.js';
import { eachStatement } from '../uses.js';
import { lowerChunk } from './chunk.js';
import { isDscore } from './joined-decays.js';
import { tokenRow } from './kernel.js';
import { freeOperands } from './free-operands.js';
import { Unsupported, unsupported } from './forms.js';
import { lowerWalk } from './walk.js';

/** Kernels around matrix products. `undefined`: not of the kind this lowering knows, the plain one takes it. */
export function lowerTensorCores(cx: CudaContext, kernel: TileKernel, why?: (reason: string) => void): LoweredKernel | undefined {
  try {
    if (!worthwhile(kernel)) unsupported('no matrix product');
    if (mapsWide(cx, kernel)) unsupported('maps in f32');
    if (cx.dtype === 'f32') unsupported('f32 operands');
    if (cx.module.chunk !== 64) unsupported(`chunks of ${cx.module.chunk}`);
    if (kernel.inner !== 'head') unsupported('kernels over groups');
    switch (kernel.outer) {
      case 'chunk': return lowerChunk(cx, freeOperands(kernel, (axes) => tokenRow(axes)));
      case 'sequence':
      case 'segment': return lowerWalk(
        cx, freeOperands(kernel, (axes) => (kernel.split !== undefined && axes.includes(kernel.split) ? kernel.split : tokenRow(axes))),
      );
      case 'once': return unsupported('kernels over everything');
    }
  } catch (error) {
    if (!(error instanceof Unsupported)) throw error;
    why?.(error.message);
    return undefined;
  }
}

/** Does a loop over segments load matrices in f32 that are no states? Products would round them. */
function mapsWide({ module }: CudaContext, { body, split }: TileKernel): boolean {
  const isWide = (name: string) => {
    const { axes, dtype } = bufferNamed(module, name);
    return dtype === 'f32' && axes.length === 2 && !axes.some((axis) => axis === split);
  };
  return body.some((stmt) => stmt.kind === 'loop' && stmt.over === 'segments' && loadedBuffers(stmt.body).some(isWide));
}

function worthwhile(kernel: TileKernel): boolean {
  let found = false;
  eachStatement(kernel.body, (stmt) => {
    if (stmt.kind !== 'let') return;
    const { op } = stmt;
    if (isDscore(op) || op.op === 'inverse') found = true;
    if (op.op === 'contract' && kernel.tiles[stmt.tile].axes.length === 2) found = true;
  });
  return found;
}
