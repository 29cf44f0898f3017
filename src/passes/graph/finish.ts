import { diagnostic, hasErrors } from '../../diagnostics/diagnostic.js';
import { factsOf, reachable } from '../../ir/graph/facts.js';
import type { Graph, GraphOutput } from '../../ir/graph/graph.js';
import { movedNode, operandsOf } from '../../ir/graph/operands.js';
import { verifyGraph } from '../../ir/graph/verify.js';
import { verified } from '../../support/verified.js';
import { gradientProblems } from './declare.js';
import { freeFamilies } from './families.js';
import { reach } from './gradients.js';
import { docOf, nameOf } from './part.js';
import { report, type Given, type Scope, type Setting } from './scope.js';
import { typeOf } from './values.js';

/** The graph of a part whose statements were read; undefined after an error. */
export function finish(scope: Scope, given: Given): Graph | undefined {
  const outputs = outputsOf(scope);
  gradientProblems(scope);
  const roots = [...outputs.map((output) => output.value), ...scope.losses.map((loss) => loss.value)];
  stepOnly(scope, roots);
  freeFamilies(scope);
  tooManyParts(scope);
  if (hasErrors(scope.diagnostics)) return undefined;
  if (scope.training) idleParams(scope, roots);
  if (hasErrors(scope.diagnostics)) return undefined;
  return makeGraph(scope, outputs, given);
}

/** Instances of a part and below it: each has a path, which whoever reads checkpoints writes down. */
const MOST_PARTS = 100_000;

function tooManyParts(scope: Scope): void {
  const total = scope.instances.reduce((sum, { part }) => sum + factsOf(part).instances, 0);
  if (total <= MOST_PARTS) return;
  report(scope, diagnostic('E106', `\`${nameOf(scope.part)}\` is made of more than ${MOST_PARTS} parts`, scope.part.item.name.origin,
    `${total} instances`, {
    help: ['an instance that is shared is made once and called several times; a family, `use expert[E] = part`, counts as one'],
  }));
}

function outputsOf(scope: Scope): readonly GraphOutput[] {
  const outputs: GraphOutput[] = [];
  for (const group of scope.part.item.outputs) {
    for (const { text: name, origin } of group.names) {
      const binding = scope.frame.names.get(name);
      if (binding?.kind !== 'output') continue;
      if (!binding.assigned) {
        report(scope, diagnostic('E215', `output \`${name}\` is never assigned`, origin, 'declared here',
          { help: [`say what it is: \`${name} = ...\``] }));
        continue;
      }
      if (binding.value?.kind !== 'node') continue;
      const type = typeOf(scope, binding.value.id);
      const at = scope.builder.nodes[binding.value.id].origin;
      if (type.kind !== 'number') {
        report(scope, diagnostic('E816', `output \`${name}\` is ${type.kind === 'choice' ? 'a choice' : 'an index'}`, at,
          'outputs are numbers', {
          secondary: [{ span: origin, text: 'declared here' }],
          help: [type.kind === 'choice' ? `write \`${name} = mask(...)\`` : 'hand the index on as an input'],
        }));
      } else if (type.restricted.length > 0) {
        const [choice] = type.restricted;
        const { type: { axes }, origin: made } = scope.builder.nodes[choice];
        const gone = axes.filter((axis) => !axis.past).map((axis) => axis.name);
        const fold = gone.length > 0 && !gone.every((axis) => group.axes.names.some((own) => own.text === axis))
          ? `fold the axis that was chosen along, \`sum[${gone.join(', ')}](...)\`, or ` : '';
        report(scope, diagnostic('E802', `output \`${name}\` is absent at some tokens`, at, 'restricted', {
          secondary: [{ span: made, text: 'by the choice that is made here' }, { span: origin, text: 'declared here' }],
          help: [`${fold}write \`sum[](...)\` for 0 where it is absent`],
        }));
      } else outputs.push({ name, axes: binding.axes, value: binding.value.id, origin });
    }
  }
  return outputs;
}

/** E805 where what is folded over the calls of a step reaches an output, a loss or a part. */
function stepOnly(scope: Scope, roots: readonly number[]): void {
  const { nodes } = scope.builder;
  const calls = nodes.flatMap((node, id) => (node.kind === 'call' ? [id] : []));
  for (const id of reachable(nodes, [...roots, ...calls])) {
    const node = nodes[id];
    const made = node.kind === 'count' ? node.of === 'calls' : node.kind === 'fold' && node.silent.includes('calls');
    if (!made) continue;
    report(scope, diagnostic('E805', '`calls` are known after the step only', node.origin, 'an output or a loss depends on this', {
      help: ['only an `update` can depend on all calls of a step: fold over `tokens`, or over `tokens, ranks`'],
    }));
  }
}

/** E804 for params that nothing would train. */
function idleParams(scope: Scope, roots: readonly number[]): void {
  const { nodes } = scope.builder;
  const reached = reach({ nodes, instances: scope.instances }, roots, true);
  const read = new Set([...roots, ...nodes.flatMap(operandsOf)].flatMap((id) => {
    const node = nodes[id];
    return node.kind === 'param' ? [node.param] : [];
  }));
  for (const [i, param] of scope.params.entries()) {
    if (param.buffer || reached.params.has(i)) continue;
    const why = read.has(i) ? 'neither an output nor a loss depends on it with a gradient' : 'nothing reads it';
    report(scope, diagnostic('E804', `\`${param.name}\` would never be trained`, param.origin, why, {
      help: [`does it only choose? then it is a \`buffer ${param.name}\`, with an \`update\` of its own; `
        + 'else let a value that is read depend on it'],
    }));
  }
}

function makeGraph(scope: Scope, outputs: readonly GraphOutput[], given: Given): Graph {
  const { nodes } = scope.builder;
  const kept = nodes.flatMap((node, id) => (node.kind === 'call' && factsOf(scope.instances[node.instance].part).effects ? [id] : []));
  const roots = [...outputs, ...scope.losses, ...scope.updates].map((end) => end.value);
  const live = [...reachable(nodes, [...roots, ...kept])].sort((a, b) => a - b);
  const places = new Map(live.map((id, place) => [id, place]));
  const to = (id: number): number => places.get(id) ?? -1;
  const { item } = scope.part;
  const graph: Graph = {
    kind: scope.kind, name: nameOf(scope.part), doc: docOf(item), training: scope.training, settings: settingsOf(scope, given),
    inputs: scope.inputs, params: scope.params, instances: scope.instances,
    nodes: live.map((id) => movedNode(nodes[id], to)),
    outputs: outputs.map((output) => ({ ...output, value: to(output.value) })),
    losses: scope.losses.map((loss) => ({ ...loss, value: to(loss.value) })),
    choices: [...scope.choices.values()].filter(({ value }) => places.has(value)).map((choice) => ({ ...choice, value: to(choice.value) })),
    updates: scope.updates.map((update) => ({ ...update, value: to(update.value) })),
    init: scope.init,
    names: [...scope.names].map(([family, entries]) => ({ family, entries })),
    origin: item.origin,
  };
  return verified(`the graph of ${graph.name}`, graph, verifyGraph(graph));
}

function settingsOf(scope: Scope, given: Given): ReadonlyMap<string, number | string> {
  const text = (setting: Setting): number | string => (setting.kind === 'number' ? setting.value : setting.kind === 'text'
    ? setting.text : nameOf(setting.part));
  const found = new Map<string, number | string>();
  for (const [name, setting] of given) if (!scope.frame.names.has(name)) found.set(name, text(setting));
  for (const [name, binding] of scope.frame.names) if (binding.kind === 'setting' && binding.value !== undefined) found.set(name,
    text(binding.value));
  return found;
}
