import { arrow, LETTER, MARKER, rect, svg, text } from '../../explain/shapes.js';
import type { GraphExplanation } from './model.js';
import { quantity } from '../../explain/quantity.js';

const TONES = 6;
const BOX = { height: 30, gap: 10, space: 26, left: 150 };

/** One colour for each part, in the order of first appearance. */
function tones(e: GraphExplanation): ReadonlyMap<string, string> {
  const parts = [...new Set(e.stack.flatMap(({ calls }) => calls.map(({ part }) => part)))];
  return new Map(parts.map((part, i) => [part, `tone${i % TONES}`]));
}

/** The stack from top to bottom: a line of parts for the turns that have them. */
export function stackPicture(e: GraphExplanation): string {
  const colours = tones(e);
  const { height, gap, space, left } = BOX;
  const body: string[] = [MARKER];
  let [y, widest] = [8, left];
  e.stack.forEach(({ turns, times, calls }, i) => {
    if (turns !== '') body.push(
      text(8, y + 14, `${times} x`, 'name'), text(8, y + 28, turns.length > 20 ? `${turns.slice(0, 19)}…` : turns, 'small'),
    );
    let x = left;
    for (const { name, part } of calls) {
      const label = name === part ? name : `${name} = ${part}`;
      const width = Math.max(70, 16 + LETTER.name * label.length);
      body.push(rect(x, y, width, height, colours.get(part) ?? 'own', label), text(x + width / 2, y + 20, label, 'in', 'middle'));
      x += width + gap;
    }
    widest = Math.max(widest, x);
    if (i + 1 < e.stack.length) body.push(arrow(left + 20, y + height + 3, left + 20, y + height + space - 3));
    y += height + space;
  });
  return svg(widest + 8, Math.max(y - space + 8, 8), 'parts in the order of their calls', body);
}

/** What is chosen, part by part: scores, choices one after the other, what is read. */
export function routingPicture(e: GraphExplanation): string {
  const { height, gap, space } = BOX;
  const body: string[] = [MARKER];
  let [y, widest] = [20, 100];
  for (const part of new Set(e.choices.map((choice) => choice.part))) {
    body.push(text(8, y - 4, part, 'name'));
    let x = 8;
    const boxes = ['scores', ...e.choices.filter((choice) => choice.part === part).map((choice) => choice.text), 'what is read there'];
    boxes.forEach((label, i) => {
      const width = 20 + LETTER.small * label.length;
      body.push(
        rect(x, y, width, height, i === 0 ? 'once' : i + 1 === boxes.length ? 'own' : 'walk', label),
        text(x + width / 2, y + 20, label, 'in', 'middle'),
      );
      if (i > 0) body.push(arrow(x - gap - 8, y + height / 2, x - 3, y + height / 2));
      x += width + gap + 10;
    });
    widest = Math.max(widest, x);
    y += height + space + 10;
  }
  return svg(widest, Math.max(y - space, 8), 'what is chosen', body);
}

/** Where params and operations are: two bars a part. */
export function sharesPicture(e: GraphExplanation): string {
  const names = e.shares.map(({ name, part, times }) => (
    `${times > 1 ? `${times} x ` : ''}${part === '' ? `${name} itself` : name === part ? name : `${name} (${part})`}`
  ));
  const left = 24 + LETTER.name * Math.max(0, ...names.map((name) => name.length));
  const [width, line] = [420, 44];
  const body: string[] = [];
  const bar = (y: number, part: number, all: number, kind: string, label: string): void => {
    const length = all === 0 ? 0 : Math.max(1, (width * part) / all);
    body.push(rect(left, y, length, 14, kind, label), text(left + length + 6, y + 11, label, 'small'));
  };
  e.shares.forEach(({ params, forward }, i) => {
    const y = 8 + i * line;
    body.push(text(8, y + 20, names[i], 'name'));
    bar(y, params, e.counts.params, 'own', `${quantity(params, '')} params`);
    bar(y + 18, forward, e.costs.forward, 'walk', `${quantity(forward, 'FLOP')} a token`);
  });
  return svg(left + width + 160, 8 + e.shares.length * line, 'params and operations of the parts', body);
}
