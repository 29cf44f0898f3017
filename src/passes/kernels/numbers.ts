import { TOKEN, type FlowValue, type ValueId } from '../../ir/flow/flow.js';
import { groupsOf } from '../../ir/flow/typing.js';
import type { Axis } from '../../ir/graph/types.js';
import { elements, includes } from '../../ir/graph/typing.js';
import type { TileId } from '../../ir/tile/tile.js';
import { ofOwnGroup } from './folds.js';
import { refuse, rowsOf, type Frame, type View } from './frame.js';
import { HALVES, indexBuffer, keyBuffer, numberBuffer, type RowNumber } from './memory.js';

type Of<K extends FlowValue['kind']> = Extract<FlowValue, { kind: K }>;

/** Numbers of elements row by row, those of the tokens before them counted with `over`. */
export function counted(frame: Frame, id: ValueId, { axes, over }: Of<'index'>, view: View): TileId {
  const { k, memory } = frame;
  const own = axes.length === 0 ? k.literal(0) : k.load(indexBuffer(memory, axes));
  if (over === undefined) return own;
  const row = ofToken(frame, id, over, view);
  return k.add(k.mul(row, k.literal(elements(axes))), own);
}

/** A number of the token that a view sees, or to which the slot belongs that it sees. */
function ofToken(frame: Frame, id: ValueId, number: RowNumber, view: View): TileId {
  const buffer = numberBuffer(frame.memory, number);
  if (view.domain === TOKEN || view.kind === 'token') return rowsOf(frame, buffer, view);
  if (view.kind === 'own' && frame.grouped !== undefined) return rowsOf(frame, buffer, { kind: 'token', domain: TOKEN });
  // A token's own slots have its numbers.
  return frame.domain === TOKEN ? frame.k.load(buffer) : refuse(frame, id, 'numbers of tokens that are not there');
}

/** Normal ones are two of equal chances, by Box and Muller: a radius, and the sine or cosine of an angle. */
export function drawn(frame: Frame, id: ValueId, { law, path, number, axes, lanes, domain }: Of<'draw'>, view: View): TileId {
  const { k, memory, flow } = frame;
  const groups = groupsOf(flow.domains[domain]);
  if (groups.length > 0 && view.kind !== 'own') return refuse(frame, id, 'draws of slots seen from tokens');
  const numbered = (list: readonly Axis[]): TileId => {
    if (list.length === 0) return k.literal(0);
    const own = list.filter((axis) => includes(groups, axis));
    const all = k.load(indexBuffer(memory, list));
    return own.length === 0 ? all : ofOwnGroup(frame, all, domain, own);
  };
  const element = numbered(axes);
  const lane = numbered(lanes);
  const [position, sequence] = (['position', 'sequence'] as const).map((one) => ofToken(frame, id, one, view));
  const key = k.load(keyBuffer(memory, path, number));
  const draw = (of: TileId): TileId => k.draw(key, HALVES, { element: of, position, sequence, lane });
  if (law === 'uniform') return draw(element);
  const pair = k.mul(k.literal(2), k.map('floor', k.mul(element, k.literal(0.5))));
  const radius = k.map('sqrt', k.mul(k.literal(-2), k.map('log', draw(pair))));
  const angle = k.mul(k.literal(2 * Math.PI), draw(k.add(pair, k.literal(1))));
  const odd = k.sub(element, pair);
  const even = k.sub(k.literal(1), odd);
  return k.mul(radius, k.add(k.mul(odd, k.map('sin', angle)), k.mul(even, k.map('cos', angle))));
}
