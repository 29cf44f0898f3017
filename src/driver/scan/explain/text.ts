import { briefList } from '../../../support/brief.js';
import { sum } from '../../../support/sum.js';
import type { KernelCost, ProgramCost } from './costs.js';
import type { Explanation } from './model.js';
import { duration, quantity } from '../../explain/quantity.js';

function columns(rows: readonly (readonly string[])[], right: readonly number[]): string[] {
  const widths: number[] = [];
  for (const row of rows) row.forEach((cell, i) => { widths[i] = Math.max(widths[i] ?? 0, cell.length); });
  return rows.map((row) => row.map((cell, i) => (
    right.includes(i) ? cell.padStart(widths[i]) : cell.padEnd(widths[i])
  )).join('  ').trimEnd());
}

/** The text of `lmoec explain`. */
export function explainText(e: Explanation): string {
  const rows = (
    label: string, ...texts: string[]
  ): string[] => texts.map((text, i) => `  ${(i === 0 ? label : '').padEnd(11)} ${text}`.trimEnd());
  const lines: string[] = [`${e.scan}    ${e.place}`];
  if (e.doc !== '') lines.push(...e.doc.split('\n').map((line) => `  ${line}`.trimEnd()));
  lines.push('');
  if (e.lets.length > 0) lines.push(...rows('let', ...e.lets));
  for (const state of e.states) {
    lines.push(...rows(
      `${state.name} [${state.axes.join(', ')}]`,
      `${state.transition} · ${state.name}[t-1]${state.writes.map((write) => `  +  ${write}`).join('')}`,
    ));
    if (state.update !== undefined && state.transition !== 'nothing is kept') lines.push(...rows(
      'update', `${state.name} = ${state.update}`,
    ));
    lines.push(...rows('gate', state.gate), ...rows('algorithm', state.algorithm));
    if (e.states.some((other) => other.pass > 1)) lines.push(...rows('pass', String(state.pass)));
  }
  if (e.outputs.length > 0) lines.push(...rows('out', ...e.outputs));
  const sizes = Object.entries(e.sizes).map(([axis, size]) => `${axis}=${size}`).join(' ');
  const groups = e.call.groups === e.call.heads ? '' : ` G=${e.call.groups}`;
  lines.push(
    '', ...rows('target', `${e.target}  ${e.dtype}  C=${e.chunk}  ${sizes}`),
    ...rows('call', `B=${e.call.batch} T=${e.call.tokens} H=${e.call.heads}${groups}`)
  );
  if (e.segments !== undefined) lines.push(...rows('segments', e.segments));
  lines.push(...rows('roofline', machineText(e)), '');
  lines.push(...programLines('forward', e.forward), ...programLines('backward', e.backward), ...keptLines(e));
  lines.push(...programLines('step', e.step), ...pieceLines(e));
  return `${lines.join('\n').trimEnd()}\n`;
}

/** Which machine's rates times are made of. */
export function machineText({ machine, target }: Explanation): string {
  const rates = `${machine.name}: ${quantity(machine.bandwidth, 'B/s')}, `
    + `${quantity(machine.matrixRate, 'FLOP/s')} in matrix products on tensor cores, ${quantity(machine.plainRate, 'FLOP/s')} else, `
    + `${quantity(machine.singleRate, 'elements/s')} between products, ${duration(machine.chunkStep)} a chunk of a walk, `
    + `${duration(machine.launch)} a kernel`;
  return target === 'webgpu'
    ? `${rates}; bounds, not predictions: what WebGPU runs on has rates of its own`
    : `${rates}; one kernel at a time, without what registers spill`;
}

function programLines(name: string, cost: ProgramCost): string[] {
  if (cost.kernels.length === 0) return [`  ${name}: no kernels`, ''];
  const row = (kernel: KernelCost): string[] => [
    `    ${kernel.name}`, `${kernel.blocks} x ${kernel.threads}`, quantity(kernel.flops, 'FLOP'), quantity(kernel.bytes, 'B'),
    duration(kernel.seconds), kernel.bound, kernel.lowering, kernel.doc,
  ];
  const total = [
    '    all', '', quantity(cost.flops, 'FLOP'), quantity(cost.bytes, 'B'), duration(cost.seconds), '', '',
    `tensors moved once: ${quantity(cost.floorBytes, 'B')}`,
  ];
  const head = ['    kernel', 'blocks x threads', 'FLOP', 'bytes', 'time', 'bound by', 'lowering', ''];
  return [
    `  ${name}  ${cost.kernels.length} kernel${cost.kernels.length === 1 ? '' : 's'}`,
    ...columns([head, ...cost.kernels.map(row), total], [1, 2, 3, 4]), ...workspaceLine(cost), ...remarks(cost), '',
  ];
}

/** What devices that share sequences run of their pieces beside forward and backward, and what part that is of those. */
function pieceLines({ pieces }: Explanation): string[] {
  if (pieces.length === 0) return [];
  const part = (of: (cost: ProgramCost) => number, { cost, instead }: Explanation['pieces'][number]): string => (
    `${Math.round((100 * of(cost)) / of(instead))}%`
  );
  const rows = pieces.map((piece) => [
    `    ${piece.program}`, `${piece.cost.kernels.length}`,
    quantity(piece.cost.flops, 'FLOP'), part(({ flops }) => flops, piece),
    quantity(piece.cost.bytes, 'B'), part(({ bytes }) => bytes, piece),
    duration(piece.cost.seconds), part(({ seconds }) => seconds, piece),
    piece.program === 'ends' ? 'last states alone, parts of forward' : 'gradients of first states alone, parts of backward',
  ]);
  const head = ['    program', 'kernels', 'FLOP', '', 'bytes', '', 'time', '', ''];
  return ['  where devices share sequences', ...columns([head, ...rows], [1, 2, 3, 4, 5, 6, 7]), ''];
}

function workspaceLine({ workspaces }: ProgramCost): string[] {
  if (workspaces.length === 0) return [];
  return [`    workspace ${totalText(workspaces)}: ${sizesText(workspaces)}`];
}

const totalText = (tensors: ProgramCost['workspaces']): string => quantity(sum(tensors.map(({ bytes }) => bytes)), 'B');
const sizesText = (tensors: ProgramCost['workspaces']): string => (
  briefList(tensors.map(({ name, bytes }) => `${name} ${quantity(bytes, 'B')}`))
);

/** What it costs to keep, and what it saves. */
function keptLines({ kept, backward }: Explanation): string[] {
  if (kept === undefined) return [];
  const gone = backward.kernels.filter(({ name }) => !kept.backward.kernels.some((kernel) => kernel.name === name)).map(({ name }) => name);
  return [
    `  kept for backward, where a host asks for it: ${totalText(kept.tensors)}`,
    `    ${sizesText(kept.tensors)}`,
    `    backward without ${gone.join(', ')}: ${quantity(kept.backward.bytes, 'B')}, ${duration(kept.backward.seconds)}`, '',
  ];
}

/** Traffic that is more than this many times what the tensors need gets a word. */
const WASTEFUL = 4;

/** What a user may want to change: kernels without tensor cores that have products, and traffic far beyond the tensors' own. */
function remarks(cost: ProgramCost): string[] {
  const plain = cost.kernels.filter(({ lowering, plainWhy }) => lowering === 'plain' && plainWhy !== undefined);
  const reasons = [...new Set(plain.map(({ plainWhy }) => plainWhy))];
  const times = cost.bytes / cost.headBytes;
  return [
    ...reasons.map((why) => {
      const names = plain.filter(({ plainWhy }) => plainWhy === why).map(({ name }) => name);
      return `    plain, not on tensor cores (${why}): ${names.join(', ')}`;
    }),
    ...(
      times > WASTEFUL
      ? [`    warning: moves ${times.toFixed(1)} times its tensors; what lies between kernels costs more than what they are given`] : []
    ),
  ];
}
