import { didYouMean } from '../diagnostics/suggest.js';
import type { PartInfo } from '../passes/graph/parts.js';
import { problem, type Problem } from './problem.js';
import { isProblem, type Source } from './session.js';

export type { PartInfo } from '../passes/graph/parts.js';

/** Numbers, texts and names of parts in place of those of a header. */
export type Settings = ReadonlyMap<string, number | string>;

/** The declarations of a file; imported ones come along in `parts`, but are not meant where none is named. */
export function ownParts({ parts, file }: Source): readonly PartInfo[] {
  return parts.list.filter((part) => part.file === file);
}

/**
 * The declaration that a command is meant for: the named one, else the one named like the file, else the last. Where a file has nothing but
 * scans, the only one.
 */
export function pickPart(source: Source, name: string | undefined): PartInfo | Problem {
  const own = ownParts(source);
  if (name !== undefined) {
    const names = source.parts.list.map((part) => part.name);
    return source.parts.list.find((part) => part.name === name)
      ?? problem('E703', `${source.file} has no \`${name}\``, ...didYouMean(name, names), `it has ${names.join(', ')}`);
  }
  if (own.length === 0) return nothing(source);
  if (own.every(({ kind }) => kind === 'scan')) return own.length === 1 ? own[0] : problem(
    'E703', `${source.file} has several scans: ${own.map((part) => part.name).join(', ')}`, 'choose one with --scan NAME',
  );
  const stem = source.file.replace(/^.*[\\/]/, '').replace(/\.lmoe$/, '');
  return own.find((part) => part.name === stem) ?? own[own.length - 1];
}

function nothing({ file }: Source): Problem {
  return problem('E703', `${file} declares no scan`, 'write one: `scan name(inputs) -> outputs { ... }`');
}

/** What a command does with all that a file declares, or with the one that is named. */
export function chosenParts(source: Source, name: string | undefined): readonly PartInfo[] | Problem {
  if (name === undefined) return ownParts(source).length > 0 ? ownParts(source) : nothing(source);
  const picked = pickPart(source, name);
  return isProblem(picked) ? picked : [picked];
}

/** What `explain` tells of where nobody names one: a model alone, else all layers and mixtures of the file, else its scans. */
export function explainedParts(source: Source): readonly PartInfo[] | Problem {
  const own = ownParts(source);
  if (own.every(({ kind }) => kind === 'scan')) return chosenParts(source, undefined);
  const picked = pickPart(source, undefined);
  if (isProblem(picked)) return picked;
  return picked.kind === 'model' ? [picked] : own.filter(({ kind }) => kind !== 'scan');
}

/** Of what is given to several declarations, what this one has a use for. */
export function settingsFor({ settings, below }: PartInfo, given: Settings): Settings {
  return new Map([...given].filter(([name]) => isFor(settings, below, name)));
}

function isFor(settings: readonly string[], below: readonly string[], name: string): boolean {
  return name.includes('.') ? below.includes(name.split('.')[0]) : settings.includes(name);
}

/** Extents of calls, which every declaration has. */
const OF_CALLS = ['B', 'T', 'H', 'G'];

/** The same of sizes, those of a call among them. */
export function sizesFor({ settings, below }: PartInfo, sizes: ReadonlyMap<string, number>): ReadonlyMap<string, number> {
  return new Map([...sizes].filter(([name]) => OF_CALLS.includes(name) || isFor(settings, below, name)));
}

/** What is given, and sizes for axes of the part that nobody gives one. */
export function withUnsaid(part: PartInfo, given: Iterable<readonly [string, number | string]>): Settings {
  const own = new Map(given);
  const missing = part.unsized.filter((axis) => !own.has(axis));
  const size = missing.length === 0 ? 0 : part.standIn();
  return new Map([...missing.map((axis) => [axis, size] as const), ...own]);
}

/** The text of a declaration without the comments before it. */
export function formulaOf({ source, part: { origin, file } }: { readonly source: Source; readonly part: PartInfo }): string {
  return file === source.file ? source.text.slice(origin.start, origin.end) : '';
}
