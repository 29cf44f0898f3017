import { ts } from 'ts-morph';
import { beforeAll, describe, expect, it } from 'vitest';
import { floatLiteral as cudaLiteral } from '../../../src/backends/cuda/code.js';
import { floatLiteral as wgslLiteral } from '../../../src/backends/wgsl/text.js';
import { diagnostic } from '../../../src/diagnostics/diagnostic.js';
import { renderAll } from '../../../src/diagnostics/render.js';
import { buildAll, packagesOf } from '../../../src/driver/build.js';
import { nodeHost } from '../../../src/driver/host.js';
import { kindOf } from '../../../src/driver/kinds.js';
import { ownParts } from '../../../src/driver/parts.js';
import { problem, problemText } from '../../../src/driver/problem.js';
import { sourceOf } from '../../../src/driver/session.js';
import { torchPackages } from '../../../src/driver/torch.js';
import { jsonText, lineComment, visible } from '../../../src/support/text.js';
import { DECAYING } from '../../cli/lmoec.js';

/** Text that ends comments, lines and strings, opens tags and holes, or is taken for a command by terminals, compilers and editors. */
const HOSTILE = [
  'Harmless. */ globalThis.PWNED = 1; /*', '/* never closed', '*/', '// and a second comment', 'line that goes on \\', 'trigraph ??/', '\\',
  'new\nline', 'return\rhere', 'form\u000cfeed \u000bvertical', 'next\u0085line', 'line\u2028separator',
  'paragraph\u2029separator', 'nul\u0000byte',
  '\u001b[31mred', '\u001b]0;title\u0007', '\u001b[2J\u001b[1;1H', '\u009b2J', 'back\bspace', 'delete\u007f',
  'right-to-left\u202e', 'isolate\u2066', 'lone \ud800 surrogate', '\ufeff',
  '</script><script>alert(1)</script>', '"><img src=x onerror=alert(1)>', '<!-- comment -->',
  ']]>', '&amp;', "it's", '"quoted"', '`${1 + 1}`', '{{scan}} {{{scan}}}',
  '@ts-ignore', '@ts-nocheck', '#error', '%s %n',
];
const ALL = HOSTILE.join('\n');

const host = nodeHost();

/** Everything that is made of one scan whose comment is `doc`, in a file of the name `file`. */
async function everything(doc: string, file: string) {
  const source = sourceOf(host, file, DECAYING);
  const told = { ...source, specs: source.specs.map((spec) => ({ ...spec, doc })) };
  const options = {
    targets: ['cuda.sm80', 'cuda.sm90', 'webgpu'], dtypes: undefined, asked: false, sizes: new Map(), name: undefined, settings: new Map(),
    evalOnly: false, machineCode: false, levels: ['spec', 'scan', 'tile'],
  } as const;
  const built = await buildAll(host, [told], options, () => undefined);
  if ('failures' in built) throw new Error('the scan does not compile');
  const python = await torchPackages(
    host, [told], {
      ...options, name: 'memory', version: '0.1.0', targets: ['cuda.sm80'], sizes: [new Map()], experts: [], part: undefined,
    },
    () => undefined,
  );
  if ('failures' in python) throw new Error('there is no Python package');
  const packages = await packagesOf(host, built, python, options, () => undefined);
  if ('code' in packages) throw new Error(packages.title);
  const declaration = { source: told, part: ownParts(told)[0] };
  const explained = await kindOf(declaration).explain(
    host, declaration, { target: undefined, dtype: undefined, sizes: new Map(), settings: new Map() },
  );
  if (!('html' in explained)) throw new Error('the scan is not explained');
  return {
    files: new Map([...packages.folders].flatMap(([, files]) => [...files].map(([name, content]) => [name, String(content)] as const))),
    html: explained.html(),
    words: [explained.text, built[0].text],
  };
}

type Everything = Awaited<ReturnType<typeof everything>>;
let harmless: Everything;
let hostile: Everything;
beforeAll(async () => {
  harmless = await everything('A memory.', 'memory.lmoe');
  hostile = await everything(ALL, `${ALL.replaceAll('/', '∕')}.lmoe`);
}, 60_000);

const filesOf = (
  made: Everything, ending: string,
): string[] => [...made.files].filter(([name]) => name.endsWith(ending)).map(([, text]) => text);

/** Tokens of TypeScript: comments are none. */
function tokens(text: string): string[] {
  const scanner = ts.createScanner(ts.ScriptTarget.Latest, true, ts.LanguageVariant.Standard, text);
  const found: string[] = [];
  for (let kind = scanner.scan(); kind !== ts.SyntaxKind.EndOfFileToken; kind = scanner.scan()) found.push(scanner.getTokenText());
  return found;
}

/** C++ without comments, after lines that end in `\` or its trigraph were joined. */
const cpp = (text: string): string => text.replaceAll('??/', '\\').replace(/\\[ \t]*\r?\n/g, '')
  .replace(/\/\*[\s\S]*?\*\//g, '').replace(/\/\/[^\n\r]*/g, '');
/** WGSL without comments, with its line breaks. */
const wgsl = (text: string): string => text.replace(/\/\/[^\n\v\f\r\u0085\u2028\u2029]*/g, '');
/** Python without comments and docstrings; operators are named after a hash of the command. */
const python = (text: string): string => text.replace(/"""(?:[^\\]|\\[^])*?"""/g, '').replace(/#.*/g, '').replace(/_[0-9a-f]{8}"/g, '"');
/** Whatever a terminal or an editor does not simply show. */
const UNSHOWN = /(?![\n\t])[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069]/u;

describe('what users write stays where it is put', () => {
  it('in TypeScript', () => {
    const [text] = filesOf(hostile, '.ts');
    expect(tokens(text)).toEqual(tokens(filesOf(harmless, '.ts')[0]));
    expect(text).toContain('globalThis.PWNED');
    expect(text).not.toMatch(/^[\s/*]*@ts-/m);
    expect(text).not.toMatch(UNSHOWN);
  });

  it('in CUDA and WGSL', () => {
    for (const [ending, bare] of [['.cu', cpp], ['.wgsl', wgsl]] as const) {
      const texts = filesOf(hostile, ending);
      expect(texts.length).toBeGreaterThan(1);
      expect(texts.map(bare)).toEqual(filesOf(harmless, ending).map(bare));
      for (const text of texts) expect(text).not.toMatch(UNSHOWN);
    }
  });

  it('in Python', () => {
    const texts = filesOf(hostile, '.py');
    expect(texts.length).toBeGreaterThan(10);
    expect(texts.map(python)).toEqual(filesOf(harmless, '.py').map(python));
    for (const text of texts) expect(text).not.toMatch(UNSHOWN);
    expect(filesOf(hostile, '.toml')[0].replace(/^#.*\n/gm, '')).toEqual(filesOf(harmless, '.toml')[0].replace(/^#.*\n/gm, ''));
  });

  it('in JSON, which gives it back', () => {
    for (const text of filesOf(hostile, 'plan.json')) {
      expect(text).not.toMatch(UNSHOWN);
      expect(JSON.parse(text).doc).toBe(ALL);
    }
    for (const text of HOSTILE) expect(JSON.parse(jsonText({ [text]: [text] }))).toEqual({ [text]: [text] });
  });

  it('in HTML', () => {
    const tags = (text: string): string[] => text.match(/<[^>]*>/g) ?? [];
    // Every line of a comment is a paragraph.
    const shape = (text: string): string[] => tags(text).filter((tag) => !/^<\/?p\b/.test(tag));
    expect(shape(hostile.html)).toEqual(shape(harmless.html));
    expect(hostile.html).toContain('&lt;/script&gt;');
    expect(hostile.html).not.toMatch(UNSHOWN);
  });

  it('on terminals', () => {
    for (const text of hostile.words) expect(visible(text)).not.toMatch(UNSHOWN);
    for (const text of HOSTILE) {
      const line = `${text.replaceAll('\n', '')} x`;
      const span = { file: text, start: 0, end: line.length };
      const d = diagnostic('E201', text, span, text, { help: [text], note: [text] });
      const rendered = renderAll([d], { source: () => line, colour: false });
      expect(rendered).not.toMatch(UNSHOWN);
      expect(rendered.split('\n')).toHaveLength(8);
      // The marks are as long as what is shown above them.
      const [shown, marks] = rendered.split('\n').slice(3);
      expect(marks.indexOf('^')).toBe(shown.length - visible(line).trimEnd().length);
      expect(problemText(problem('E702', text, text), false).split('\n')).toHaveLength(2);
      expect(problemText(problem('E702', text, text), false)).not.toMatch(UNSHOWN);
    }
  });

  it('in a comment of one line', () => {
    for (const text of HOSTILE) {
      const comment = `// ${lineComment(text)}\n`;
      expect(cpp(comment).trim()).toBe('');
      expect(wgsl(comment).trim()).toBe('');
      expect(tokens(comment)).toEqual([]);
      expect(comment.split('\n')).toHaveLength(2);
    }
  });
});

describe('numbers', () => {
  const numbers = [
    0, -0, 1, -1, 0.1, 5e-324, 1e-45, 1e-38, 3.4e38, -3.5e38, 1e39, -1e39, 1e308, Infinity, -Infinity, 2 ** 31, 1e21, 123456789,
  ];

  it('are literals of their language, whatever they are', () => {
    for (const value of [...numbers, NaN]) {
      expect(cudaLiteral(value)).toMatch(/^(\d[\d.]*(e[+-]\d+)?f|\(-\d[\d.]*(e[+-]\d+)?f\)|__int_as_float\(0x[0-9a-f]{8}\))$/);
    }
    for (const value of numbers) expect(wgslLiteral(value)).toMatch(/^(\d[\d.]*(e[+-]\d+)?f|\(-\d[\d.]*(e[+-]\d+)?f\))$/);
  });
});
