import type { Axis } from '../../ir/common/axes.js';
import { operandsOf } from '../../ir/tile/facts.js';
import { prune } from '../../ir/tile/prune.js';
import {
  withKernels, type TileBuffer, type TileId, type TileKernel, type TileLoop, type TileModule, type TileStmt,
} from '../../ir/tile/tile.js';

/**
 * Elements of sums that are made segment by segment: larger ones have programs enough by their blocks, those of every run sooner than those
 * that there are once.
 */
const MOST = { once: 2 ** 20, run: 2 ** 18 };

/** A fold over chunks in two stages: of the chunks of every segment, and of the segments. */
interface Stages {
  readonly first: TileKernel;
  readonly second: TileKernel;
  readonly buffers: readonly TileBuffer[];
}

/**
 * A module in which folds over all chunks, or over those of a run, are no loop of one program: each segment folds its chunks, and what they
 * give is folded then. Sums of weights of experts are as they were: there are many, and they are large.
 */
export function inStages(module: TileModule): TileModule {
  const made = new Map(module.kernels.flatMap((kernel) => {
    const stages = stagesOf(module, kernel);
    return stages === undefined ? [] : [[kernel.name, stages] as const];
  }));
  const kernels = new Map([...made].map(([name, { first, second }]) => [name, [first, second]]));
  return withKernels(module, kernels, [...made.values()].flatMap(({ buffers }) => buffers));
}

function stagesOf(module: TileModule, kernel: TileKernel): Stages | undefined {
  const { outer, inner, body, domain } = kernel;
  const [loop, ...others] = body.filter((stmt) => stmt.kind === 'loop');
  if ((outer !== 'once' && outer !== 'run') || inner !== 'once' || loop === undefined || others.length > 0) return undefined;
  if (loop.over !== 'chunks' || loop.only !== undefined || loop.body.some(({ kind }) => kind !== 'let')) return undefined;
  const folds = loop.carry.map((carry) => foldOf(kernel, loop, carry));
  const elements = (axes: readonly Axis[]) => axes.reduce((n, axis) => n * (module.sizes.get(axis) ?? NaN), 1);
  const all = loop.carry.reduce((n, { tile }) => n + elements(kernel.tiles[tile].axes), 0);
  if (folds.includes(undefined) || !(all <= MOST[outer])) return undefined;
  const buffers = loop.carry.map(({ tile }, i): TileBuffer => ({
    name: `${kernel.name}_part${i}`, outer: 'segment', domain, inner: 'once', axes: kernel.tiles[tile].axes, dtype: 'f32',
    role: 'workspace',
  }));
  const at = body.indexOf(loop);
  const tiles = [...kernel.tiles];
  const newTile = (axes: readonly Axis[]): TileId => tiles.push({ axes }) - 1;
  const parts = loop.carry.map(({ tile }, i) => {
    const { axes } = kernel.tiles[tile];
    const [part, next] = [newTile(axes), newTile(axes)];
    const lets: readonly TileStmt[] = [
      { kind: 'let', tile: part, op: { op: 'load', buffer: buffers[i].name, rows: 'none' } },
      { kind: 'let', tile: next, op: { op: 'map', fn: folds[i] ?? 'add', args: [tile, part] } },
    ];
    return { next, lets };
  });
  const ofSegments: TileLoop = {
    kind: 'loop', over: 'segments', reverse: false, carry: loop.carry.map((carry, i) => ({ ...carry, next: parts[i].next })),
    body: parts.flatMap(({ lets }) => lets),
  };
  const stores = loop.carry.map(({ tile }, i): TileStmt => ({ kind: 'store', buffer: buffers[i].name, value: tile }));
  return {
    first: prune({
      ...kernel, name: `${kernel.name}_parts`, doc: `${kernel.doc} Each ${domain.segment} by itself.`, outer: 'segment',
      body: [...body.slice(0, at + 1), ...stores],
    }),
    second: prune({ ...kernel, tiles, body: [...body.slice(0, at), ofSegments, ...body.slice(at + 1)] }),
    buffers,
  };
}

/** How a carried tile is folded, if nothing else is done with it in the loop, and a fold of folds is the same. */
function foldOf(
  kernel: TileKernel, { body }: TileLoop, { tile, init, next }: TileLoop['carry'][number],
): 'add' | 'max' | 'min' | undefined {
  const opOf = (of: TileId, within: readonly TileStmt[]) => {
    const found = within.find((stmt) => stmt.kind === 'let' && stmt.tile === of);
    return found?.kind === 'let' ? found.op : undefined;
  };
  const op = opOf(next, body);
  const readers = body.filter((stmt) => stmt.kind === 'let' && (operandsOf(stmt.op).includes(tile) || operandsOf(stmt.op).includes(next)));
  if (op?.op !== 'map' || readers.length !== 1 || op.args.filter((arg) => arg === tile).length !== 1) return undefined;
  // Every segment begins with it: of sums that is nothing.
  if (op.fn === 'add' && opOf(init, kernel.body)?.op === 'zeros') return 'add';
  return op.fn === 'max' || op.fn === 'min' ? op.fn : undefined;
}
