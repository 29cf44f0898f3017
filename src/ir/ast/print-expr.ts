import type { Argument, Axes, Expr } from './ast.js';

/** One expression on one line, with the parentheses that were written where they hold something together. */
export function printExpr(expr: Expr): string {
  switch (expr.kind) {
    case 'number': return expr.text;
    case 'text': return `"${expr.text}"`;
    case 'name': return expr.name.text;
    case 'index': return `${expr.name.text}[${expr.indices.length === 1 ? offsetText(inside(expr.indices[0])) : listText(expr.indices)}]`;
    case 'call': return `${expr.name.text}${expr.indices ? `[${listText(expr.indices)}]` : ''}(${expr.args.map(argumentText).join(', ')})`;
    case 'negate': return `-${printExpr(expr.arg)}`;
    case 'not': return `not ${printExpr(expr.arg)}`;
    case 'binary': {
      const [left, right] = [printExpr(expr.left), printExpr(expr.right)];
      return expr.op === '^' ? `${left}^${right}` : `${left} ${expr.op}${expr.axes ? axesText(expr.axes) : ''} ${right}`;
    }
    case 'group': {
      const inner = inside(expr);
      return inner.kind === 'negate' || inner.kind === 'not' || inner.kind === 'binary' ? `(${printExpr(inner)})` : printExpr(inner);
    }
  }
}

export function axesText(axes: Axes): string {
  return `[${axes.names.map((name) => name.text).join(', ')}]`;
}

/** The expression in parentheses, however many. */
export function inside(expr: Expr): Expr {
  return expr.kind === 'group' ? inside(expr.inner) : expr;
}

/** The terms of a sum, each but the first with its sign. */
export function summands(expr: Expr): string[] {
  if (expr.kind !== 'binary' || (expr.op !== '+' && expr.op !== '-')) return [printExpr(expr)];
  return [...summands(expr.left), `${expr.op} ${printExpr(expr.right)}`];
}

/** `t-1`: a step from a token is one word. */
function offsetText(index: Expr): string {
  const sum = index.kind === 'binary' && (index.op === '-' || index.op === '+');
  const step = sum && index.left.kind === 'name' && index.right.kind === 'number';
  return step ? `${printExpr(index.left)}${index.op}${printExpr(index.right)}` : printExpr(index);
}

function listText(exprs: readonly Expr[]): string {
  return exprs.map((expr) => printExpr(inside(expr))).join(', ');
}

function argumentText({ name, value }: Argument): string {
  return `${name ? `${name.text}: ` : ''}${printExpr(inside(value))}`;
}
