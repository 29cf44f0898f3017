import type {
  AstFile, Binding, Body, Comment, Constant, Declared, Expr, IfStatement, Input, Item, Layout, LayoutDimText, LayoutFactorText, LayoutText,
  NameEntries, NameEntryText, Parameter, PartItem, PathText, RangeText, Statement, UseStatement,
} from './ast.js';
import { axesText, inside, printExpr, summands } from './print-expr.js';

export { printExpr } from './print-expr.js';

/** Columns that a line may fill before it is broken. */
const WIDTH = 120;
const INDENT = '  ';

/** Lines of one item or statement; comments on its last line stand in a column of their own. A block comment is one line. */
interface Block {
  readonly blankBefore: boolean;
  readonly lines: readonly string[];
  readonly comment: string;
}

/** The canonical text of a file: two spaces, one blank line at most, comments where they were. `lmoec fmt` writes this. */
export function printAst(ast: AstFile): string {
  const blocks: Block[] = [];
  ast.items.forEach((item, i) => {
    const apart = i > 0 && (item.kind !== 'import' || ast.items[i - 1].kind !== 'import');
    const own = [...commentBlocks(item.leading), itemBlock(item)];
    blocks.push({ ...own[0], blankBefore: apart || own[0].blankBefore }, ...own.slice(1));
  });
  return lay([...blocks, ...commentBlocks(ast.closing)], '').map((line) => `${line}\n`).join('');
}

function itemBlock(item: Item): Block {
  if (item.kind !== 'import') return block(item, partLines(item));
  return block(item, [`import { ${idents(item.names)} } from "${item.path.text}"`]);
}

function partLines(part: PartItem): string[] {
  const body = bodyLines({ statements: part.body, closing: part.closing, origin: part.origin }, WIDTH);
  return [...headerLines(part), ...body.map((line) => line.replace(/[^\S\n]+$/gm, '')), '}'];
}

/** Scans have many inputs and few numbers, so that inputs are broken one a line; the others have few inputs and many numbers. */
function headerLines(part: PartItem): string[] {
  const inputs = part.inputs.map(input);
  const open = `${part.kind} ${part.name.text}(`;
  const result = `) -> ${part.outputs.map(declared).join(', ')}${part.sequential ? ' sequential' : ''}`;
  const head = `${open}${inputs.join(', ')}${result}`;
  const fits = head.length + withText(part.bindings).length + ' {'.length <= WIDTH;
  const inOneLine = fits || inputs.length === 0 || (part.kind !== 'scan' && part.bindings.length > 0 && head.length <= WIDTH);
  if (inOneLine) return withLines(head, part.bindings, ' {', WIDTH);
  return [open, ...inputs.map((text) => `${INDENT}${text},`), ...withLines(result, part.bindings, ' {', WIDTH)];
}

function withText(bindings: readonly Binding[]): string {
  return bindings.length > 0 ? ` with ${bindings.map(binding).join(', ')}` : '';
}

/** What is given by `with`, on lines of its own if it does not fit. */
function withLines(head: string, bindings: readonly Binding[], tail: string, width: number): string[] {
  const oneLine = `${head}${withText(bindings)}${tail}`;
  if (oneLine.length <= width || bindings.length === 0) return [oneLine];
  const lines = filled(`${INDENT}${INDENT}with `, bindings.map(binding), width - tail.length);
  return [head, ...lines.slice(0, -1), `${lines[lines.length - 1]}${tail}`];
}

/** `with a, b,` and what does not fit below the first of them. */
function filled(open: string, parts: readonly string[], width: number): string[] {
  const lines: string[] = [];
  let line = open;
  parts.forEach((part, i) => {
    const text = `${part}${i < parts.length - 1 ? ',' : ''}`;
    if (line.trimStart() !== '' && i > 0 && line.length + 1 + text.length > width) {
      lines.push(line);
      line = ' '.repeat(open.length) + text;
    } else line += i > 0 ? ` ${text}` : text;
  });
  return [...lines, line];
}

function binding({ name, value }: Binding): string {
  return value ? `${name.text} = ${printExpr(inside(value))}` : name.text;
}

function input({ of, perGroup, rounded, ...group }: Input): string {
  return of ? `${idents(group.names)}: one of ${of.text}` : `${declared(group)}${perGroup ? ' per group' : ''}${rounded ? ' rounded' : ''}`;
}

function declared({ names, axes, range }: Declared): string {
  return `${idents(names)}: ${axesText(axes)}${range ? ` in ${rangeText(range)}` : ''}`;
}

function parameter({ law, modifiers, ...group }: Parameter): string {
  return [declared(group), law ? ` = ${printExpr(inside(law))}` : '', ...modifiers.map(({ kind }) => ` ${kind}`)].join('');
}

function idents(names: PathText): string {
  return names.map((name) => name.text).join(', ');
}

function rangeText({ lo, hi }: RangeText): string {
  return `${printExpr(lo)}..${printExpr(hi)}`;
}

/** What stands between braces. `width` is what their own line may fill. */
function bodyLines({ statements, closing }: Body, width: number): string[] {
  const inner = width - INDENT.length;
  const blocks = statements.flatMap((own) => [...commentBlocks(own.leading), block(own, statementLines(own, inner))]);
  return lay([...blocks, ...commentBlocks(closing)], INDENT);
}

function statementLines(statement: Statement, width: number): string[] {
  switch (statement.kind) {
    case 'const': return constLines(statement.constants, width);
    case 'let': {
      const axes = statement.axes ? `: ${axesText(statement.axes)}` : '';
      return assignment(`let ${idents(statement.names)}${axes}`, '=', statement.value, width);
    }
    case 'assign': return assignment(statement.name.text, statement.add ? '+=' : '=', statement.value, width);
    case 'update': return assignment(`update ${statement.name.text}`, statement.add ? '+=' : '=', statement.value, width);
    case 'loss': return assignment(`loss ${statement.name.text}`, '=', statement.value, width);
    case 'init': return [`init ${printExpr(inside(statement.value))}`];
    case 'param': case 'buffer': return filled(`${statement.kind} `, statement.groups.map(parameter), width);
    case 'state': return [`state ${statement.groups.map(declared).join(', ')}`];
    case 'use': return useLines(statement, width);
    case 'if': return ifLines(statement, width);
    case 'repeat': {
      const range = [statement.from, ...(statement.to ? [statement.to] : [])].map((end) => printExpr(end)).join('..');
      return [`repeat ${idents(statement.names)} in ${range} {`, ...bodyLines(statement.body, width), '}'];
    }
    case 'names': return [`names ${statement.family.text} {`, ...entryLines(statement.entries), '}'];
  }
}

function useLines({ names, family, part, bindings }: UseStatement, width: number): string[] {
  return withLines(`use ${idents(names)}${family ? axesText(family) : ''} = ${part.text}`, bindings, '', width);
}

/** One a line if they do not fit on one. */
function constLines(constants: readonly Constant[], width: number): string[] {
  const open = 'const ';
  const targets = constants.map(({ name, axes }) => `${name.text}${axes ? `: ${axesText(axes)}` : ''}`);
  const oneLine = `${open}${constants.map(({ value }, i) => `${targets[i]} = ${printExpr(inside(value))}`).join(', ')}`;
  if (constants.length > 1 && oneLine.length <= width) return [oneLine];
  return constants.flatMap(({ value }, i) => {
    const lines = assignment(`${i === 0 ? open : ' '.repeat(open.length)}${targets[i]}`, '=', value, width);
    return [...lines.slice(0, -1), `${lines[lines.length - 1]}${i < constants.length - 1 ? ',' : ''}`];
  });
}

function ifLines({ condition, then, otherwise }: IfStatement, width: number): string[] {
  const lines = [`if ${printExpr(inside(condition))} {`, ...bodyLines(then, width)];
  if (otherwise === undefined) return [...lines, '}'];
  if (!('kind' in otherwise)) return [...lines, '} else {', ...bodyLines(otherwise, width), '}'];
  const [first, ...rest] = ifLines(otherwise, width);
  return [...lines, `} else ${first}`, ...rest];
}

/** A sum that does not fit is broken before each of its signs. */
function assignment(target: string, sign: string, written: Expr, width: number): string[] {
  const value = inside(written);
  const oneLine = `${target} ${sign} ${printExpr(value)}`;
  const terms = summands(value);
  if (oneLine.length <= width || terms.length === 1) return [oneLine];
  return [`${target} ${sign} ${terms[0]}`, ...terms.slice(1).map((term) => `${INDENT}${term}`)];
}

function entryLines({ entries, closing }: NameEntries): string[] {
  const blocks = entries.flatMap((entry) => [...commentBlocks(entry.leading), block(entry, entryText(entry))]);
  return lay([...blocks, ...commentBlocks(closing)], INDENT);
}

function entryText(entry: NameEntryText): string[] {
  switch (entry.kind) {
    case 'ignore': return [`ignore ${printExpr(entry.pattern)}`];
    case 'prefix': return inBraces(printExpr(entry.text), entry.entries);
    case 'tensor': return [`${paths(entry.paths)} = ${printExpr(entry.text)}${entry.layout ? ` ${layoutText(entry.layout)}` : ''}`];
    case 'part': {
      const like = entry.like ? ` like ${entry.like.text}` : '';
      return inBraces(`${paths(entry.paths)} ${printExpr(entry.text)}${like}`, entry.entries);
    }
  }
}

function inBraces(open: string, entries: NameEntries | undefined): string[] {
  return entries ? [`${open} {`, ...entryLines(entries), '}'] : [open];
}

function paths(list: readonly PathText[]): string {
  return list.map((path) => path.map((name) => name.text).join('.')).join(', ');
}

function layoutText({ dims }: LayoutText): string {
  return `[${dims.map(dimText).join(', ')}]`;
}

function dimText(dim: LayoutDimText): string {
  return dim.map(factorText).join(' ');
}

function factorText(factor: LayoutFactorText): string {
  switch (factor.kind) {
    case 'axis': return factor.name;
    case 'number': return String(factor.value);
    case 'joined': return `(${factor.alternatives.map(dimText).join(' | ')})`;
  }
}

function block(layout: Layout, lines: readonly string[]): Block {
  return { blankBefore: layout.blankBefore, lines, comment: layout.trailing.map((comment) => comment.text).join(' ') };
}

function commentBlocks(comments: readonly Comment[]): Block[] {
  return comments.map(({ text, blankBefore }) => ({ blankBefore, lines: [text], comment: '' }));
}

/** Neighbouring lines that end in comments have them in one column. */
function lay(blocks: readonly Block[], indent: string): string[] {
  const lines: string[] = [];
  blocks.forEach((own, i) => {
    if (i > 0 && own.blankBefore) lines.push('');
    const last = own.lines[own.lines.length - 1];
    const padded = own.comment === '' ? last : `${last.padEnd(column(blocks, i))}  ${own.comment}`;
    for (const line of [...own.lines.slice(0, -1), padded]) lines.push(`${indent}${line}`.trimEnd());
  });
  return lines;
}

/** Width of the widest line in the run of commented one-line blocks around `i`. */
function column(blocks: readonly Block[], i: number): number {
  const inRun = (j: number): boolean => j >= 0 && j < blocks.length && blocks[j].comment !== '' && blocks[j].lines.length === 1;
  if (!inRun(i)) return 0;
  let [first, last] = [i, i];
  while (!blocks[first].blankBefore && inRun(first - 1)) first -= 1;
  while (inRun(last + 1) && !blocks[last + 1].blankBefore) last += 1;
  return Math.max(...blocks.slice(first, last + 1).map((b) => b.lines[0].length));
}
