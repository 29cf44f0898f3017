import type { GraphExplanation, Share } from './model.js';
import type { KernelText } from './kernels.js';
import type { PartText } from './parts.js';
import type { Lowering } from '../../../ir/plan/plan.js';
import { quantity } from '../../explain/quantity.js';

/** What is said, by label. */
export function factsOf(e: GraphExplanation): readonly (readonly [string, readonly string[]])[] {
  const settings = Object.entries(e.settings).map(([name, value]) => `${name}=${value}`).join(' ');
  const facts: readonly (readonly [string, readonly string[]])[] = [
    ['with', settings === '' ? [] : [settings]],
    ['takes', [e.inputs.join(', ')]],
    ['gives', [e.outputs.join(', ')]],
    ['calls', e.stack.map(stackText)],
    ['parts', e.parts.map(partText)],
    ['chooses', e.choices.map(({ part, text }) => `${part}: ${text}`)],
    ['losses', e.losses.length === 0 ? [] : [e.losses.join(', ')]],
    ['params', paramTexts(e)],
    ['shares', sharesText(e.shares, e)],
    ['a token', costTexts(e)],
    ['cache', cacheTexts(e)],
    ['memory', memoryTexts(e)],
    ['kernels', kernelTexts(e)],
    ['by lot', slotTexts(e)],
  ];
  return facts.filter(([, texts]) => texts.length > 0);
}

/** The text of `lmoec explain` for a layer, mixture or model. */
export function graphText(e: GraphExplanation): string {
  const lines = [`${e.kind} ${e.name}    ${e.place}`, ...(e.doc === '' ? [] : e.doc.split('\n').map((line) => `  ${line}`.trimEnd())), ''];
  for (const [label, texts] of factsOf(e)) {
    texts.forEach((text, i) => lines.push(`  ${(i === 0 ? label : '').padEnd(11)} ${text}`.trimEnd()));
  }
  return `${lines.join('\n')}\n`;
}

function stackText({ turns, times, calls }: GraphExplanation['stack'][number]): string {
  const text = calls.map(({ name, part }) => (name === part ? name : `${name} = ${part}`)).join(', ');
  return turns === '' ? text : `${times} x [${turns}] ${text}`;
}

function partText({ name, takes, gives, settings, params }: PartText): string {
  const told = [...settings, ...(params > 0 ? [`${count(params)} params`] : [])].join(' ');
  return `${name}(${takes.join(', ')}) -> ${gives.join(', ')}${told === '' ? '' : `    ${told}`}`;
}

const count = (n: number): string => n.toLocaleString('en-US', { maximumFractionDigits: 0 });

function paramTexts({ counts, withoutEmbedding, withoutVocabulary }: GraphExplanation): readonly string[] {
  const row = ({ params, active }: { readonly params: number; readonly active: number }, note: string): string => (
    `${count(params).padStart(17)} in all, ${count(active)} active for a token${note}`
  );
  return [
    row(counts, ''),
    ...(withoutEmbedding === undefined ? [] : [row(withoutEmbedding, ', without the embedding')]),
    ...(withoutVocabulary === undefined ? [] : [row(withoutVocabulary, ', without embedding and head')]),
    ...(counts.buffers === 0 ? [] : [`${count(counts.buffers).padStart(17)} numbers in buffers`]),
  ];
}

function sharesText(shares: readonly Share[], { counts, costs }: GraphExplanation): readonly string[] {
  if (shares.length < 2) return [];
  const percent = (part: number, all: number): string => `${(all === 0 ? 0 : (100 * part) / all).toFixed(1)} %`.padStart(7);
  return shares.map(({ name, part, times, params, forward }) => (
    `${percent(params, counts.params)} of params, ${percent(forward, costs.forward)} of operations: `
    + `${times > 1 ? `${times} x ` : ''}${part === '' ? `${name} itself` : name === part ? name : `${name} (${part})`}`
  ));
}

function costTexts({ costs, call, bytes }: GraphExplanation): readonly string[] {
  return [
    `forward ${quantity(costs.forward, 'FLOP')}, backward ${quantity(costs.backward, 'FLOP')}, in sequences of ${count(call.tokens)}`,
    `forward ${quantity(bytes.forward, 'B')}, backward ${quantity(bytes.backward, 'B')} at least to and from memory, in 16 bits at `
    + `B=${call.batch}`,
    `${quantity(bytes.decode, 'B')} are read to decode one after them (one sequence)`,
  ];
}

function cacheTexts({ counts, bytes, call }: GraphExplanation): readonly string[] {
  const parts = [
    ...(counts.perToken > 0 ? [`${count(counts.perToken)} numbers a token`] : []),
    ...(counts.windows > 0 ? [`${count(counts.windows)} in windows`] : []),
    ...(counts.perSequence > 0 ? [`${count(counts.perSequence)} a sequence in states`] : []),
  ];
  return [parts.length === 0 ? 'none' : `${parts.join(', ')}: ${quantity(bytes.cache, 'B')} at ${count(call.tokens)} tokens`];
}

function memoryTexts({ bytes, call }: GraphExplanation): readonly string[] {
  return [
    `${quantity(bytes.weights, 'B')} of params in 16 bits; to train ${quantity(bytes.optimiser, 'B')} with gradients and AdamW in f32,`,
    `and ${quantity(bytes.activations, 'B')} of values at B=${call.batch} T=${count(call.tokens)}, if what is pointwise is computed again`,
  ];
}

function kernelTexts({ kernels, call }: GraphExplanation): readonly string[] {
  if (kernels === undefined) return [];
  if ('why' in kernels) return kernels.why.map((why) => `none yet: ${why}`);
  const tensorCores = (lowerings: readonly Lowering[]): string => (lowerings.includes('tensor cores') ? ', tensor cores' : '');
  const nameOf = ({ name, launches }: KernelText): string => (launches.length === 1 ? name : `${name} x${launches.length}`);
  const wide = Math.max(...kernels.kernels.map((kernel) => nameOf(kernel).length + kernel.text.length));
  return [
    `for ${kernels.target} in ${kernels.dtype}, at B=${call.batch} T=${count(call.tokens)}; tiles of slots by lot; bytes of tensors, `
    + 'each once; xN: N launches',
    ...kernels.kernels.map((kernel) => {
      const { text, flops, bytes, lowerings } = kernel;
      const name = nameOf(kernel);
      return `${name}  ${text.padEnd(wide - name.length)}  ${quantity(flops, 'FLOP')}, ${quantity(bytes, 'B')}${tensorCores(lowerings)}`;
    }),
  ];
}

function slotTexts({ kernels }: GraphExplanation): readonly string[] {
  if (kernels === undefined || 'why' in kernels) return [];
  return kernels.slots.map(({ name, groups, count: of, perToken, mean, fullest, filled, chunk }) => (
    `${name}: ${perToken} of ${count(of)} [${groups}] a token, ${count(mean)} rows each; `
    + `the fullest has ${(fullest / mean).toFixed(2)} times that, tiles of ${chunk} rows are ${Math.round(100 * filled)} % full`
  ));
}
