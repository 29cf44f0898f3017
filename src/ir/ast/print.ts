import type { AstFile, Axes, Comment, Declared, Expr, Item, Layout, RangeText, ScanItem, Statement } from './ast.js';

/** Columns that a header or an expression may fill before it is broken. */
const WIDTH = 120;
const INDENT = '  ';

/** Lines of one item or statement; comments on its last line stand in a column of their own. */
interface Block {
  readonly blankBefore: boolean;
  readonly lines: readonly string[];
  readonly comment: string;
}

/** The canonical text of a file: two spaces, one blank line at most, comments where they were. `lmoec fmt` writes this. */
export function printAst(ast: AstFile): string {
  const blocks: Block[] = [];
  ast.items.forEach((item, i) => {
    const apart = i > 0 && (item.kind === 'scan' || ast.items[i - 1].kind === 'scan');
    const own = [...commentBlocks(item.leading), itemBlock(item)];
    blocks.push({ ...own[0], blankBefore: apart || own[0].blankBefore }, ...own.slice(1));
  });
  return lay([...blocks, ...commentBlocks(ast.closing)], '');
}

function itemBlock(item: Item): Block {
  if (item.kind === 'scan') return block(item, scanLines(item));
  return block(item, [`import { ${item.names.map((name) => name.text).join(', ')} } from "${item.path.text}"`]);
}

function scanLines(scan: ScanItem): string[] {
  const inputs = scan.inputs.map(declared);
  const sizes = scan.sizes.map(({ axis, value }) => `${axis.text} = ${value.text}`);
  const result = [`) -> ${scan.outputs.map(declared).join(', ')}`, scan.sequential ? ' sequential' : '', sizes.length > 0 ? ` with ${sizes.join(', ')}` : '', ' {'].join('');
  const open = `scan ${scan.name.text}(`;
  const oneLine = `${open}${inputs.join(', ')}${result}`;
  const header = oneLine.length <= WIDTH || inputs.length === 0 ? [oneLine] : [open, ...inputs.map((input) => `${INDENT}${input},`), result];
  const body = lay([...scan.body.flatMap((statement) => [...commentBlocks(statement.leading), block(statement, statementLines(statement))]), ...commentBlocks(scan.closing)], INDENT);
  return [...header, ...body.split('\n').slice(0, -1), '}'];
}

function declared({ names, axes, range, perGroup }: Declared): string {
  return `${names.map((name) => name.text).join(', ')}: ${axesText(axes)}${range ? ` in ${rangeText(range)}` : ''}${perGroup ? ' per group' : ''}`;
}

function axesText(axes: Axes): string {
  return `[${axes.names.map((name) => name.text).join(', ')}]`;
}

function rangeText({ lo, hi }: RangeText): string {
  return `${printExpr(lo)}..${printExpr(hi)}`;
}

function statementLines(statement: Statement): string[] {
  switch (statement.kind) {
    case 'const': case 'let': {
      const axes = statement.axes ? `: ${axesText(statement.axes)}` : '';
      return assignment(`${statement.kind} ${statement.name.text}${axes}`, statement.value);
    }
    case 'assign': return assignment(statement.name.text, statement.value);
    case 'param': case 'state': return [`${statement.kind} ${statement.groups.map(declared).join(', ')}`];
  }
}

/** A sum that does not fit is broken before each of its signs. */
function assignment(target: string, written: Expr): string[] {
  const value = inside(written);
  const oneLine = `${target} = ${printExpr(value)}`;
  const terms = summands(value);
  if (oneLine.length + INDENT.length <= WIDTH || terms.length === 1) return [oneLine];
  return [`${target} = ${terms[0]}`, ...terms.slice(1).map((term) => `${INDENT}${term}`)];
}

function summands(expr: Expr): string[] {
  if (expr.kind !== 'binary' || (expr.op !== '+' && expr.op !== '-')) return [printExpr(expr)];
  return [...summands(expr.left), `${expr.op} ${printExpr(expr.right)}`];
}

/** The expression in parentheses, however many. */
function inside(expr: Expr): Expr {
  return expr.kind === 'group' ? inside(expr.inner) : expr;
}

/** One expression on one line, with the parentheses that were written where they hold something together. */
export function printExpr(expr: Expr): string {
  switch (expr.kind) {
    case 'number': return expr.text;
    case 'name': return expr.name.text;
    case 'past': return `${expr.name.text}[${expr.time.text}${expr.offset <= 0 ? '-' : '+'}${Math.abs(expr.offset)}]`;
    case 'index': return `${expr.name.text}${axesText(expr.axes)}`;
    case 'call': return `${expr.name.text}${expr.axes ? axesText(expr.axes) : ''}(${expr.args.map((arg) => printExpr(inside(arg))).join(', ')})`;
    case 'negate': return `-${printExpr(expr.arg)}`;
    case 'binary': return expr.op === '^' ? `${printExpr(expr.left)}^${printExpr(expr.right)}` : `${printExpr(expr.left)} ${expr.op} ${printExpr(expr.right)}`;
    case 'group': {
      const inner = inside(expr);
      return inner.kind === 'negate' || inner.kind === 'binary' ? `(${printExpr(inner)})` : printExpr(inner);
    }
  }
}

function block(layout: Layout, lines: readonly string[]): Block {
  return { blankBefore: layout.blankBefore, lines, comment: layout.trailing.map((comment) => comment.text).join(' ') };
}

function commentBlocks(comments: readonly Comment[]): Block[] {
  return comments.map(({ text, blankBefore }) => ({ blankBefore, lines: [text], comment: '' }));
}

/** Neighbouring lines that end in comments have them in one column. */
function lay(blocks: readonly Block[], indent: string): string {
  const lines: string[] = [];
  blocks.forEach((own, i) => {
    if (i > 0 && own.blankBefore) lines.push('');
    const last = own.lines[own.lines.length - 1];
    const padded = own.comment === '' ? last : `${last.padEnd(column(blocks, i))}  ${own.comment}`;
    // The inner lines of a block comment keep their own indentation.
    for (const line of [...own.lines.slice(0, -1), padded]) lines.push(`${indent}${line}`.trimEnd());
  });
  return lines.map((line) => `${line}\n`).join('');
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
