import type { TileBuffer } from '../../../src/ir/tile/tile.js';
import { TOKENS } from '../../../src/passes/chunk/programs.js';

/** A tensor with a vector for each token and head. */
export const rowBuffer = (name: string, axes: readonly string[], dtype: TileBuffer['dtype'] = 'io'): TileBuffer => ({
  name, outer: 'row', domain: TOKENS, inner: 'head', axes: [...axes], dtype, role: 'input',
});
