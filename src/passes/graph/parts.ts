import { diagnostic, distinct, hasErrors, type Diagnostic } from '../../diagnostics/diagnostic.js';
import { didYouMean } from '../../diagnostics/suggest.js';
import type { IfStatement, PartKind, Statement } from '../../ir/ast/ast.js';
import type { Span } from '../../ir/common/span.js';
import { nameFaults } from '../names/name-map.js';
import type { Resolved } from '../resolve/resolve.js';
import { unsized, type Elaborated, type Elaborator } from './elaborate.js';
import { nameOf, signatureAxes, type Part } from './part.js';
import type { Given, Setting } from './scope.js';
import { unusedNames } from './unused.js';

/** The declarations of a file beside their Specs: what there is, and what it means with settings of one's own. */
export interface Parts {
  /** The file's own in their order, then the imported ones. */
  readonly list: readonly PartInfo[];
  /** The meaning of a layer, mixture or model with settings in place of those of its header. */
  elaborate(name: string, settings?: ReadonlyMap<string, number | string>, training?: boolean): Elaborated;
  /** The meaning of a scan with settings in place of those of its header. */
  scan(name: string, settings: ReadonlyMap<string, number | string>): Resolved;
}

export interface PartInfo {
  readonly name: string;
  readonly kind: PartKind;
  readonly file: string;
  /** Names that `with` and the signature have. */
  readonly settings: readonly string[];
  /** Axes of the signature that the header gives no size. */
  readonly unsized: readonly string[];
  /** A size for these, with which it is right by itself if it is with any that is tried. */
  standIn(): number;
  /** Names of parts below, as far as the text tells: what `ffn.E` may begin with. */
  readonly below: readonly string[];
  readonly origin: Span;
}

export const NO_PARTS: Parts = {
  list: [],
  elaborate: (name) => ({ graph: undefined, diagnostics: [unknownPart(name, [])] }),
  scan: (name) => ({ spec: undefined, diagnostics: [unknownPart(name, [])] }),
};

export function partsOf(own: readonly Part[], visible: ReadonlyMap<string, Part>, elaborator: Elaborator): Parts {
  const all = [...own, ...[...visible.values()].filter((part) => !own.includes(part))];
  return {
    list: all.map((part) => ({
      name: nameOf(part), kind: part.item.kind, file: part.file, settings: settingsOf(part), unsized: unsized(part),
      standIn: () => (part.item.kind === 'scan' ? 64 : elaborator.standIn(part)),
      below: [...usesOf(part.item.body), ...visible.keys()], origin: part.item.origin,
    })),
    elaborate(name, settings = new Map(), training = false) {
      const part = visible.get(name);
      if (part === undefined || part.item.kind === 'scan') return { graph: undefined,
        diagnostics: [unknownPart(name, [...visible.keys()])] };
      const given = givenBy(part, settings);
      return 'code' in given ? { graph: undefined, diagnostics: [given] } : elaborator.elaborate(part, given, training);
    },
    scan(name, settings) {
      const part = visible.get(name);
      if (part?.item.kind !== 'scan') return { spec: undefined, diagnostics: [unknownPart(name, [...visible.keys()])] };
      const given = givenBy(part, settings);
      if ('code' in given) return { spec: undefined, diagnostics: [given] };
      const [text] = [...given].filter(([, setting]) => setting.kind !== 'number');
      if (text === undefined) return elaborator.scan(part, given);
      return { spec: undefined, diagnostics: [diagnostic(
        'E816', `\`${text[0]}\` of \`${name}\` is a number`, part.item.name.origin, 'a text is given',
        { help: [`write \`${text[0]}=0.5\``] },
      )] };
    },
  };
}

/** What is wrong with a declaration by itself, in training and outside, at the settings of its header. */
export function checkPart(part: Part, elaborator: Elaborator): readonly Diagnostic[] {
  if (part.item.kind === 'scan') return [];
  const found: Diagnostic[] = [];
  for (const training of [true, false]) {
    // What is too large is so in both.
    if (!found.some(({ code }) => code === 'E106')) found.push(...elaborator.alone(part, training).diagnostics);
  }
  if (hasErrors(found)) return distinct(found);
  const { graph } = elaborator.alone(part, false);
  return distinct([...found, ...(graph === undefined ? [] : nameFaults(graph)), ...unusedNames(part.item)]);
}

/** Names of instances that a block makes, those of branches and turns among them. */
function usesOf(body: readonly Statement[]): readonly string[] {
  return body.flatMap((statement): readonly string[] => {
    if (statement.kind === 'use') return statement.names.map(({ text }) => text);
    if (statement.kind === 'repeat') return usesOf(statement.body.statements);
    return statement.kind === 'if' ? usesOf(branches(statement)) : [];
  });
}

function branches({ then, otherwise }: IfStatement): readonly Statement[] {
  if (otherwise === undefined) return then.statements;
  return [...then.statements, ...('kind' in otherwise ? [otherwise] : otherwise.statements)];
}

function settingsOf({ item }: Part): readonly string[] {
  return [...new Set([...item.bindings.map((binding) => binding.name.text), ...signatureAxes(item)])];
}

/** Settings as a user gives them: numbers, texts, names of parts. */
function givenBy(part: Part, settings: ReadonlyMap<string, number | string>): Given | Diagnostic {
  const known = settingsOf(part);
  const given = new Map<string, Setting>();
  for (const [name, value] of settings) {
    // Of parts below: whoever uses them looks.
    if (name.includes('.')) {
      const other = typeof value === 'string' ? part.visible.get(value) : undefined;
      given.set(name, other !== undefined ? { kind: 'part', part: other } : typeof value === 'number'
        ? { kind: 'number', value } : { kind: 'text', text: value });
      continue;
    }
    if (!known.includes(name)) {
      return diagnostic('E201', `\`${nameOf(part)}\` has no \`${name}\` to set`, part.item.name.origin, 'declared here', {
        help: [...didYouMean(name, known), known.length === 0 ? 'it has no settings' : `it has ${known.join(', ')}`],
      });
    }
    const expr = part.item.bindings.find((binding) => binding.name.text === name)?.value;
    const other = typeof value === 'string' && expr?.kind === 'name' ? part.visible.get(value) : undefined;
    given.set(name, typeof value === 'number' ? { kind: 'number', value } : other !== undefined
      ? { kind: 'part', part: other } : { kind: 'text', text: value });
  }
  return given;
}

function unknownPart(name: string, known: readonly string[]): Diagnostic {
  return diagnostic('E201', `there is no layer, mixture or model \`${name}\``, { file: '<command line>', start: 0, end: 0 }, 'not declared',
    {
    help: [...didYouMean(name, known), known.length === 0 ? 'the file declares nothing' : `there are ${known.join(', ')}`],
  });
}
