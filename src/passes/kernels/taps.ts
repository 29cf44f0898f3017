import { TOKEN, type FlowValue, type ValueId } from '../../ir/flow/flow.js';
import type { TileId } from '../../ir/tile/tile.js';
import { refuse, type Frame, type View } from './frame.js';
import { bufferOf, indexBuffer, names } from './memory.js';

/** Rows before a token side by side, this one last; or what rows after it have of this one. Each is read from memory at its distance. */
export function tapped(
  frame: Frame, id: ValueId, { kind, arg, axis, type }: FlowValue & { readonly kind: 'taps' | 'untap' }, view: View,
): TileId {
  const { k, memory, loads } = frame;
  if (type.domain !== TOKEN || view.kind !== 'own' || frame.domain !== TOKEN) return refuse(frame, id, 'rows before others than tokens');
  const { kind: of } = frame.flow.values[arg];
  if (!(loads.has(arg) || of === 'input') || memory.partial.has(arg)) return refuse(frame, id, 'rows before that are not in memory');
  const index = k.load(indexBuffer(memory, [axis]));
  const [name] = names([axis]);
  const parts = Array.from({ length: axis.size }, (_, j) => {
    const back = axis.size - 1 - j;
    const [less, more] = [k.map('less', index, k.literal(j)), k.map('less', k.literal(j), index)];
    const here = k.sub(k.literal(1), k.add(less, more));
    const part = k.map('chain', k.loadBack(bufferOf(memory, arg), kind === 'taps' ? back : -back), here);
    return kind === 'taps' ? part : k.reduce('sum', name, part);
  });
  return parts.reduce((a, b) => k.add(a, b));
}
