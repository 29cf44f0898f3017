import { includesAll, ROW, type Axis } from '../../ir/common/axes.js';
import type { ScanProgram, TokenProgram } from '../../ir/scan/scan.js';
import type { Spec } from '../../ir/spec/spec.js';
import type { KernelBuilder } from '../../ir/tile/build.js';
import type { TileId } from '../../ir/tile/tile.js';
import { backwardToken, forwardToken } from '../adjoint/token.js';
import { contextOf, largestAxis, TOKEN_SITE, type Context } from './context.js';
import type { Draft } from './draft.js';
import { paramPartial, storeRoot, sumKernels } from './roots.js';
import { steadyToken } from './steady.js';
import { widened } from './tiles.js';
import { hoist, valuesIn } from './values.js';

/** The programs of a scan that runs step by step: loops over tokens; backward keeps the state before every token. */
export function lowerSequential(draft: Draft, gradients: boolean): void {
  const { spec } = draft;
  const plain = forwardToken(spec);
  const forward = steadyToken(plain);
  for (const name of ['forward', 'step'] as const) tokenKernel(contextOf(draft, name, programOf(forward)), forward, false);
  if (!gradients) return;
  const backward = steadyToken(backwardToken(spec, plain));
  const cx = contextOf(draft, 'backward', programOf(backward));
  tokenKernel({ ...cx, program: { ...cx.program, roots: [] } }, backward, true);
  reverseKernel(cx, backward);
  paramKernel(cx);
  sumKernels(cx);
}

const programOf = (token: TokenProgram): ScanProgram => ({ nodes: token.nodes, stages: [], roots: token.roots });

const keptState = (draft: Draft, s: number) => draft.workspace(
  `${draft.spec.states[s].name}.before`, 'row', draft.spec.states[s].axes, 'f32',
);
const paramToken = (draft: Draft, param: number) => draft.workspace(
  `d_${draft.spec.params[param].name}.tokens`, 'row', draft.spec.params[param].axes, 'f32',
);

/** Runs the scan; `keep`: stores the state before every token, and nothing for the user. */
function tokenKernel(cx: Context, token: TokenProgram, keep: boolean): void {
  const { draft } = cx;
  const { spec, user } = draft;
  const head = {
    name: keep ? 'states' : 'tokens', doc: keep ? 'Keeps the states of every token for the gradients.' : 'Reads the tokens one at a time.',
    outer: 'run', inner: 'head',
  } as const;
  draft.kernel(cx.name, { ...head, split: splitAxis(cx, spec) }, (k) => {
    const outside = valuesIn(cx, k, TOKEN_SITE);
    hoist(cx, outside, TOKEN_SITE, [...token.next, ...cx.program.roots.flatMap((root) => root.value ?? [])]);
    const lasts = k.loop('rows', false, initialStates(k, draft), (olds) => {
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

function reverseKernel(cx: Context, token: TokenProgram): void {
  const { draft } = cx;
  const { spec, user } = draft;
  draft.kernel(cx.name, {
    name: 'reverse', doc: 'Carries the cotangents of the states against time.', outer: 'run', inner: 'head',
    split: splitAxis(cx, spec),
  }, (k) => {
    const outside = valuesIn(cx, k, TOKEN_SITE);
    hoist(cx, outside, TOKEN_SITE, [...token.roots.flatMap((root) => root.value ?? []), ...token.pulled.filter((id) => id !== undefined)]);
    const inits = user.finalCotangents.map((buffer) => k.load(buffer));
    const firsts = k.loop('rows', true, inits, (laters) => {
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
  draft.kernel(cx.name, {
    name: 'sum_tokens', doc: 'Gradients of parameters, summed over the tokens of a chunk.', outer: 'chunk', inner: 'head',
  }, (k) => {
    for (const root of cx.program.roots) {
      if (root.kind === 'param-gradient' && root.value !== undefined) k.store(
        paramPartial(cx, root.param), k.reduce('sum', ROW, k.load(paramToken(draft, root.param))),
      );
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
