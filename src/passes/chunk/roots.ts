import { ROW, includesAll } from '../../ir/common/axes.js';
import type { Root } from '../../ir/scan/scan.js';
import type { KernelBuilder } from '../../ir/tile/build.js';
import type { TileId } from '../../ir/tile/tile.js';
import { frontier, keptBuffer, type Context, type Site } from './context.js';
import { widened } from './tiles.js';
import type { Values } from './values.js';

/** Where the per-head gradient of an input that a group shares waits for its sum. */
export function sharedGradient(cx: Context, input: number) {
  const { name, axes, dtype } = cx.draft.user.inputGradients[input];
  return cx.draft.workspace(`${name}.heads`, 'row', axes, dtype, name);
}

/** Where the gradient of a param, summed over each chunk, waits for the sum over all. */
export function paramPartial(cx: Context, param: number) {
  const { name, axes } = cx.draft.spec.params[param];
  return cx.draft.workspace(`d_${name}.chunks`, 'chunk', axes, 'f32');
}

/** Stores what a root says, in a kernel with a chunk at hand. `byScan`: sums rows as a recurrence, in kernels that are scans anyway. */
export function storeRoot(cx: Context, k: KernelBuilder, values: Values, root: Root, byScan: boolean): void {
  const { user } = cx.draft;
  switch (root.kind) {
    case 'output':
      k.store(user.outputs[root.output], values.tile(root.value));
      return;
    case 'input-gradient': {
      const tile = root.value === undefined ? k.literal(0) : values.tile(root.value);
      k.store(cx.draft.spec.inputs[root.input].scope === 'group' ? sharedGradient(cx, root.input) : user.inputGradients[root.input], tile);
      return;
    }
    case 'param-gradient':
      if (root.value !== undefined) k.store(
        paramPartial(cx, root.param), sumRows(k, values.padded(root.value), cx.draft.spec.params[root.param].axes, byScan),
      );
      return;
    case 'kept':
      k.store(keptBuffer(cx, root.value), values.tile(root.value));
      return;
    // Kernels of their own do.
    case 'final': case 'initial-gradient':
      return;
  }
}

/** Sum over the tokens of the chunk, with 0 beyond them; what is the same at every token counts as often as there are tokens. */
function sumRows(k: KernelBuilder, rows: TileId, axes: readonly string[], byScan: boolean): TileId {
  if (!byScan) return k.reduce('sum', ROW, rows);
  return k.pick(k.recur(k.literal(1), widened(k, rows, axes), k.zeros(axes), false), 'last');
}

/** Can the last kernel of a stage store the root itself? `own`: the stages whose results it makes. */
export function isFused(cx: Context, site: Site, root: Root, own: readonly number[]): boolean {
  if (root.value === undefined) return false;
  const axes = rootAxes(cx, root);
  if (site.kind === 'walk' && (!includesAll(site.allowed, axes) || (site.split !== undefined && !axes.includes(site.split)))) return false;
  return frontier(cx, site, root.value, own) !== undefined;
}

function rootAxes(cx: Context, root: Root): readonly string[] {
  const { spec } = cx.draft;
  switch (root.kind) {
    case 'output': return spec.outputs[root.output].axes;
    case 'input-gradient': return spec.inputs[root.input].axes;
    case 'param-gradient': return spec.params[root.param].axes;
    case 'kept': return cx.graph.axesOf(root.value);
    case 'final': case 'initial-gradient': return spec.states[root.state].axes;
  }
}

/** Sums that no kernel with one chunk and one head can do: over the heads of a group, and over all chunks. */
export function sumKernels(cx: Context): void {
  const { draft, program } = cx;
  const { user, spec } = draft;
  const shared = program.roots.flatMap((root) => (
    root.kind === 'input-gradient' && spec.inputs[root.input].scope === 'group' ? [root] : []
  ));
  draft.kernel(cx.name, {
    name: 'sum_groups', doc: 'Gradients of shared inputs, summed over the heads of a group.', outer: 'chunk', inner: 'group',
  }, (k) => {
    for (const { input } of shared) {
      const [sum] = k.loop(
        'members', false, [k.zeros([ROW, ...spec.inputs[input].axes])], ([total]) => [k.add(total, k.load(sharedGradient(cx, input)))],
      );
      k.store(user.inputGradients[input], sum);
    }
  });
  const params = program.roots.flatMap((root) => (root.kind === 'param-gradient' ? [root] : []));
  draft.kernel(cx.name, {
    name: 'sum_params', doc: 'Gradients of parameters, summed over all chunks.', outer: 'once', inner: 'head',
  }, (k) => {
    const inits = params.map(({ param }) => k.zeros(spec.params[param].axes));
    const totals = k.loop(
      'chunks', false, inits,
      (sums) => params.map(({ param, value }, i) => (value === undefined ? sums[i] : k.add(sums[i], k.load(paramPartial(cx, param))))),
    );
    params.forEach(({ param }, i) => k.store(user.paramGradients[param], totals[i]));
  });
}

