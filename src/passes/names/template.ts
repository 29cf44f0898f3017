/** A name of a tensor with formulas in braces, `layers.{i}.experts.{G M}.`: texts and formulas in turn. */
export type Template = readonly (string | Formula)[];

export type Formula =
  | { readonly kind: 'number'; readonly value: number }
  /** A turn, or an axis: one tensor per index. */
  | { readonly kind: 'name'; readonly name: string }
  /** `G M`: both axes, counted row by row. */
  | { readonly kind: 'axes'; readonly names: readonly string[] }
  | { readonly kind: 'binary'; readonly op: Operator; readonly left: Formula; readonly right: Formula };

type Operator = '+' | '-' | '*' | '/' | '%';

/** Reads a text with braces; undefined where what stands in them is no formula. */
export function parseTemplate(text: string): Template | undefined {
  const parts: (string | Formula)[] = [];
  let rest = text;
  while (rest !== '') {
    const open = rest.search(/[{}]/);
    if (open < 0) return [...parts, rest];
    if (rest[open] === '}') return undefined;
    const close = rest.indexOf('}', open);
    const formula = close < 0 ? undefined : parseFormula(rest.slice(open + 1, close));
    if (formula === undefined) return undefined;
    if (open > 0) parts.push(rest.slice(0, open));
    parts.push(formula);
    rest = rest.slice(close + 1);
  }
  return parts;
}

/** Sums of products of numbers, names and parentheses. */
function parseFormula(text: string): Formula | undefined {
  const tokens = text.match(/\d+|[A-Za-z_]\w*|[-+*/%()]|\S/g) ?? [];
  let at = 0;
  const binary = (operators: string, operand: () => Formula | undefined): Formula | undefined => {
    let left = operand();
    while (left !== undefined && at < tokens.length && operators.includes(tokens[at])) {
      const op = tokens[at++];
      const right = operand();
      left = right === undefined || !isOperator(op) ? undefined : { kind: 'binary', op, left, right };
    }
    return left;
  };
  const sum = (): Formula | undefined => binary('+-', product);
  const product = (): Formula | undefined => binary('*/%', atom);
  const atom = (): Formula | undefined => {
    const token = tokens[at++] ?? '';
    if (token === '(') {
      const inner = sum();
      return tokens[at++] === ')' ? inner : undefined;
    }
    if (/^\d/.test(token)) return { kind: 'number', value: Number(token) };
    if (!isName(token)) return undefined;
    const names = [token];
    while (isName(tokens[at] ?? '')) names.push(tokens[at++]);
    return names.length === 1 ? { kind: 'name', name: token } : { kind: 'axes', names };
  };
  const formula = sum();
  return at === tokens.length ? formula : undefined;
}

function isName(token: string): boolean {
  return /^[A-Za-z_]/.test(token);
}

function isOperator(text: string): text is Operator {
  return text.length === 1 && '+-*/%'.includes(text);
}

/** Names in the braces of a template, each once. */
export function namesIn(template: Template): readonly string[] {
  const inside = (formula: Formula): readonly string[] => {
    switch (formula.kind) {
      case 'number': return [];
      case 'name': return [formula.name];
      case 'axes': return formula.names;
      case 'binary': return [...inside(formula.left), ...inside(formula.right)];
    }
  };
  return [...new Set(template.flatMap((part) => (typeof part === 'string' ? [] : inside(part))))];
}

/** With the formulas written out that turns alone decide; undefined where one of them gives no whole number. */
export function settle(template: Template, turns: ReadonlyMap<string, number | string>): Template | undefined {
  const settled: (string | Formula)[] = [];
  for (const part of template) {
    const open = typeof part !== 'string' && namesIn([part]).some((name) => !turns.has(name));
    const text = open ? undefined : writeTemplate([part], { value: (name) => turns.get(name) ?? NaN, size: () => NaN });
    if (!open && text === undefined) return undefined;
    const last = settled[settled.length - 1];
    if (text !== undefined && typeof last === 'string') settled[settled.length - 1] = last + text;
    else settled.push(text ?? part);
  }
  return settled;
}

/** What names in braces stand for. */
export interface Known {
  value(name: string): number | string;
  /** Of an axis. */
  size(name: string): number;
}

/** The text; undefined where a formula gives no whole number. */
export function writeTemplate(template: Template, known: Known): string | undefined {
  let text = '';
  for (const part of template) {
    const value = typeof part === 'string' ? part : evaluate(part, known);
    if (typeof value === 'number' && !Number.isSafeInteger(value)) return undefined;
    text += String(value);
  }
  return text;
}

function evaluate(formula: Formula, known: Known): number | string {
  switch (formula.kind) {
    case 'number': return formula.value;
    case 'name': return known.value(formula.name);
    case 'axes': return formula.names.reduce((index, name) => index * known.size(name) + numberOf(known.value(name)), 0);
    case 'binary': {
      const left = numberOf(evaluate(formula.left, known));
      const right = numberOf(evaluate(formula.right, known));
      switch (formula.op) {
        case '+': return left + right;
        case '-': return left - right;
        case '*': return left * right;
        case '/': return left / right;
        case '%': return left % right;
      }
    }
  }
}

/** Letters of a `repeat` have no value to calculate with. */
function numberOf(value: number | string): number {
  return typeof value === 'number' ? value : NaN;
}
