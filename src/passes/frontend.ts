import { parse } from '../../grammar/parser.js';
import { diagnostic, distinct, type Diagnostic } from '../diagnostics/diagnostic.js';
import { didYouMean } from '../diagnostics/suggest.js';
import type { AstFile, ImportItem } from '../ir/ast/ast.js';
import type { Span } from '../ir/common/span.js';
import type { Spec } from '../ir/spec/spec.js';
import { elaborator, type Elaborator } from './graph/elaborate.js';
import { FIXED } from './graph/fixed.js';
import type { Part } from './graph/part.js';
import { checkPart, NO_PARTS, partsOf, type Parts } from './graph/parts.js';
import { nameProblem } from './resolve/declare.js';
import { resolveScan } from './resolve/resolve.js';

export interface Frontend {
  /** Scans without errors: the file's own in their order, then the imported ones. */
  readonly specs: readonly Spec[];
  /** Undefined if the text does not follow the grammar. */
  readonly ast: AstFile | undefined;
  /** All declarations, layers, mixtures and models among them. */
  readonly parts: Parts;
  /** Of this file and of those it imports. */
  readonly diagnostics: readonly Diagnostic[];
  /** This file, and what it imports as far as it was found, in the order in which it is met. */
  readonly files: readonly string[];
}

/** What is kept of a file for those that import it. */
interface Loaded extends Frontend {
  readonly visible: ReadonlyMap<string, Part>;
}

/** What all files of one call share. */
interface Session {
  readonly read: Read;
  readonly done: Map<string, Loaded>;
  readonly elaborator: Elaborator;
}

/** Text of a file by its path; undefined if there is none. */
export type Read = (path: string) => string | undefined;

/** Source text -> Specs and parts. Paths of imports are relative to the file that has them. */
export function frontend(file: string, text: string, read: Read = () => undefined): Frontend {
  return openFrontend(read)(file, text);
}

/** Files one after the other: what several of them import is read and elaborated once, from the same text. */
export function openFrontend(read: Read): (file: string, text: string) => Frontend {
  const done = new Map<string, Loaded>();
  const shared = elaborator();
  return (file, text) => {
    shared.nextFile();
    return load(file, text, { read, done, elaborator: shared }, []);
  };
}

/** Files that may be open while another is read. */
const DEEPEST_IMPORT = 32;

/** `open` are the files that are being read, from the first to this one: meeting one of them again is a cycle. */
function load(file: string, text: string, session: Session, open: readonly string[]): Loaded {
  const { ast, diagnostics } = parse(file, text);
  if (ast === undefined) return { specs: [], ast, parts: NO_PARTS, visible: new Map(), diagnostics, files: [file] };
  const files = new Set([file]);
  const start = { file, start: 0, end: 1 };
  const found: Diagnostic[] = ast.items.length > 0 ? [] : [diagnostic('W204', 'this file declares nothing', start, 'no declaration', {
    help: ['write one: `scan f(x: [D]) -> y: [D] { ... }`'],
  })];
  const imported: Spec[] = [];
  /** By the name in lower case: folders of scans must differ where files do not know case. */
  const names = new Map<string, { readonly name: string; readonly origin: Span }>();
  const own: Spec[] = [];
  const visible = new Map<string, Part>();
  const missing = new Set<string>();
  const ownParts: Part[] = [];
  const claim = (name: string, origin: Span, meanings?: ReadonlyMap<string, string>): boolean => {
    const lower = name.toLowerCase();
    const like = names.get(lower);
    const problem = like === undefined || like.name === name
      ? nameProblem(name, origin, like?.origin, meanings)
      : caseProblem(name, origin, like);
    if (problem) found.push(problem);
    else names.set(lower, { name, origin });
    return problem === undefined;
  };
  for (const item of ast.items) {
    if (item.kind === 'import') {
      const { specs, visible: theirs, diagnostics: problems, files: below } = importFrom(item, file, session, [...open, file]);
      for (const path of below) files.add(path);
      found.push(...problems);
      item.names.forEach(({ text: name, origin }) => {
        if (!claim(name, origin)) return;
        imported.push(...specs.filter((spec) => spec.name === name));
        const part = theirs.get(name);
        if (part === undefined) {
          missing.add(name);
          return;
        }
        visible.set(name, part);
        found.push(...checkPart(part, session.elaborator));
      });
      continue;
    }
    if (claim(item.name.text, item.name.origin, item.kind === 'scan' ? undefined : FIXED)) {
      const part: Part = { item, file, visible, missing };
      visible.set(item.name.text, part);
      ownParts.push(part);
    }
    if (item.kind !== 'scan') continue;
    const { spec, diagnostics: problems } = resolveScan(item);
    found.push(...problems);
    if (visible.get(item.name.text)?.item === item && spec !== undefined) own.push(spec);
  }
  // Of a file that is imported, what is imported is checked.
  if (open.length === 0) for (const part of ownParts) found.push(...checkPart(part, session.elaborator));
  // A file imported twice has its mistakes once; so has a part that is read with several settings.
  const parts = partsOf(ownParts, visible, session.elaborator);
  return { specs: [...own, ...imported], ast, parts, visible, diagnostics: distinct(found), files: [...files] };
}

function caseProblem(name: string, origin: Span, like: { readonly name: string; readonly origin: Span }): Diagnostic {
  return diagnostic('E205', `\`${name}\` and \`${like.name}\` differ in case only`, origin, 'declared again here', {
    secondary: [{ span: like.origin, text: 'first declared here' }],
    help: ['every scan gets a folder of its name, and many file systems do not tell upper from lower case: rename one of them'],
  });
}

type Imported = Pick<Loaded, 'specs' | 'visible' | 'diagnostics' | 'files'>;

function importFrom(item: ImportItem, file: string, session: Session, open: readonly string[]): Imported {
  const { text: written, origin } = item.path;
  const path = beside(file, written);
  const fail = (d: Diagnostic): Imported => ({ specs: [], visible: new Map(), diagnostics: [d], files: [] });
  if (open.includes(path)) {
    const circle = [...open.slice(open.indexOf(path)), path].join(' -> ');
    return fail(diagnostic(
      'E219', 'files import each other', origin, `${path} is being read already`,
      { help: ['put what they share into a third file'], note: [circle] },
    ));
  }
  // Before anything is read: a message about its content would show lines of it.
  if (!path.endsWith('.lmoe')) {
    return fail(diagnostic(
      'E218', 'an import names a .lmoe file', origin, 'another kind of file', { help: [`did you mean "${written}.lmoe"?`] },
    ));
  }
  const known = session.done.get(path);
  if (known === undefined && open.length >= DEEPEST_IMPORT) {
    return fail(diagnostic(
      'E218', `imports are more than ${DEEPEST_IMPORT} files deep`, origin, `${path} is not read`,
      { help: ['import what is needed from where it is declared, not through other files'] },
    ));
  }
  const text = known === undefined ? session.read(path) : undefined;
  if (known === undefined && text === undefined) {
    return fail(diagnostic(
      'E218', `${path} cannot be read`, origin, 'imported here', { help: ['the path is relative to this file, and leads to a plain file'] },
    ));
  }
  const loaded = known ?? load(path, text ?? '', session, open);
  session.done.set(path, loaded);
  const parts = loaded.ast?.items.flatMap((own) => (own.kind === 'import' ? [] : [own.name.text])) ?? [];
  const missing = loaded.ast === undefined ? [] : item.names.filter((name) => !parts.includes(name.text));
  return {
    visible: loaded.visible,
    files: loaded.files,
    specs: loaded.specs.filter((spec) => spec.origin.file === path),
    diagnostics: [
      ...loaded.diagnostics,
      ...missing.map((name) => diagnostic('E218', `${path} declares no \`${name.text}\``, name.origin, 'not there', {
        help: [...didYouMean(name.text, parts), parts.length === 0 ? 'it declares nothing at all' : `it declares ${parts.join(', ')}`],
      })),
    ],
  };
}

/** `a/b.lmoe` and `../c.lmoe` -> `c.lmoe`. */
function beside(file: string, path: string): string {
  if (path.startsWith('/')) return path;
  const parts = file.split('/').slice(0, -1);
  for (const part of path.split('/')) {
    const last = parts[parts.length - 1];
    if (part === '' || part === '.') continue;
    if (part !== '..' || last === undefined || last === '..') parts.push(part);
    else if (last !== '') parts.pop();
  }
  return parts.join('/');
}
