import { diagnostic, type Diagnostic } from '../../diagnostics/diagnostic.js';
import { didYouMean, suggest } from '../../diagnostics/suggest.js';
import type { Expr, Ident } from '../../ir/ast/ast.js';
import { printExpr } from '../../ir/ast/print.js';
import type { MathName } from '../../ir/common/dag.js';
import type { Axis } from '../../ir/graph/types.js';
import { includes } from '../../ir/graph/typing.js';
import { OTHER_NAMES } from '../resolve/call.js';
import { isUnary } from '../resolve/names.js';
import { argumentsOf, noBrackets, type CallExpr } from './arguments.js';
import { mask, sinkhorn, top } from './choices.js';
import { dropout, index, normal, orthogonal, uniform } from './draws.js';
import { FUNCTIONS, isFold, isNorm } from './fixed.js';
import { fold, norm } from './folds.js';
import { axesLabel, bare, report, reportName, type Found, type Scope } from './scope.js';
import { conv, rope } from './tokens.js';
import { mapValues, node, numeric, resolveNumeric, typeOf, type Written } from './values.js';

/** A function of the language; E212 where the name is none. */
export function resolveFunction(scope: Scope, call: CallExpr): Found {
  const name = call.name.text;
  if ((name === 'max' || name === 'min') && call.indices === undefined && call.args.length > 1) return entrywise(scope, call, name, 2);
  if (isFold(name)) return fold(scope, call, name);
  if (isNorm(name)) return norm(scope, call, name);
  if (isUnary(name)) return unary(scope, call, name);
  switch (name) {
    case 'clamp': return entrywise(scope, call, 'clamp', 3);
    case 'outer': return outer(scope, call);
    case 'top': return top(scope, call);
    case 'mask': return mask(scope, call);
    case 'sinkhorn': return sinkhorn(scope, call);
    case 'stop': case 'f32': return passing(scope, call, name);
    case 'rope': return rope(scope, call);
    case 'conv': return conv(scope, call);
    case 'index': return index(scope, call);
    case 'normal': return normal(scope, call);
    case 'uniform': return uniform(scope, call);
    case 'orthogonal': return orthogonal(scope, call);
    case 'dropout': return dropout(scope, call);
    default: return reportName(scope, call.name.text, () => unknownFunction(scope, call.name));
  }
}

function unknownFunction(scope: Scope, { text, origin }: Ident): Diagnostic {
  const names = [...FUNCTIONS, ...scope.part.visible.keys()];
  const nearest = suggest(text, names);
  const other = OTHER_NAMES.get(text);
  const help = other ?? didYouMean(text, names)[0] ?? HABITS.get(text);
  return diagnostic('E212', `unknown function \`${text}\``, origin, 'neither a function nor a part of this file', {
    help: [help ?? `the functions are ${FUNCTIONS.join(', ')}; parts are declared in the file or imported`],
    ...(nearest === undefined || other !== undefined
      ? {} : { fix: { title: `write \`${nearest}\``, edits: [{ span: origin, text: nearest }] } }),
  });
}

const NO_PIECES = 'nothing is split or glued together: declare a param for each piece, and add products, `a @ Wa + b @ Wb`';
const NO_SHAPES = 'axes have names: there is nothing to reshape or transpose, `x @ W` has the axes of `W: [D, H, K]` and sums over D';

/** Names from other languages. */
const HABITS: ReadonlyMap<string, string> = new Map([
  ...['split', 'chunk', 'concat', 'cat', 'concatenate', 'stack'].map((name) => [name, NO_PIECES] as const),
  ...['reshape', 'view', 'transpose', 'permute', 'rearrange', 'flatten'].map((name) => [name, NO_SHAPES] as const),
  ['topk', 'write `top[E, k](scores)`'], ['argmax', 'write `top[E, 1](scores)`'],
    ['linear', 'declare a `param w: [D, F]` and write `x @ w`'],
  ['embedding', 'declare a `param embed: [W, D]` and write `embed[ids]`'],
    ['attention', 'write `softmax[past](q @[K] k[past]) @[past] v[past]`'],
  ['cross_entropy', 'write `mean[tokens](logsumexp[W](logits) - logits[labels])`'], ['detach', 'write `stop(x)`'],
    ['stop_gradient', 'write `stop(x)`'],
  ['where', 'write `x * mask(c) + y * (1 - mask(c))`, or `x[c]` for x where c holds'], ['conv1d', 'write `conv[T](x, w)`'],
    ['cumsum', 'write `sum[past](x[past])`'],
  ['arange', 'write `index[E]`'], ['one_hot', 'a pick is an index in brackets: `table[ids]`'],
]);

function unary(scope: Scope, call: CallExpr, name: MathName): Found {
  if (!noBrackets(scope, call)) return undefined;
  const args = argumentsOf(scope, call, [1]);
  const value = args && scope.resolve(args.given[0]);
  return args && value && mapValues(scope, name, [{ value, expr: args.given[0] }], call.origin);
}

/** `stop` and `f32`; a number stays what it is. */
function passing(scope: Scope, call: CallExpr, kind: 'stop' | 'f32'): Found {
  if (!noBrackets(scope, call)) return undefined;
  const args = argumentsOf(scope, call, [1]);
  const value = args && scope.resolve(args.given[0]);
  if (args === undefined || value === undefined || value.kind === 'number') return value;
  const arg = numeric(scope, { value, expr: args.given[0] });
  return arg === undefined ? undefined : node(scope.builder.add({ kind, arg }, call.origin));
}

/** `min`, `max` and `clamp`: their arguments line up as those of an operator. */
function entrywise(scope: Scope, call: CallExpr, name: 'min' | 'max' | 'clamp', count: number): Found {
  if (!noBrackets(scope, call)) return undefined;
  const args = argumentsOf(scope, call, [count]);
  if (args === undefined) return undefined;
  const written: Written[] = [];
  for (const expr of args.given) {
    const value = scope.resolve(expr);
    if (value === undefined) return undefined;
    written.push({ value, expr });
  }
  const axes = written.map(({ value }): readonly Axis[] => (value.kind === 'node' ? typeOf(scope, value.id).axes : []));
  const widest = axes.reduce((best, own) => (own.length > best.length ? own : best));
  const odd = axes.findIndex((own) => !own.every((axis) => includes(widest, axis)));
  if (odd >= 0) {
    return report(scope, diagnostic('E202', `the axes of \`${name}\` do not line up`, args.given[odd].origin, axesLabel(axes[odd]), {
      secondary: [{ span: args.given[axes.indexOf(widest)].origin, text: axesLabel(widest) }],
      help: [`\`${name}\` needs the axes of one argument to include those of the others`],
    }));
  }
  if (name !== 'clamp') return mapValues(scope, name, written, call.origin);
  const [x, low, high] = written;
  const raised = mapValues(scope, 'max', [x, low], call.origin);
  return raised && mapValues(scope, 'min', [{ value: raised, expr: x.expr }, high], call.origin);
}

function outer(scope: Scope, call: CallExpr): Found {
  if (!noBrackets(scope, call)) return undefined;
  const args = argumentsOf(scope, call, [2]);
  if (args === undefined) return undefined;
  const [x, y] = args.given.map((expr) => resolveNumeric(scope, expr));
  if (x === undefined || y === undefined) return undefined;
  const [a, b] = [typeOf(scope, x).axes, typeOf(scope, y).axes];
  const shared = a.filter((axis) => includes(b, axis));
  if (shared.length === 0) return node(scope.builder.add({ kind: 'map', fn: 'mul', args: [x, y] }, call.origin));
  const [l, r] = args.given.map((arg: Expr) => (bare(arg).kind === 'binary' ? `(${printExpr(bare(arg))})` : printExpr(arg)));
  return report(scope, diagnostic('E204', `both arguments of \`outer\` have axis \`${shared[0].name}\``, args.given[0].origin, axesLabel(a),
    {
    secondary: [{ span: args.given[1].origin, text: axesLabel(b) }],
    help: [`for the entry-by-entry product write \`${l} * ${r}\``,
      `to contract \`${shared[0].name}\` write \`${l} @[${shared[0].name}] ${r}\``],
  }));
}
