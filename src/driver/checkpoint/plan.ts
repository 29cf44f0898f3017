import type { PathParam } from '../../ir/graph/paths.js';
import type { NameMap, Piece, StoredTensor } from '../../ir/graph/stored.js';
import { briefShape, briefText } from '../../support/brief.js';
import { problem, type Problem } from '../problem.js';
import type { Box } from './box.js';
import { WIDTHS, widest, type Float } from './dtypes.js';
import type { Checkpoint } from './files.js';
import { readable, type Readable } from './tensors.js';
import { bytesOf, type Target } from './transfer.js';

/** What is to be written, or all that is wrong with what is there. */
export type Planned = { readonly targets: readonly Target[] } | { readonly problems: readonly Problem[] };

/** Tensors that a message lists at most. */
const LISTED = 20;

/** Native params from the tensors of a family. `dtype`: of all but those that stay f32. */
export function planImport(map: NameMap, from: Checkpoint, dtype: Float | undefined): Planned {
  const wanted = map.tensors.map((tensor) => ({ name: tensor.name, shape: tensor.dims, what: describe(map, tensor) }));
  const found = open(from, wanted, map.ignored);
  if ('problems' in found) return found;
  const pieces = map.params.map((): Target['pieces'][number][] => []);
  for (const tensor of map.tensors) {
    const source = found.sources.get(tensor.name);
    if (source === undefined) throw new Error(`${tensor.name} was not opened`);
    for (const piece of tensor.pieces) pieces[piece.param].push({ source, box: boxOf(piece, 'import') });
  }
  const targets = map.params.map((param, i): Target => ({
    name: param.path, shape: param.axes.map(({ size }) => size), dtype: dtypeOf(
      [param], pieces[i].map(({ source }) => source), dtype,
    ), pieces: pieces[i],
  }));
  return { targets: aligned(targets) };
}

/** Tensors of a family from native params. */
export function planExport(map: NameMap, from: Checkpoint, dtype: Float | undefined): Planned {
  const wanted = map.params.map(({ path, axes }) => (
    { name: path, shape: axes.map(({ size }) => size), what: `[${axes.map(({ name }) => name).join(', ')}]` }
  ));
  const found = open(from, wanted, []);
  if ('problems' in found) return found;
  return {
    targets: map.tensors.map((tensor): Target => {
      const pieces = tensor.pieces.map((piece) => {
        const source = found.sources.get(map.params[piece.param].path);
        if (source === undefined) throw new Error(`${map.params[piece.param].path} was not opened`);
        return { source, box: boxOf(piece, 'export') };
      });
      const params = tensor.pieces.map(({ param }) => map.params[param]);
      return { name: tensor.name, shape: tensor.dims, dtype: dtypeOf(params, pieces.map(({ source }) => source), dtype), pieces };
    }),
  };
}

function boxOf({ from, at, axes }: Piece, direction: 'import' | 'export'): Box {
  const inwards = direction === 'import';
  return {
    from: inwards ? at : from,
    to: inwards ? from : at,
    axes: axes.map(({ size, native, stored }) => ({ size, source: inwards ? stored : native, target: inwards ? native : stored })),
  };
}

/** Params marked f32 stay f32; the others have what was asked for, or what their sources have. */
function dtypeOf(params: readonly PathParam[], sources: readonly Readable[], asked: Float | undefined): Float {
  if (params.some(({ f32 }) => f32)) return 'f32';
  return asked ?? widest([...new Set(sources.map(({ stored }) => (stored === 'mxfp4' ? 'u8' : stored)))]);
}

/** Wide elements first, so that all lie at multiples of their size. */
function aligned(targets: readonly Target[]): readonly Target[] {
  return [...targets].sort((a, b) => WIDTHS[b.dtype] - WIDTHS[a.dtype]);
}

interface Wanted {
  readonly name: string;
  readonly shape: readonly number[];
  /** Where its shape comes from. */
  readonly what: string;
}

/** Finds all wanted tensors; whatever is missing, misshapen or not wanted is told at once. */
function open(from: Checkpoint, wanted: readonly Wanted[], ignored: readonly string[]): {
  readonly sources: ReadonlyMap<string, Readable>,
} | { readonly problems: readonly Problem[] } {
  const sources = new Map<string, Readable>();
  const claimed = new Set<string>();
  const missing: string[] = [];
  const unfit: string[] = [];
  const misshapen: string[] = [];
  for (const { name, shape, what } of wanted) {
    const found = readable(from, name);
    if (found === undefined) missing.push(`\`${name}\` ${briefShape(shape)}`);
    else if (typeof found === 'string') {
      unfit.push(found);
      claimed.add(name);
    } else {
      found.parts.forEach((part) => claimed.add(part));
      if (found.shape.join() !== shape.join()) misshapen.push(
        `\`${name}\` is ${briefShape(found.shape)}, expected ${briefShape(shape)}: ${what}`,
      );
      sources.set(name, found);
    }
  }
  const patterns = ignored.map(patternOf);
  const strangers = [...from.tensors.keys()].filter((name) => !claimed.has(name) && !patterns.some((pattern) => pattern.test(name)));
  const problems = [
    ...listed(
      'E501',
      missing,
      'is missing',
      'are missing',
      from,
      `the checkpoint has ${from.tensors.size} tensors, of which ${claimed.size} are known`,
    ),
    ...listed(
      'E503',
      misshapen,
      'has the wrong shape',
      'have the wrong shape',
      from,
      'sizes are those of the model\'s text: give others with --size, or name another checkpoint',
    ),
    ...listed(
      'E502',
      unfit,
      'cannot be read as weights',
      'cannot be read as weights',
      from,
      'weights are F64, F32, F16, BF16, I8, U8, F8_E4M3, F8_E5M2, or U8 in blocks of MXFP4',
    ),
    ...listed(
      'E824', strangers.map((name) => `\`${briefText(name, 100)}\` ${briefShape(from.tensors.get(name)?.shape ?? [])}`),
      'is claimed by no param', 'are claimed by no param', from,
      'add params for them to the model, or leave them out by `ignore "name.*"` in its names',
    ),
  ];
  return problems.length > 0 ? { problems } : { sources };
}

/** One problem for all tensors of a kind, the first ones by name. */
function listed(
  code: 'E501' | 'E502' | 'E503' | 'E824', items: readonly string[], one: string, several: string, from: Checkpoint, help: string,
): readonly Problem[] {
  if (items.length === 0) return [];
  const more = items.length > LISTED ? [`and ${items.length - LISTED} more`] : [];
  const title = items.length === 1 ? `a tensor of ${from.path} ${one}` : `${items.length} tensors of ${from.path} ${several}`;
  return [problem(code, title, ...items.slice(0, LISTED), ...more, help)];
}

function patternOf(text: string): RegExp {
  return new RegExp(`^${text.split('*').map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('.*')}$`);
}

/** `ffn.3.expert.gate [E, D, F] and ffn.3.expert.up [E, D, F]` */
function describe({ params }: NameMap, { pieces }: StoredTensor): string {
  return pieces.map(
    ({ param }) => `\`${params[param].path}\` [${params[param].axes.map(({ name, size }) => `${name} = ${size}`).join(', ')}]`,
  ).join(' and ');
}

export interface Shard {
  readonly name: string;
  readonly targets: readonly Target[];
}

/** Files of at most `most` bytes, as the library names them; one tensor may be larger. */
export function shardsOf(
  targets: readonly Target[], most: number,
): { readonly shards: readonly Shard[]; readonly index: string | undefined } {
  const groups: Target[][] = [];
  let room = 0;
  for (const target of targets) {
    const bytes = bytesOf(target);
    if (groups.length === 0 || bytes > room) {
      groups.push([]);
      room = most;
    }
    groups[groups.length - 1].push(target);
    room -= bytes;
  }
  if (groups.length <= 1) return { shards: [{ name: 'model.safetensors', targets: aligned(targets) }], index: undefined };
  const digits = (n: number): string => String(n).padStart(5, '0');
  const shards = groups.map(
    (group, i) => ({ name: `model-${digits(i + 1)}-of-${digits(groups.length)}.safetensors`, targets: aligned(group) }),
  );
  const map = shards.flatMap(
    ({ name, targets: own }) => own.map((target): [string, string] => [target.name, name]),
  ).sort(([a], [b]) => (a < b ? -1 : 1));
  const total = targets.reduce((sum, target) => sum + bytesOf(target), 0);
  return { shards, index: `${JSON.stringify({ metadata: { total_size: total }, weight_map: Object.fromEntries(map) }, null, 2)}\n` };
}
