import { fillHtml } from '../../../emit/frame.js';
import type { Explanation, MaskText } from './model.js';
import { flowPicture, maskPicture, timelinePicture } from './svg.js';
import { machineText } from './text.js';
import { duration, quantity } from '../../explain/quantity.js';

/** A self-contained report: words, numbers and pictures in one HTML file. */
export function explainHtml(template: string, e: Explanation, formulaText: string): string {
  const rows = (['forward', 'backward', 'step'] as const).flatMap((program) => e[program].kernels.map((kernel, i) => ({
    program: i === 0 ? program : '',
    name: kernel.name,
    doc: kernel.doc,
    blocks: `${kernel.blocks} × ${kernel.threads}`,
    flops: quantity(kernel.flops, 'FLOP'),
    bytes: quantity(kernel.bytes, 'B'),
    time: duration(kernel.seconds),
    bound: kernel.bound,
  })));
  return fillHtml(template, {
    title: e.scan,
    place: e.place,
    paragraphs: e.doc.split('\n').filter((line) => line.trim() !== ''),
    formula: formulaText,
    states: e.states.map((state) => ({ ...state, axes: state.axes.join(', '), writes: state.writes.join('  +  ') })),
    outputs: [...e.lets.map((text) => `let ${text}`), ...e.outputs],
    target: `${e.target}, ${e.dtype}, chunks of ${e.chunk} tokens, `
      + Object.entries(e.sizes).map(([axis, size]) => `${axis} = ${size}`).join(', '),
    call: `B = ${e.call.batch}, T = ${e.call.tokens}, H = ${e.call.heads}${e.call.groups === e.call.heads ? '' : `, G = ${e.call.groups}`}`
      + (e.segments === undefined ? '' : `; segments: ${e.segments}`),
    machine: machineText(e),
    maskSections: e.masks.length === 0 ? [] : [{ masks: e.masks.map(maskOf) }],
    forwardFlow: flowPicture(e.forward, 'data flow of forward', false),
    backwardFlow: flowPicture(e.backward, 'data flow of backward', true),
    timeline: timelinePicture(e),
    rows,
    totals: [...(['forward', 'backward', 'step'] as const).map((program) => ({ program, cost: e[program] })), ...e.pieces].map(
      ({ program, cost }) => ({
        program, flops: quantity(cost.flops, 'FLOP'), bytes: quantity(cost.bytes, 'B'), floor: quantity(cost.floorBytes, 'B'),
        time: duration(cost.seconds),
      }),
    ),
  });
}

/** Example decays, the same in every report: what a gate of this kind looks like, not values of the user's. */
function exampleDecay(gate: MaskText['gate']): (token: number) => number {
  switch (gate) {
    case 'none': return () => 0;
    case 'constant': return () => -0.1;
    case 'scalar': return (token) => -0.05 - 0.3 * Math.abs(Math.sin(token * 2.1));
    case 'channel': return (token) => -0.02 - 0.35 * Math.abs(Math.sin(token * 1.3 + 1));
  }
}

const GATE_NOTES: Readonly<Record<MaskText['gate'], string>> = {
  none: 'no decay', constant: 'constant decay', scalar: 'example gate', channel: 'one channel, example gate',
};

function maskOf({ title, erase, strict, before, gate }: MaskText): string {
  const note = erase ? 'strictly below the diagonal; (I - A)⁻¹ is solved' : `${strict ? 'before' : 'after'} the token's own write`;
  return maskPicture(title, [...note.split('; '), GATE_NOTES[gate]], strict, before, exampleDecay(gate));
}
