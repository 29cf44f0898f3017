import type { Axis } from '../../ir/common/axes.js';
import { isAny, type Range } from '../../ir/common/range.js';
import type { ScanBuilder } from '../../ir/scan/build.js';
import { ancestorsOf, type Gate, nodeArguments, type NodeId, type ScanNode } from '../../ir/scan/scan.js';
import type { Spec } from '../../ir/spec/spec.js';
import { lessOne } from './less-one.js';
import { rangeOf } from './ranges.js';
import { refuse } from './refusal.js';

/** Smallest decay that a log gate tells from zero; e^-80 of a state is nothing in any dtype we have. */
const SMALLEST_DECAY = 1e-35;

/** The gate of a matrix state in log form, from the factors that multiply S[t-1]. */
export function gateOf(b: ScanBuilder, spec: Spec, state: number, decay: readonly NodeId[]): Gate {
  const factors = decay.filter((f) => b.literalValue(f) !== 1);
  if (factors.length === 0) return { kind: 'none' };
  const axes = decayAxes(b, factors);
  const logOf = logarithms(b, spec);
  const logs = factors.map((f) => logOf(f) ?? notPositive(b, spec, state, f));
  const log = logs.map((x) => x.log).reduce((sum, x) => b.map('add', sum, x));
  const factor = logs.every((x) => x.smooth) ? undefined : b.product(factors);
  if (axes.length === 0) return { kind: 'scalar', log, factor, constant: isStatic(b, log) };
  return { kind: 'channel', log, factor, axis: axes[0] };
}

/** Axes along which the factors of S[t-1] differ. */
export function decayAxes(b: ScanBuilder, decay: readonly NodeId[]): readonly Axis[] {
  return [...new Set(decay.flatMap((f) => b.axesOf(f)))];
}

function notPositive(b: ScanBuilder, spec: Spec, state: number, factor: NodeId): never {
  const node = b.nodes[factor];
  const help = provable(b, spec, factor);
  throw refuse('E305', node.origin, `the decay of \`${spec.states[state].name}\` may be negative`,
    'this factor is not known to be positive',
    'chunks multiply decays in log space: write the decay as `exp(...)` or `sigmoid(...)`', ...(help === undefined ? [] : [help]));
}

/** Declared ranges that would prove the factor positive, if there are any. */
function provable(b: ScanBuilder, spec: Spec, factor: NodeId): string | undefined {
  const names = new Set<string>();
  for (const id of ancestorsOf(b.nodes, [factor])) {
    const node = b.nodes[id];
    const declared = node.kind === 'input' ? spec.inputs[node.input] : node.kind === 'param' ? spec.params[node.param] : undefined;
    if (declared !== undefined && isAny(declared.range)) names.add(declared.name);
  }
  if (names.size === 0) return undefined;
  for (const [text, range] of REMEDIES) {
    const ranged = <D extends { readonly range: Range }>(declared: readonly D[]) => declared.map((d) => (
      isAny(d.range) ? { ...d, range } : d
    ));
    const tried: Spec = { ...spec, inputs: ranged(spec.inputs), params: ranged(spec.params) };
    const list = [...names].map((name) => `\`${name}\``).join(' and ');
    if (logarithms(b, tried)(factor) === undefined) continue;
    return `or declare ${list} \`in ${text}\`, if that is what ${names.size === 1 ? 'it is' : 'they are'}`;
  }
  return undefined;
}

const REMEDIES: readonly (readonly [string, Range])[] = [
  ['0..1', { lo: 0, hi: 1 }], ['0..inf', { lo: 0, hi: Infinity }], ['-inf..0', { lo: -Infinity, hi: 0 }],
];

interface Log {
  readonly log: NodeId;
  /** Does the gradient of the factor's parts follow from that of `log` without a division by something that may be small? */
  readonly smooth: boolean;
}

/**
 * log of a positive factor, read off its text where possible (exp(g) gives g, sigmoid(z) gives log_sigmoid(z)), so that no digits are lost;
 * undefined if nothing proves it positive. Values with several readers are read once.
 */
function logarithms(b: ScanBuilder, spec: Spec): (factor: NodeId) => Log | undefined {
  const known = new Map<NodeId, Log | undefined>();
  const ranges = new Map<NodeId, Range>();
  const logOf = (factor: NodeId): Log | undefined => {
    if (!known.has(factor)) known.set(factor, logOfNode(b, spec, factor, logOf, ranges));
    return known.get(factor);
  };
  return logOf;
}

function logOfNode(
  b: ScanBuilder, spec: Spec, factor: NodeId, logOf: (factor: NodeId) => Log | undefined, ranges: Map<NodeId, Range>,
): Log | undefined {
  const node = b.nodes[factor];
  if (node.kind === 'literal') return node.value > 0 ? { log: b.literal(Math.log(node.value)), smooth: true } : undefined;
  if (node.kind === 'map') {
    const [x, y] = node.args;
    const both = (fn: 'add' | 'sub') => {
      const [lx, ly] = [logOf(x), logOf(y)];
      return lx === undefined || ly === undefined ? undefined : { log: b.map(fn, lx.log, ly.log), smooth: lx.smooth && ly.smooth };
    };
    if (node.fn === 'exp') return { log: x, smooth: true };
    if (node.fn === 'sigmoid') return { log: b.map('log_sigmoid', x), smooth: true };
    if (node.fn === 'mul') return both('add') ?? byRange(b, spec, factor, ranges);
    if (node.fn === 'add') return logOfSum(b, x, y, logOf) ?? byRange(b, spec, factor, ranges);
    if (node.fn === 'div') return logOfShare(b, x, y, logOf) ?? both('sub') ?? byRange(b, spec, factor, ranges);
    if (node.fn === 'pow') {
      const base = logOf(x);
      if (base === undefined) return byRange(b, spec, factor, ranges);
      const log = b.map('mul', y, base.log);
      const whole = rangeOf(b, spec, x, ranges).lo > 0 || (base.smooth && isTrained(b, x));
      return { log: whole ? log : b.map('add', log, logOfLittle(b, x, y)), smooth: base.smooth };
    }
    if (node.fn === 'sub' && b.literalValue(x) === 1 && rangeOf(b, spec, y, ranges).hi < 1) return {
      log: b.map('log1p', b.map('neg', y)), smooth: !isTrained(b, y),
    };
  }
  return byRange(b, spec, factor, ranges);
}

/** What y log x is below y log of the least factor that has a logarithm: a small power of 0 is 0, too. */
function logOfLittle(b: ScanBuilder, x: NodeId, y: NodeId): NodeId {
  const least = b.literal(SMALLEST_DECAY);
  const share = b.map('div', b.map('min', x, least), least);
  return b.map('log', b.map('max', b.map('pow', share, y), least));
}

/**
 * log(x + y) of what has logarithms in its text: exponentials may leave all numbers where the sum's logarithm is none of the large ones.
 */
function logOfSum(b: ScanBuilder, x: NodeId, y: NodeId, logOf: (factor: NodeId) => Log | undefined): Log | undefined {
  const [lx, ly] = [logOf(x), logOf(y)];
  if (lx?.smooth !== true || ly?.smooth !== true) return undefined;
  const [least, other] = b.literalValue(ly.log) === undefined ? [lx.log, ly.log] : [ly.log, lx.log];
  return { log: b.map('add', least, b.map('softplus', b.map('sub', other, least))), smooth: true };
}

/** log(x / (x + rest)): a difference of two large logarithms would leave digits of both. */
function logOfShare(b: ScanBuilder, x: NodeId, sum: NodeId, logOf: (factor: NodeId) => Log | undefined): Log | undefined {
  const terms = termsOf(b, sum);
  const at = terms.indexOf(x);
  if (at < 0 || terms.length === 1) return undefined;
  const [first, ...others] = terms.filter((_, i) => i !== at);
  const [share, rest] = [logOf(x), logOf(others.reduce((total, term) => b.map('add', total, term), first))];
  if (share?.smooth !== true || rest?.smooth !== true) return undefined;
  return { log: b.map('log_sigmoid', b.map('sub', share.log, rest.log)), smooth: true };
}

function termsOf(b: ScanBuilder, id: NodeId): readonly NodeId[] {
  const node = b.nodes[id];
  return node.kind === 'map' && node.fn === 'add' ? node.args.flatMap((arg) => termsOf(b, arg)) : [id];
}

function byRange(b: ScanBuilder, spec: Spec, factor: NodeId, ranges: Map<NodeId, Range>): Log | undefined {
  const { lo } = rangeOf(b, spec, factor, ranges);
  if (!(lo >= 0)) return undefined;
  return { log: logOfDigits(b, factor, lo), smooth: !isTrained(b, factor) };
}

/**
 * log x of x >= `lo`. Next to 1 a rounded x has lost the digits of its logarithm; where the text of x gives them to x - 1, it is
 * log x = log(1 + max(x - 1, -1/2)) + log min(2 x, 1), of which one summand has no part in it on either side of 1/2.
 */
function logOfDigits(b: ScanBuilder, x: NodeId, lo: number): NodeId {
  const positive = (id: NodeId) => (lo > 0 ? id : b.map('max', id, b.literal(SMALLEST_DECAY)));
  const less = lessOne(b, x);
  if (less === undefined) return b.map('log', positive(x));
  if (lo >= 0.5) return b.map('log1p', less);
  const far = b.map('log', positive(b.map('min', b.map('mul', b.literal(2), x), b.literal(1))));
  return b.map('add', b.map('log1p', b.map('max', less, b.literal(-0.5))), far);
}

/** Does anything ask for its gradient? */
function isTrained(b: ScanBuilder, id: NodeId): boolean {
  return reaches(b, id, (node) => ['input', 'param', 'result'].includes(node.kind), new Set());
}

function reaches(b: ScanBuilder, id: NodeId, wanted: (node: ScanNode) => boolean, seen: Set<NodeId>): boolean {
  if (seen.has(id)) return false;
  seen.add(id);
  return wanted(b.nodes[id]) || nodeArguments(b.nodes[id]).some((arg) => reaches(b, arg, wanted, seen));
}

/** Depends on nothing that changes from token to token. */
export function isStatic(b: ScanBuilder, id: NodeId): boolean {
  return !reaches(b, id, (node) => ['input', 'past', 'cotangent', 'result'].includes(node.kind), new Set());
}
