import { diagnostic, type Diagnostic } from '../../diagnostics/diagnostic.js';
import { NO_TRANSPOSES, suggest } from '../../diagnostics/suggest.js';
import type { Axes, BinaryExpr, Expr, Ident, IndexExpr } from '../../ir/ast/ast.js';
import { printExpr } from '../../ir/ast/print.js';
import { includesAll, type Axis } from '../../ir/common/axes.js';
import type { MathName } from '../../ir/common/dag.js';
import type { Span } from '../../ir/common/span.js';
import { resolveCall } from './call.js';
import { checkAxis, checkDistinct } from './declare.js';
import { refusedExpr } from './foreign.js';
import { FIXED, FUNCTIONS } from './names.js';
import { axesLabel, report, shape, type Binding, type Node, type Scope } from './scope.js';

/** Whole exponents up to this one are written out as products: exact for negative bases, and cheaper. */
const LARGEST_POWER = 8;

/** The node of an expression. Reports one error at most; its users are then silent. */
export function resolveExpr(scope: Scope, expr: Expr): Node {
  switch (expr.kind) {
    case 'number': return scope.builder.literal(expr.value, expr.origin);
    case 'name': return resolveName(scope, expr.name);
    case 'index': return resolveIndex(scope, expr);
    case 'call': return resolveCall(scope, expr);
    case 'group': return resolveExpr(scope, expr.inner);
    case 'negate': {
      const arg = resolveExpr(scope, expr.arg);
      return arg === undefined ? undefined : scope.builder.map('neg', [arg], expr.origin);
    }
    case 'binary': return resolveBinary(scope, expr);
    case 'text': case 'not': return refusedExpr(scope, expr);
  }
}

function resolveName(scope: Scope, { text, origin }: Ident): Node {
  if (text === 'head') return scope.builder.head(origin);
  if (text === 'heads') return scope.builder.heads(origin);
  const binding = scope.bindings.get(text);
  if (binding !== undefined) {
    scope.used.add(text);
    return binding.broken ? undefined : valueOf(scope, binding, origin);
  }
  if (scope.axes.has(text)) return scope.builder.size(text, origin);
  const fixed = FIXED.get(text);
  if (fixed === undefined) return reportUnknown(scope, text, origin);
  const help = FUNCTIONS.includes(text) ? `${fixed}: write \`${text}(...)\`` : text === 'inf' ? `${fixed}: write a number` : fixed;
  return report(scope, diagnostic('E211', `\`${text}\` is not a value`, origin, 'used as one', { help: [help] }));
}

function valueOf(scope: Scope, binding: Binding, origin: Span): Node {
  switch (binding.kind) {
    case 'input': return scope.builder.input(binding.index, binding.axes, origin);
    case 'param': return scope.builder.param(binding.index, binding.axes, origin);
    case 'let': case 'const': return binding.value;
    case 'state': case 'output': {
      const now = scope.assigned.get(binding.name);
      return now === undefined ? report(scope, tooEarly(scope, binding, origin)) : now.value;
    }
  }
}

function tooEarly(scope: Scope, { name, kind, axes }: Binding & { readonly axes: readonly Axis[] }, origin: Span): Diagnostic {
  const later = scope.below.get(name);
  const title = kind === 'state' ? `\`${name}\` is read before its new value exists` : `output \`${name}\` is read before it has a value`;
  const inside = later !== undefined && origin.start >= later.start && origin.end <= later.end;
  const label = kind === 'state' ? 'a bare name is the value of this step' : 'nothing has been assigned yet';
  return diagnostic('E209', title, origin, label, {
    secondary: later === undefined || inside ? [] : [{ span: later, text: 'assigned here' }],
    help: [
      ...(kind === 'state' ? [`write \`${name}[t-1]\` for the value before this step`] : []),
      ...(inside || later === undefined ? [] : [`for the new value, move this below the line that assigns \`${name}\``]),
      ...(later === undefined && kind === 'output' ? [`assign it first: \`${name} = ...\``] : []),
      ...(inside && kind === 'output' ? [`only states remember: declare \`state ${name}: ${shape(axes)}\` and read \`${name}[t-1]\``] : []),
    ],
    ...(kind === 'state' ? { fix: { title: `read \`${name}[t-1]\``, edits: [{ span: origin, text: `${name}[t-1]` }] } } : {}),
  });
}

/** Names that could stand here. */
export function visibleNames(scope: Scope): string[] {
  return [...scope.bindings.keys(), ...scope.axes.keys(), 'head', 'heads'];
}

const IDENTITY = ['there is no identity matrix: `(I - k k^T) S` is written `S[t-1] - outer(k, k @ S[t-1])`'];

/** What people write by habit. */
const HABITS: Readonly<Record<string, readonly string[] | undefined>> = {
  H: ['the number of heads is `heads`'], h: ['the index of the head is `head`'], head_index: ['the index of the head is `head`'],
  T: [NO_TRANSPOSES], I: IDENTITY, eye: IDENTITY, Id: IDENTITY, pi: ['write the number: 3.141592653589793'],
};

function reportUnknown(scope: Scope, text: string, origin: Span): undefined {
  if (!scope.said.has(text)) report(scope, unknownName(scope, text, origin));
  scope.said.add(text);
  return undefined;
}

function unknownName(scope: Scope, text: string, origin: Span): Diagnostic {
  const below = scope.below.get(text);
  if (below !== undefined) {
    return diagnostic('E201', `\`${text}\` is not known yet`, origin, 'used here', {
      secondary: [{ span: below, text: 'declared here, further down' }], help: ['statements are read in order: move the declaration up'],
    });
  }
  const nearest = suggest(text, visibleNames(scope));
  const hint = HABITS[text] ?? [];
  return diagnostic('E201', `unknown name \`${text}\``, origin, 'not declared', {
    help: hint.length > 0 ? hint
      : nearest === undefined ? ['declare it: an input, a `param`, a `state`, a `const` or a `let`'] : [`did you mean \`${nearest}\`?`],
    ...(
      nearest === undefined || hint.length > 0 ? {} : { fix: { title: `write \`${nearest}\``, edits: [{ span: origin, text: nearest }] } }
    ),
  });
}

/** `t-1` in brackets. */
interface Step {
  readonly time: Ident;
  readonly offset: number;
}

function stepOf({ indices }: IndexExpr): Step | undefined {
  const [index] = indices;
  if (indices.length !== 1 || index.kind !== 'binary' || (index.op !== '-' && index.op !== '+')) return undefined;
  const { left, right } = index;
  return left.kind === 'name' && right.kind === 'number'
    ? { time: left.name, offset: index.op === '-' ? -right.value : right.value }
    : undefined;
}

function resolvePast(scope: Scope, expr: IndexExpr, { time, offset }: Step): Node {
  const { text: name, origin } = expr.name;
  const binding = scope.bindings.get(name);
  if (binding === undefined && !FIXED.has(name) && !scope.axes.has(name)) return reportUnknown(scope, name, origin);
  if (time.text !== 't') {
    return report(scope, diagnostic(
      'E210', `\`${printExpr(expr)}\` is no step in time`, time.origin, 'time is called `t`',
      { help: [`write \`${name}[t-1]\` for the value before this step`] },
    ));
  }
  if (binding?.kind !== 'state' && binding?.kind !== 'input') {
    const what = binding === undefined
      ? 'no tensor'
      : binding.kind === 'let'
      ? 'a `let`'
      : binding.kind === 'const'
      ? 'a constant'
      : binding.kind === 'param'
      ? 'a param, the same at every step'
      : 'an output';
    return report(scope, diagnostic('E210', `\`${name}\` has no value before this step`, expr.origin, `\`${name}\` is ${what}`, {
      help: [
        binding?.kind === 'param' || binding?.kind === 'const'
          ? `write \`${name}\``
          : `only states and inputs are remembered: keep it in a \`state\`, and read that at \`[t-1]\``,
      ],
    }));
  }
  if (offset !== -1) {
    const ahead = offset > 0;
    const title = ahead ? 'a scan cannot see the future'
      : Object.is(Math.abs(offset), 0) ? 'a bare name is the value of this step' : 'a scan sees one step back only';
    return report(scope, diagnostic('E210', title, expr.origin, 'not `[t-1]`', {
      help: ahead ? ['shift the input before the scan'] : offset === 0 ? [`write \`${name}\``] : older(
        scope, name, binding.kind, expr.origin,
      ),
    }));
  }
  scope.used.add(name);
  if (binding.broken) return undefined;
  if (binding.kind === 'state') return scope.builder.prev(binding.index, binding.axes, expr.origin);
  return scope.builder.prev(scope.pastOf(binding.index), binding.axes, expr.origin);
}

/** How to look further back. A state that needs its own older value has no chunked form (E302), which the remedy must not lead to. */
function older(scope: Scope, name: string, kind: 'state' | 'input', origin: Span): readonly string[] {
  const own = scope.below.get(name);
  const inOwnUpdate = kind === 'state' && own !== undefined && origin.start >= own.start && origin.end <= own.end;
  const keep = `keep the older value in a state: \`state last: [...]\` with \`last = ${name}[t-1]\`, then read \`last[t-1]\``;
  if (inOwnUpdate) return [`${keep}; as \`${name}\` and \`last\` then feed each other, mark the scan \`sequential\``];
  return kind === 'state' ? [keep, `if \`${name}\` depends on what is read here, mark the scan \`sequential\``] : [keep];
}

function resolveIndex(scope: Scope, expr: IndexExpr): Node {
  const step = stepOf(expr);
  if (step !== undefined) return resolvePast(scope, expr, step);
  const { text: name } = expr.name;
  if (FUNCTIONS.includes(name)) {
    return report(scope, diagnostic(
      'E213', `\`${printExpr(expr)}\` has no argument`, expr.origin, 'a function without a value',
      { help: [`write \`${printExpr(expr)}(x)\``] },
    ));
  }
  if (!scope.bindings.has(name)) return reportUnknown(scope, name, expr.name.origin);
  const [index] = expr.indices;
  const now = expr.indices.length === 1 && index.kind === 'name' && index.name.text === 't';
  const label = now ? 'a bare name is the value of this step' : 'not an index';
  return report(scope, diagnostic('E210', 'the only index is `[t-1]`', expr.origin, label, {
    help: [now ? `write \`${name}\`` : `axes are never indexed: write \`${name}\`, and fold axes with \`sum[K](...)\` or \`@\``],
  }));
}

const OPERATORS = { '+': 'add', '-': 'sub', '*': 'mul', '/': 'div', '^': 'pow' } as const satisfies Readonly<Record<string, MathName>>;

function resolveBinary(scope: Scope, expr: BinaryExpr): Node {
  const { op } = expr;
  if (op !== '@' && !isArithmetic(op)) return refusedExpr(scope, expr);
  const left = resolveExpr(scope, expr.left);
  if (left === undefined) return undefined;
  const right = resolveExpr(scope, expr.right);
  if (right === undefined) return undefined;
  const b = scope.builder;
  if (op === '@') return contract(scope, expr, left, right);
  const problem = misaligned(b.axesOf(left), b.axesOf(right), expr);
  if (problem) return report(scope, problem);
  return (op === '^' ? wholePower(scope, left, right, expr.origin) : undefined) ?? b.map(OPERATORS[op], [left, right], expr.origin);
}

function isArithmetic(op: string): op is keyof typeof OPERATORS {
  return Object.hasOwn(OPERATORS, op);
}

/** E202 if neither side's axes include the other's. */
function misaligned(left: readonly Axis[], right: readonly Axis[], expr: BinaryExpr): Diagnostic | undefined {
  if (includesAll(left, right) || includesAll(right, left)) return undefined;
  const disjoint = !left.some((axis) => right.includes(axis));
  const outer = `outer(${printExpr(bare(expr.left))}, ${printExpr(bare(expr.right))})`;
  const product = expr.op === '*';
  return diagnostic('E202', `the axes of \`${expr.op}\` do not line up`, expr.left.origin, axesLabel(left), {
    secondary: [{ span: expr.right.origin, text: axesLabel(right) }],
    help: [
      `\`${expr.op}\` needs one side's axes to include the other's`,
      ...(product && disjoint ? [`for the outer product write \`${outer}\``] : []),
    ],
    ...(product && disjoint ? { fix: { title: `write \`${outer}\``, edits: [{ span: expr.origin, text: outer }] } } : {}),
  });
}

/** Parentheses that a call makes needless. */
function bare(expr: Expr): Expr {
  return expr.kind === 'group' ? bare(expr.inner) : expr;
}

function contract(scope: Scope, expr: BinaryExpr, left: number, right: number): Node {
  const b = scope.builder;
  const [x, y] = [b.axesOf(left), b.axesOf(right)];
  const shared = x.filter((axis) => y.includes(axis));
  if (expr.axes !== undefined) return contractOver(scope, expr, expr.axes, left, right);
  if (shared.length === 1) return b.reduce('sum', shared[0], b.map('mul', [left, right], expr.origin), expr.origin);
  const [l, r] = [printExpr(bare(expr.left)), printExpr(bare(expr.right))];
  const scalar = x.length === 0 || y.length === 0;
  const instead = scalar
    ? `${printExpr(expr.left)} * ${printExpr(expr.right)}`
    : shared.length === 0
    ? `outer(${l}, ${r})`
    : `sum${shape(shared)}(${printExpr(expr.left)} * ${printExpr(expr.right)})`;
  const why = scalar ? 'for the product with a scalar' : shared.length === 0 ? 'for the outer product' : 'to contract all of them';
  const title = shared.length === 0 ? '`@` finds no shared axis' : `\`@\` finds ${shared.length} shared axes`;
  return report(scope, diagnostic('E203', title, expr.left.origin, axesLabel(x), {
    secondary: [{ span: expr.right.origin, text: axesLabel(y) }],
    help: ['`@` contracts the one axis that both sides have', `${why} write \`${instead}\``],
    fix: { title: `write \`${instead}\``, edits: [{ span: expr.origin, text: instead }] },
  }));
}

/** `a @[H, V] b`: the axes in brackets are those that are summed. */
function contractOver(scope: Scope, expr: BinaryExpr, axes: Axes, left: number, right: number): Node {
  const b = scope.builder;
  const before = scope.diagnostics.length;
  checkDistinct(axes, (d) => report(scope, d));
  for (const axis of axes.names) {
    if (scope.diagnostics.length > before || !checkAxis(axis, scope.axes.keys(), (d) => report(scope, d))) return undefined;
    const sides = [left, right].map((side) => b.axesOf(side));
    if (sides.every((own) => own.includes(axis.text))) continue;
    return report(scope, diagnostic('E203', `\`@\` sums over \`${axis.text}\`, which not both sides have`, axis.origin, 'not shared', {
      secondary: [{ span: expr.left.origin, text: axesLabel(sides[0]) }, { span: expr.right.origin, text: axesLabel(sides[1]) }],
      help: ['name axes that both sides have'],
    }));
  }
  if (axes.names.length === 0) {
    return report(scope, diagnostic(
      'E203', '`@[]` sums over nothing', axes.origin, 'no axis', { help: [`write \`${printExpr(expr.left)} * ${printExpr(expr.right)}\``] },
    ));
  }
  return axes.names.reduce((value, axis) => b.reduce('sum', axis.text, value, expr.origin), b.map('mul', [left, right], expr.origin));
}

/** x^n for a whole n, and square roots; nothing for other exponents. */
function wholePower(scope: Scope, base: number, exponent: number, origin: Span): Node {
  const b = scope.builder;
  const node = b.nodes[exponent];
  if (node.kind !== 'literal') return undefined;
  const n = node.value;
  const positive = (m: number): Node => {
    if (m === 0.5) return b.map('sqrt', [base], origin);
    if (!Number.isInteger(m) || m < 1 || m > LARGEST_POWER) return undefined;
    if (m === 1) return base;
    // By squaring: x^5 = (x^2)^2 x.
    const half = positive(Math.floor(m / 2));
    if (half === undefined) return undefined;
    const square = b.map('mul', [half, half], origin);
    return m % 2 === 0 ? square : b.map('mul', [square, base], origin);
  };
  if (n > 0) return positive(n);
  const inverse = positive(-n);
  return inverse === undefined ? undefined : b.map('div', [b.literal(1, origin), inverse], origin);
}
