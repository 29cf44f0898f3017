import { includesAll, ROW, type Axis } from '../../ir/common/axes.js';
import { scanBuilder } from '../../ir/scan/build.js';
import type { NodeId, Root, ScanNode, ScanProgram } from '../../ir/scan/scan.js';
import type { Spec, SpecNode } from '../../ir/spec/spec.js';
import type { KernelBuilder } from '../../ir/tile/build.js';
import type { TileId } from '../../ir/tile/tile.js';
import { accumulate, pullBack, type Cotangents } from '../adjoint/differentiate.js';
import { contextOf, largestAxis, TOKEN_SITE, type Context } from './context.js';
import type { Draft } from './draft.js';
import { paramPartial, storeRoot, sumKernels } from './roots.js';
import { widened } from './tiles.js';
import { hoist, valuesIn } from './values.js';

/** One token of a scan, and its reverse. `result` nodes stand for states: (s, 1) before the token, (states + s, 0) the cotangent after it. */
interface Token {
  readonly nodes: readonly ScanNode[];
  readonly roots: readonly Root[];
  /** By state: the value after the token, and the cotangent of the one before it (undefined: zero). */
  readonly next: readonly NodeId[];
  readonly pulled: readonly (NodeId | undefined)[];
}

/** All programs of a scan that runs step by step: loops over tokens; backward keeps the state before every token. */
export function lowerSequential(draft: Draft): void {
  const { spec } = draft;
  const forward = forwardToken(spec);
  for (const name of ['forward', 'step'] as const) tokenKernel(contextOf(draft, name, programOf(forward)), forward, false);
  const backward = backwardToken(spec, forward);
  const cx = contextOf(draft, 'backward', programOf(backward));
  tokenKernel({ ...cx, program: { ...cx.program, roots: [] } }, forward, true);
  reverseKernel(cx, backward);
  paramKernel(cx);
  sumKernels(cx);
}

const programOf = (token: Token): ScanProgram => ({ nodes: token.nodes, stages: [], roots: token.roots });

function forwardToken(spec: Spec): Token {
  const node = (n: SpecNode): ScanNode => (n.kind === 'prev' ? { kind: 'result', stage: n.state, slot: 1, axes: n.axes, origin: n.origin } : n);
  return {
    nodes: spec.nodes.map(node),
    roots: spec.outputs.map((output, index) => ({ kind: 'output', output: index, value: output.value })),
    next: spec.states.map((state) => state.next),
    pulled: [],
  };
}

function backwardToken(spec: Spec, forward: Token): Token {
  const b = scanBuilder(forward.nodes);
  const cotangents: Cotangents = new Map();
  spec.outputs.forEach(({ value, axes, origin }, output) => accumulate(b, cotangents, value, b.node({ kind: 'cotangent', output, axes, origin })));
  spec.states.forEach(({ next, axes, origin }, s) => accumulate(b, cotangents, next, b.node({ kind: 'result', stage: spec.states.length + s, slot: 0, axes, origin })));
  for (let id = forward.nodes.length - 1; id >= 0; id--) pullBack(b, cotangents, id);
  const gradientOf = (wanted: (n: ScanNode) => boolean): NodeId | undefined => {
    const id = forward.nodes.findIndex(wanted);
    return id < 0 ? undefined : cotangents.get(id);
  };
  const roots: Root[] = [
    ...spec.inputs.map((_, input): Root => ({ kind: 'input-gradient', input, value: gradientOf((n) => n.kind === 'input' && n.input === input) })),
    ...spec.params.map((_, param): Root => ({ kind: 'param-gradient', param, value: gradientOf((n) => n.kind === 'param' && n.param === param) })),
  ];
  const pulled = spec.states.map((_, s) => gradientOf((n) => n.kind === 'result' && n.stage === s && n.slot === 1));
  return { nodes: b.nodes, roots, next: forward.next, pulled };
}

const keptState = (draft: Draft, s: number) => draft.workspace(`${draft.spec.states[s].name}.before`, 'token', draft.spec.states[s].axes, 'f32');
const paramToken = (draft: Draft, param: number) => draft.workspace(`d_${draft.spec.params[param].name}.tokens`, 'token', draft.spec.params[param].axes, 'f32');

/** Runs the scan; `keep`: stores the state before every token, and nothing for the user. */
function tokenKernel(cx: Context, token: Token, keep: boolean): void {
  const { draft } = cx;
  const { spec, user } = draft;
  const head = { name: keep ? 'states' : 'tokens', doc: keep ? 'Keeps the states of every token for the gradients.' : 'Reads the tokens one at a time.', outer: 'sequence', inner: 'head' } as const;
  draft.kernel(cx.name, { ...head, split: splitAxis(cx, spec) }, (k) => {
    const outside = valuesIn(cx, k, TOKEN_SITE);
    hoist(cx, outside, TOKEN_SITE, [...token.next, ...cx.program.roots.flatMap((root) => root.value ?? [])]);
    const lasts = k.loop('tokens', false, initialStates(k, draft), (olds) => {
      const values = valuesIn(cx, k, TOKEN_SITE, outside);
      spec.states.forEach((_, s) => values.bind(s, 1, () => olds[s]));
      if (keep) spec.states.forEach((_, s) => k.store(keptState(draft, s), olds[s]));
      for (const root of cx.program.roots) storeRoot(cx, k, values, root, false);
      return spec.states.map((state, s) => widened(k, values.tile(token.next[s]), state.axes));
    });
    if (!keep) user.finals.forEach((buffer, s) => k.store(buffer, lasts[s]));
  });
}

function initialStates(k: KernelBuilder, draft: Draft): readonly TileId[] {
  return draft.user.initials.map((buffer) => k.load(buffer));
}

function reverseKernel(cx: Context, token: Token): void {
  const { draft } = cx;
  const { spec, user } = draft;
  draft.kernel(cx.name, { name: 'reverse', doc: 'Carries the cotangents of the states against time.', outer: 'sequence', inner: 'head', split: splitAxis(cx, spec) }, (k) => {
    const outside = valuesIn(cx, k, TOKEN_SITE);
    hoist(cx, outside, TOKEN_SITE, [...token.roots.flatMap((root) => root.value ?? []), ...token.pulled.filter((id) => id !== undefined)]);
    const inits = user.finalCotangents.map((buffer) => k.load(buffer));
    const firsts = k.loop('tokens', true, inits, (laters) => {
      const values = valuesIn(cx, k, TOKEN_SITE, outside);
      spec.states.forEach((_, s) => {
        values.bind(s, 1, () => k.load(keptState(draft, s)));
        values.bind(spec.states.length + s, 0, () => laters[s]);
      });
      for (const root of token.roots) {
        if (root.kind !== 'param-gradient') storeRoot(cx, k, values, root, false);
        else if (root.value !== undefined) k.store(paramToken(draft, root.param), values.tile(root.value));
      }
      return spec.states.map((state, s) => {
        const id = token.pulled[s];
        return widened(k, id === undefined ? undefined : values.tile(id), state.axes);
      });
    });
    user.initialGradients.forEach((buffer, s) => k.store(buffer, firsts[s]));
  });
}

/** Sums the gradients of params over the tokens of each chunk. */
function paramKernel(cx: Context): void {
  const { draft } = cx;
  draft.kernel(cx.name, { name: 'sum_tokens', doc: 'Gradients of parameters, summed over the tokens of a chunk.', outer: 'chunk', inner: 'head' }, (k) => {
    for (const root of cx.program.roots) {
      if (root.kind === 'param-gradient' && root.value !== undefined) k.store(paramPartial(cx, root.param), k.reduce('sum', ROW, k.load(paramToken(draft, root.param))));
    }
  });
}

/** An axis along which the tokens' work is independent: in all that is stored, and folded nowhere. */
function splitAxis(cx: Context, spec: Spec): Axis | undefined {
  const folded = cx.graph.builder.nodes.flatMap((node) => (node.kind === 'reduce' ? [node.axis] : []));
  const stored = cx.name === 'backward' ? [...spec.states, ...spec.inputs, ...spec.params] : [...spec.states, ...spec.outputs];
  const free = (axis: Axis) => stored.every((x) => includesAll(x.axes, [axis])) && !folded.includes(axis);
  return largestAxis(cx.draft, spec.axes.map((axis) => axis.name).filter(free));
}
