import { fillHtml } from '../../../emit/frame.js';
import type { GraphExplanation } from './model.js';
import { routingPicture, sharesPicture, stackPicture } from './pictures.js';
import { factsOf } from './text.js';

/** A self-contained report: words, numbers and pictures in one HTML file. */
export function graphHtml(template: string, e: GraphExplanation, formulaText: string): string {
  return fillHtml(template, {
    title: `${e.kind} ${e.name}`,
    place: e.place,
    paragraphs: e.doc.split('\n').filter((line) => line.trim() !== ''),
    formula: formulaText,
    stacks: e.stack.length === 0 ? [] : [stackPicture(e)],
    routings: e.choices.length === 0 ? [] : [routingPicture(e)],
    shares: sharesPicture(e),
    facts: factsOf(e).map(([label, texts]) => ({ label, texts })),
  });
}
