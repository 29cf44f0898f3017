import { distinct, type Diagnostic } from '../diagnostics/diagnostic.js';
import { didYouMean } from '../diagnostics/suggest.js';
import { printFlow } from '../ir/flow/print.js';
import type { Graph } from '../ir/graph/graph.js';
import { printGraph } from '../ir/graph/print.js';
import { adjointOf } from '../passes/flow/adjoint.js';
import { flowOf, isRefused } from '../passes/flow/flow.js';
import type { PartInfo } from '../passes/graph/parts.js';
import { problem, type Problem } from './problem.js';
import type { Source } from './session.js';

export type { PartInfo } from '../passes/graph/parts.js';

/** The declarations of a file; imported ones come along in `parts`, but are not meant where none is named. */
export function ownParts({ parts, file }: Source): readonly PartInfo[] {
  return parts.list.filter((part) => part.file === file);
}

/**
 * The declaration that a command is meant for: the named one, else the one named like the file, else the last. Where a file has nothing but
 * scans, the only one;
 * undefined leaves the choice among several to the user.
 */
export function pickPart(source: Source, name: string | undefined): PartInfo | Problem | undefined {
  const own = ownParts(source);
  if (name !== undefined) {
    const found = source.parts.list.find((part) => part.name === name);
    return found ?? problem('E703', `${source.file} has no \`${name}\``, ...didYouMean(name, source.parts.list.map((part) => part.name)),
      `it has ${source.parts.list.map((part) => part.name).join(', ')}`);
  }
  if (own.every(({ kind }) => kind === 'scan')) return own.length === 1 ? own[0] : undefined;
  const stem = source.file.replace(/^.*[\\/]/, '').replace(/\.lmoe$/, '');
  return own.find((part) => part.name === stem) ?? own[own.length - 1];
}

/** What `explain` tells of where nobody names one: a model alone, else all layers and mixtures of the file. */
export function explainedParts(source: Source, picked: PartInfo): readonly PartInfo[] {
  return picked.kind === 'model' ? [picked] : ownParts(source).filter(({ kind }) => kind !== 'scan');
}

/** Size of an axis that neither the file nor the caller gives. */
const UNSAID = 64;

/** What is given, and sizes for axes of the part that nobody gives one. */
export function withUnsaid(part: PartInfo, given: Iterable<readonly [string, number | string]>): ReadonlyMap<string, number | string> {
  return new Map([...part.unsized.map((axis) => [axis, UNSAID] as const), ...given]);
}

export interface PartAt {
  readonly diagnostics: readonly Diagnostic[];
  /** The meaning in training, for `--emit graph`; '' after an error. */
  graphText(): string;
  /** The same with its calls inlined and its gradients, for `--emit flow`; why there is none, if it has parts that have no place there. */
  flowText(): string;
}

/** Layers, mixtures and models of a file at the sizes that they have of these. */
export function partsAt(source: Source, sizes: ReadonlyMap<string, number>): readonly PartAt[] {
  return ownParts(source).filter(({ kind }) => kind !== 'scan').map((part) => {
    const { name, settings } = part;
    const given = withUnsaid(part, [...sizes].filter(([axis]) => settings.includes(axis)));
    const [training, other] = [true, false].map((mode) => source.parts.elaborate(name, given, mode));
    const { graph } = training;
    return { diagnostics: distinct([...training.diagnostics, ...other.diagnostics]),
      graphText: () => (graph === undefined ? '' : printGraph(graph)),
      flowText: () => (graph === undefined ? '' : flowTextOf(graph)) };
  });
}

function flowTextOf(graph: Graph): string {
  const flow = flowOf(graph);
  const made = isRefused(flow) ? flow : adjointOf(flow);
  return isRefused(made) ? made.refusals.map(({ reason }) => `${graph.name} has no flow: ${reason}\n`).join('') : printFlow(made);
}

/** Sizes that no layer, mixture or model of these files has: those that scans must have. */
export function sizesOfScans(sources: readonly Source[], sizes: ReadonlyMap<string, number>): ReadonlyMap<string, number> {
  const settings = new Set(sources.flatMap(ownParts).flatMap((part) => (part.kind === 'scan' ? [] : part.settings)));
  return new Map([...sizes].filter(([axis]) => !settings.has(axis)));
}

const WORDS: Readonly<Record<PartInfo['kind'], readonly [string, string]>> = {
  scan: ['scan', 'scans'], moe: ['mixture', 'mixtures'], layer: ['layer', 'layers'], model: ['model', 'models'],
};

/** `3 scans, 1 layer`. */
export function declarationsText(sources: readonly Source[]): string {
  const kinds = sources.flatMap(ownParts).map((part) => part.kind);
  const texts = (['scan', 'moe', 'layer', 'model'] as const).flatMap((kind) => {
    const n = kinds.filter((own) => own === kind).length;
    return n === 0 ? [] : [`${n} ${WORDS[kind][n === 1 ? 0 : 1]}`];
  });
  return texts.length === 0 ? '0 declarations' : texts.join(', ');
}
