import { diagnostic } from '../../diagnostics/diagnostic.js';
import type { Expr } from '../../ir/ast/ast.js';
import type { Law, LawNode } from '../../ir/graph/graph.js';
import type { ValueType } from '../../ir/graph/types.js';
import { report, type Scope } from './scope.js';
import { numeric, typeOf } from './values.js';

/** How a param starts: numbers, `index`, constants, draws and functions of them. */
export function lawOf(scope: Scope, expr: Expr): { readonly law: Law; readonly type: ValueType } | undefined {
  const inside: Scope = { ...scope, inLaw: true, resolve: (own) => scope.resolveIn(inside, own) };
  const value = inside.resolve(expr);
  const id = value && numeric(inside, { value, expr });
  if (id === undefined) return undefined;
  const nodes: LawNode[] = [];
  const places = new Map<number, number>();
  const copy = (from: number): number | undefined => {
    const known = places.get(from);
    if (known !== undefined) return known;
    const made = lawNode(scope, from, copy);
    if (made === undefined) return undefined;
    const place = nodes.push(made) - 1;
    places.set(from, place);
    return place;
  };
  const top = copy(id);
  if (top !== undefined) return { law: { nodes, value: top, origin: expr.origin }, type: typeOf(scope, id) };
  return report(scope, diagnostic('E217', 'a law is not made of values', expr.origin, 'this depends on tokens or on what is trained', {
    help: ['a law is made of numbers, constants, `index[...]`, `normal(std)`, `uniform(lo, hi)`, `orthogonal(gain)` and functions of them'],
  }));
}

/** The node of a law for one of a graph; undefined for what no law is made of. */
function lawNode(scope: Scope, id: number, copy: (id: number) => number | undefined): LawNode | undefined {
  const draw = scope.lawDraws.get(id);
  if (draw !== undefined) return draw;
  const node = scope.builder.nodes[id];
  switch (node.kind) {
    case 'literal': return { kind: 'literal', value: node.value };
    case 'index': return node.over === undefined ? { kind: 'index', axes: node.axes } : undefined;
    case 'map': {
      if (node.fn === '%') return undefined;
      const args = node.args.map(copy);
      const known = args.filter((arg) => arg !== undefined);
      return known.length === args.length ? { kind: 'map', fn: node.fn, args: known } : undefined;
    }
    default: return undefined;
  }
}
