import { diagnostic, type Diagnostic } from '../../diagnostics/diagnostic.js';
import type { Axes, Body, Expr, Ident, NameEntries, NameEntryText, PartItem, Statement } from '../../ir/ast/ast.js';

/**
 * W201 for names that nothing in the text reads, in whatever branch. Names that begin with `_` ask for it; params that nothing reads are
 * E804.
 */
export function unusedNames(item: PartItem): readonly Diagnostic[] {
  const read = new Set<string>();
  const made: { readonly ident: Ident; readonly what: string }[] = [];
  const declare = (ident: Ident, what: string): void => {
    if (!ident.text.startsWith('_')) made.push({ ident, what });
  };

  const axes = (own: Axes | undefined): void => own?.names.forEach(({ text }) => read.add(text));
  const expr = (own: Expr | undefined): void => {
    switch (own?.kind) {
      case undefined: case 'number': case 'text': return;
      case 'name': read.add(own.name.text); return;
      case 'index': read.add(own.name.text); own.indices.forEach(expr); return;
      case 'call': read.add(own.name.text); own.indices?.forEach(expr); own.args.forEach((arg) => expr(arg.value)); return;
      case 'negate': case 'not': expr(own.arg); return;
      case 'group': expr(own.inner); return;
      case 'binary': expr(own.left); expr(own.right); axes(own.axes); return;
    }
  };
  const entries = (own: NameEntries | undefined): void => own?.entries.forEach(entry);
  const entry = (own: NameEntryText): void => {
    if (own.kind === 'prefix') entries(own.entries);
    if (own.kind === 'part') entries(own.entries);
  };
  const body = (own: Body): void => own.statements.forEach(statement);
  const statement = (own: Statement): void => {
    switch (own.kind) {
      case 'const': own.constants.forEach((constant) => { declare(constant.name,
        `\`${constant.name.text}\``); axes(constant.axes); expr(constant.value); }); return;
      case 'let': own.names.forEach((name) => declare(name, `\`${name.text}\``)); axes(own.axes); expr(own.value); return;
      case 'param': case 'buffer':
        for (const group of own.groups) {
          if (own.kind === 'buffer') group.names.forEach((name) => declare(name, `buffer \`${name.text}\``));
          axes(group.axes);
          expr(group.law);
          expr(group.range?.lo);
          expr(group.range?.hi);
        }
        return;
      case 'state': return;
      case 'use':
        own.names.forEach((name) => declare(name, `\`${name.text}\``));
        axes(own.family);
        read.add(own.part.text);
        own.bindings.forEach((binding) => (binding.value === undefined ? read.add(binding.name.text) : expr(binding.value)));
        return;
      case 'if':
        expr(own.condition);
        body(own.then);
        if (own.otherwise !== undefined) {
          if ('condition' in own.otherwise) statement(own.otherwise);
          else body(own.otherwise);
        }
        return;
      case 'repeat': expr(own.from); expr(own.to); body(own.body); return;
      case 'loss': case 'init': expr(own.value); return;
      case 'update': case 'assign': expr(own.value); return;
      case 'names': entries(own.entries); return;
    }
  };

  for (const input of item.inputs) {
    input.names.forEach((name) => declare(name, `input \`${name.text}\``));
    axes(input.axes);
    if (input.of !== undefined) read.add(input.of.text);
    expr(input.range?.lo);
    expr(input.range?.hi);
  }
  item.outputs.forEach((output) => axes(output.axes));
  for (const binding of item.bindings) {
    declare(binding.name, `\`${binding.name.text}\``);
    expr(binding.value);
  }
  item.body.forEach(statement);
  return made.filter(({ ident }) => !read.has(ident.text)).map(({ ident, what }) => (
    diagnostic('W201', `${what} is never used`, ident.origin, 'nothing reads it', { help: [`remove it, or call it \`_${ident.text}\``] })
  ));
}
