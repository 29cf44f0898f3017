import type { Diagnostic } from '../diagnostics/diagnostic.js';
import { hasErrors } from '../diagnostics/diagnostic.js';
import { place, position, renderAll } from '../diagnostics/render.js';
import type { AstFile } from '../ir/ast/ast.js';
import type { Span } from '../ir/common/span.js';
import { openFrontend, type Frontend } from '../passes/frontend.js';
import type { Parts } from '../passes/graph/parts.js';
import type { Host } from './host.js';
import type { Kind } from './host/read.js';
import { problem, type Problem } from './problem.js';

/** One source file with what was found in it. */
export interface Source {
  readonly file: string;
  readonly text: string;
  /** sha256 of the text and of the files it imports. */
  readonly hash: string;
  readonly ast: AstFile | undefined;
  /** Meanings of its scans. */
  readonly specs: Frontend['specs'];
  /** All declarations, with the meaning of layers, mixtures and models at settings of one's own. */
  readonly parts: Parts;
  readonly diagnostics: readonly Diagnostic[];
  readonly failed: boolean;
  /** The file and what it imports: what a watcher looks at. */
  readonly files: readonly string[];
  /** Rendered diagnostics, imports' included; '' for none. */
  render(colour: boolean): string;
  renderThese(diagnostics: readonly Diagnostic[], colour: boolean): string;
  /** Diagnostics with lines and columns instead of offsets, for `--json`. */
  located(diagnostics: readonly Diagnostic[]): readonly LocatedDiagnostic[];
  /** `file:line` of a scan. */
  placeOf(declaration: { readonly origin: Span }): string;
}

export interface LocatedDiagnostic extends Pick<Diagnostic, 'code' | 'severity' | 'title' | 'help' | 'note'> {
  readonly file: string;
  /** Both from 1. */
  readonly line: number;
  readonly column: number;
  readonly label: string;
}

/** Reads and understands a file; a Problem if it cannot be read. */
export function openSource(host: Host, file: string, open = opener(host)): Source | Problem {
  const text = host.readText(file);
  if (text !== undefined) return open(file, text);
  return unreadable(host, file, host.isFolder(file) ? `name a file in it, for example ${host.join(file, 'NAME.lmoe')}` : 'check the path');
}

const WHY: Readonly<Record<Kind | 'nothing', string>> = {
  file: 'cannot be read', pipe: 'cannot be read', link: 'cannot be read',
  folder: 'is a folder', other: 'is a device', nothing: 'does not exist',
};

/** Why a file has no content. */
export function unreadable(host: Host, path: string, help: string): Problem {
  return problem('E702', `${path} ${WHY[host.kindBehind(path) ?? 'nothing']}`, help);
}

/** The sources that files and folders stand for, or why one cannot be read. At least one. */
export function openSources(host: Host, paths: readonly string[]): readonly (Source | (Problem & { readonly file: string }))[] {
  const files = sourceFiles(host, paths);
  if (files.length === 0) return [{
    ...problem('E702', `there is no .lmoe file in ${paths.join(', ')}`, 'name files, or a folder that holds some'), file: paths[0],
  }];
  const open = opener(host);
  return files.map((file) => {
    const source = openSource(host, file, open);
    return isProblem(source) ? { ...source, file } : source;
  });
}

/** What an import names: a plain file whose own name, links followed, ends in `.lmoe`, so that no message quotes lines of anything else. */
function readImport(host: Host, path: string): string | undefined {
  return isSourceFile(host, path) ? host.readText(path) : undefined;
}

function isSourceFile(host: Host, path: string): boolean {
  return host.kindBehind(path) === 'file' && (host.realPath(path)?.endsWith('.lmoe') ?? false);
}

export function sourceOf(host: Host, file: string, text: string): Source {
  return opener(host)(file, text);
}

/** Understands files one after the other; what several of them import is read once. */
function opener(host: Host): (file: string, text: string) => Source {
  const imports = new Map<string, string | undefined>();
  const read = (path: string): string | undefined => {
    if (!imports.has(path)) imports.set(path, readImport(host, path));
    return imports.get(path);
  };
  const understand = openFrontend(read);
  return (file, text) => sourceFrom(host, text, (path) => (path === file ? text : imports.get(path)), file, understand(file, text));
}

function sourceFrom(host: Host, text: string, source: (path: string) => string | undefined, file: string, found: Frontend): Source {
  const { specs, ast, parts, diagnostics, files } = found;
  const texts = files.map((path) => source(path) ?? '');
  const renderThese = (list: readonly Diagnostic[], colour: boolean) => (list.length === 0 ? '' : renderAll(list, { source, colour }));
  return {
    file,
    text,
    hash: host.sha256(...texts),
    ast,
    specs,
    parts,
    diagnostics,
    failed: hasErrors(diagnostics),
    files,
    render: (colour) => renderThese(diagnostics, colour),
    renderThese,
    located: (list) => list.map(({ code, severity, title, help, note, primary }) => (
      { code, severity, title, help, note, file: primary.span.file, ...position(
        source(primary.span.file), primary.span.start,
      ), label: primary.text }
    )),
    placeOf: ({ origin }) => place(origin, source(origin.file)).replace(/:\d+$/, ''),
  };
}

export function isProblem(value: object): value is Problem {
  return 'code' in value && 'title' in value && 'help' in value && !('primary' in value);
}

/** `.lmoe` files of a list of files and folders. */
export function sourceFiles(host: Host, paths: readonly string[]): readonly string[] {
  const below = (folder: string): string[] => host.list(folder).map((name) => host.join(folder, name)).filter(
    (path) => path.endsWith('.lmoe') && isSourceFile(host, path)
  );
  return paths.flatMap((path) => (host.isFolder(path) ? below(path) : [path]));
}
