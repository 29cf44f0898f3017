import { parse } from '../../../grammar/parser.js';
import type { AstFile } from '../../../src/ir/ast/ast.js';

const LAYOUT = new Set(['origin', 'opOrigin', 'brackets', 'leading', 'trailing', 'closing', 'blankBefore']);

/** What a text says, without where it says it. Parentheses are in the shape of the tree already. */
export function meaning(ast: AstFile): string {
  const bare = (value: unknown): unknown => (isGroup(value) ? bare(value.inner) : value);
  return JSON.stringify(ast, (key, value: unknown) => (LAYOUT.has(key) ? undefined : bare(value)));
}

function isGroup(value: unknown): value is { readonly inner: unknown } {
  return typeof value === 'object' && value !== null && 'kind' in value && value.kind === 'group' && 'inner' in value;
}

export function parsed(text: string): AstFile {
  const { ast, diagnostics } = parse('test.lmoe', text);
  if (ast === undefined) throw new Error(`${diagnostics.map((d) => d.title).join('; ')} in\n${text}`);
  return ast;
}
