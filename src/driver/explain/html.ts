import { fillHtml } from '../../emit/frame.js';
import type { Gate, ScanProgram } from '../../ir/scan/scan.js';
import type { Explanation } from './model.js';
import { flowPicture, maskPicture, timelinePicture } from './svg.js';
import { duration, quantity } from './text.js';

/** A self-contained report: words, numbers and pictures in one HTML file. */
export function explainHtml(template: string, e: Explanation, scan: ScanProgram | undefined, formulaText: string): string {
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
    target: `${e.target}, ${e.dtype}, chunks of ${e.chunk} tokens, ${Object.entries(e.sizes).map(([axis, size]) => `${axis} = ${size}`).join(', ')}`,
    call: `B = ${e.call.batch}, T = ${e.call.tokens}, H = ${e.call.heads}${e.call.groups === e.call.heads ? '' : `, G = ${e.call.groups}`}`,
    machine: `${e.machine.name}, ${quantity(e.machine.bandwidth, 'B/s')} and ${quantity(e.machine.matrixRate, 'FLOP/s')}`,
    masks: scan === undefined ? [] : masks(scan),
    forwardFlow: flowPicture(e.forward, 'data flow of forward', false),
    backwardFlow: flowPicture(e.backward, 'data flow of backward', true),
    timeline: timelinePicture(e),
    rows,
    totals: (['forward', 'backward', 'step'] as const).map((program) => ({
      program, flops: quantity(e[program].flops, 'FLOP'), bytes: quantity(e[program].bytes, 'B'), floor: quantity(e[program].floorBytes, 'B'), time: duration(e[program].seconds),
    })),
  });
}

/** Example decays, the same in every report: what a gate of this kind looks like, not values of the user's. */
function exampleDecay(gate: Gate): (token: number) => number {
  switch (gate.kind) {
    case 'none': return () => 0;
    case 'scalar': return gate.constant ? () => -0.1 : (token) => -0.05 - 0.3 * Math.abs(Math.sin(token * 2.1));
    case 'channel': return (token) => -0.02 - 0.35 * Math.abs(Math.sin(token * 1.3 + 1));
  }
}

function masks(scan: ScanProgram): string[] {
  return scan.stages.flatMap((stage, i) => {
    if (stage.kind !== 'matrix') return [];
    const decay = exampleDecay(stage.gate);
    const kind = stage.gate.kind === 'none' ? 'no decay' : stage.gate.kind === 'channel' ? `one channel of ${stage.gate.axis}, example gate` : stage.gate.constant ? 'constant decay' : 'example gate';
    const reads = stage.reads.map((read, slot) => {
      const strict = read.before || !read.sees.includes(true);
      return maskPicture(`read ${slot} of stage ${i}`, `${strict ? 'before' : 'after'} the token's own write; ${kind}`, strict, read.before, decay);
    });
    const erases = stage.sources.flatMap((source, n) => (source.erase === undefined ? [] : [
      maskPicture(`erase term of write ${n}`, `strictly below the diagonal; (I - A)⁻¹ is solved; ${kind}`, true, source.erase.before, decay),
    ]));
    return [...reads, ...erases];
  });
}
