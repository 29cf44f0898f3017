import type { Axis } from '../../../ir/common/axes.js';
import { operandsOf } from '../../../ir/tile/facts.js';
import type { TileId, TileKernel, TileLet, TileOp } from '../../../ir/tile/tile.js';
import type { BlockLoop, BlockParts } from './block-parts.js';
import { definitions } from './kernel.js';

type Product = TileLet & { readonly op: Extract<TileOp, { op: 'contract' }> };

/** Columns of what one instruction multiplies. */
const MOST_COLUMNS = 256;

const isProduct = (stmt: TileLet): stmt is Product => stmt.op.op === 'contract';

/**
 * The products of a loop. Those of the same left operand whose right operands are alike are one product, of a right operand as wide as all
 * of them, up to what tensor cores multiply at a time, so that they read the left one once.
 */
export function jointProducts(
  { kernel, rows, sums }: Pick<BlockParts, 'kernel' | 'rows' | 'sums'>, { inside }: BlockLoop, width: number,
): readonly (readonly Product[])[] {
  const axesOf = (tile: TileId) => kernel.tiles[tile].axes;
  const defs = definitions(kernel);
  const products = inside.filter(isProduct);
  const leftOf = ({ op }: Product) => (axesOf(op.a).includes(rows) ? op.a : op.b);
  const known = [...sums.values()];
  const isAlone = ({ tile, op }: Product) => {
    const right = rightOf(kernel, rows, op);
    const makes = defs.get(right)?.op;
    return (makes === 'load' || makes === 'gather') && products.filter((one) => operandsOf(one.op).includes(right)).length === 1
      && known.filter((sum) => sum === sums.get(tile)).length === 1;
  };
  const joint: Product[][] = [];
  for (const product of products) {
    const first = axesOf(rightOf(kernel, rows, product.op))[0];
    const mate = joint.find(([one]) => (
      leftOf(one) === leftOf(product) && axesOf(rightOf(kernel, rows, one.op))[0] === first && isAlone(one) && isAlone(product)
    ));
    if (mate === undefined) joint.push([product]);
    else mate.push(product);
  }
  return joint.flatMap((group) => parted(group, Math.max(1, MOST_COLUMNS / width)));
}

/** The operand of a product that has the columns of the result. */
export const rightOf = (kernel: BlockParts['kernel'], rows: BlockParts['rows'], { a, b }: Product['op']): TileId => (
  kernel.tiles[a].axes.includes(rows) ? b : a
);

/** In parts of one, two or four, as many as `most`. */
function parted<T>(list: readonly T[], most: number): readonly (readonly T[])[] {
  const here = [4, 2, 1].find((n) => n <= most && n <= list.length);
  return here === undefined ? [] : [list.slice(0, here), ...parted(list.slice(here), most)];
}

/** Sums that share registers: those of products that are one. */
export function summedUp(
  joints: readonly (readonly (readonly { readonly tile: TileId }[])[])[], sums: ReadonlyMap<TileId, TileId>,
): readonly (readonly TileId[])[] {
  const all = joints.flat().map((group) => group.map(({ tile }) => sums.get(tile) ?? tile));
  return all.filter((group, n) => all.findIndex(([tile]) => tile === group[0]) === n);
}

/** Operands, those of products that are one behind each other, as these read them; products by themselves. */
export function inOrder(
  kernel: TileKernel, rows: Axis, inside: BlockLoop['inside'], joints: ReturnType<typeof jointProducts>,
): BlockLoop['inside'] {
  const together = joints.filter(({ length }) => length > 1).flatMap((group) => group.map(({ op }) => rightOf(kernel, rows, op)));
  const operands = inside.filter(({ op }) => op.op !== 'contract');
  const last = together.flatMap((tile) => operands.filter((stmt) => stmt.tile === tile));
  return [...operands.filter((stmt) => !last.includes(stmt)), ...last];
}
