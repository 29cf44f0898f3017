import { isAny, type Range } from '../common/range.js';
import type { Graph, GraphNode, Law, LawNode, ScanPart } from './graph.js';
import { instancePath, lossPath } from './paths.js';
import type { Axis, ValueType } from './types.js';

/** One line per declaration and node, for `--emit graph` and for tests: `%7 = mul %5 %6 : [K, V] token`. Parts below follow, each once. */
export function printGraph(graph: Graph): string {
  const texts: string[] = [];
  const names = new Map<Graph, string>();
  const open = [graph];
  const nameOf = (part: Graph): string => {
    const known = names.get(part);
    if (known !== undefined) return known;
    const same = [...names.keys()].filter((other) => other.name === part.name).length;
    const name = same === 0 ? part.name : `${part.name}#${same + 1}`;
    names.set(part, name);
    if (part !== graph) open.push(part);
    return name;
  };
  for (let part = open.shift(); part !== undefined; part = open.shift()) texts.push(printOne(part, nameOf));
  return texts.join('\n');
}

function printOne(graph: Graph, nameOf: (part: Graph) => string): string {
  const lines = [`${graph.kind} ${nameOf(graph)}${graph.training ? ' training' : ''}`];
  const put = (text: string): number => lines.push(`  ${text}`.trimEnd());
  if (graph.settings.size > 0) {
    const settings = [...graph.settings].map(([name, value]) => `${name} = ${typeof value === 'number' ? value : JSON.stringify(value)}`);
    put(`with ${settings.join(', ')}`);
  }
  for (const { name, type, range } of graph.inputs) {
    put(`input ${name}: ${type.of === undefined ? `${shape(type.axes)}${rangeText(range)}` : `one of ${type.of.name}`}`);
  }
  for (const { name, axes, buffer, law, range, f32, decay } of graph.params) {
    const declared = `${buffer ? 'buffer' : 'param'} ${name}: ${shape(axes)}${rangeText(range)}`;
    put(`${declared}${law === undefined ? '' : ` = ${lawText(law)}`}${f32 ? ' f32' : ''}${decay ? ' decay' : ''}`);
  }
  for (const instance of graph.instances) {
    const { part, family } = instance;
    const what = part.kind === 'scan' ? scanText(part) : nameOf(part);
    put(`use ${instancePath(instance)}${family.length === 0 ? '' : shape(family)} = ${what}`);
  }
  if (graph.init !== undefined) put(`init ${lawText(graph.init)}`);
  graph.nodes.forEach((node, id) => put(`%${id} = ${nodeText(graph, node)} : ${typeText(node.type)}`));
  for (const { name, axes, value } of graph.outputs) put(`output ${name}: ${shape(axes)} = %${value}`);
  for (const loss of graph.losses) put(`loss ${lossPath(loss)} = %${loss.value}`);
  for (const update of graph.updates) put(`update ${graph.params[update.param].name} = %${update.value}`);
  return `${lines.join('\n')}\n`;
}

function scanText({ name, heads, sizes }: ScanPart): string {
  const own = [...sizes].map(([axis, size]) => `${axis} = ${size}`).join(', ');
  return `scan ${name}${own === '' ? '' : ` with ${own}`}${heads.length === 0 ? '' : ` heads ${heads.map(sized).join(' ')}`}`;
}

function nodeText(graph: Graph, node: GraphNode): string {
  const ref = (id: number): string => `%${id}`;
  const refs = (ids: readonly number[]): string => ids.map(ref).join(' ');
  const names = (axes: readonly Axis[],
    silent: readonly string[] = []): string => `[${[...axes.map((axis) => axis.name), ...silent].join(', ')}]`;
  switch (node.kind) {
    case 'literal': return String(node.value);
    case 'input': return `input ${graph.inputs[node.input].name}`;
    case 'param': return `param ${graph.params[node.param].name}`;
    case 'count': return `count ${node.of}`;
    case 'index': return `index[${node.over ?? node.axes.map((axis) => axis.name).join(', ')}]`;
    case 'map': return `${node.fn} ${refs(node.args)}`;
    case 'contract': return `contract${names(node.axes)} ${ref(node.left)} ${ref(node.right)}`;
    case 'fold': return `${node.op}${names(node.axes, node.silent)} ${ref(node.arg)}`;
    case 'softmax': return `softmax${names(node.axes)} ${ref(node.arg)}${node.sink === undefined ? '' : ` sink ${ref(node.sink)}`}`;
    case 'top': return `top${names(node.axes, node.silent)} ${ref(node.count)} of ${ref(node.arg)}`;
    case 'compare': return `${ref(node.left)} ${node.op} ${ref(node.right)}`;
    case 'logic': return `${node.op} ${refs(node.args)}`;
    case 'mask': return `mask ${ref(node.choice)}`;
    case 'restrict': return `${ref(node.arg)}[${ref(node.choice)}]`;
    case 'lift': return `lift ${ref(node.arg)}`;
    case 'pick': return `${ref(node.arg)}[${node.axis.name} = ${ref(node.index)}]`;
    case 'number': return `number ${ref(node.arg)}`;
    case 'before': return `${ref(node.arg)}[t-1]`;
    case 'conv': return `conv[${node.taps.name}] ${ref(node.arg)} ${ref(node.weight)}`;
    case 'past': return `${ref(node.arg)}[${node.axis.name}]`;
    case 'rope': return `rope[${node.axis.name}] ${ref(node.arg)} by ${ref(node.frequency)} ${node.pairs}`;
    case 'sinkhorn': return `sinkhorn[tokens, ${node.axis.name}] ${ref(node.arg)} tol ${node.tolerance}`;
    case 'normal': return `normal #${node.draw}`;
    case 'uniform': return `uniform ${node.lo}..${node.hi} #${node.draw}`;
    case 'dropout': return `dropout ${node.rate} ${ref(node.arg)} #${node.draw}`;
    case 'stop': case 'f32': return `${node.kind} ${ref(node.arg)}`;
    case 'call': {
      const renamed = [...node.renamed].map(([own, outer]) => `${own} = ${outer}`).join(', ');
      const mapped = node.mapped.length === 0 ? '' : ` mapped ${names(node.mapped)}`;
      return `call ${instancePath(graph.instances[node.instance])} ${refs(node.args)}${mapped}${renamed === '' ? '' : ` with ${renamed}`}`;
    }
    case 'result': return `${ref(node.call)}.${node.output}`;
  }
}

function lawText({ nodes, value }: Law): string {
  const text = (node: LawNode): string => {
    switch (node.kind) {
      case 'literal': return String(node.value);
      case 'index': return `index${shape(node.axes)}`;
      case 'map': return `${node.fn}(${node.args.map((arg) => text(nodes[arg])).join(', ')})`;
      case 'normal': return `normal(${node.std})`;
      case 'uniform': return `uniform(${node.lo}, ${node.hi})`;
      case 'orthogonal': return `orthogonal(${node.gain})`;
    }
  };
  return text(nodes[value]);
}

function typeText({ kind, axes, level, restricted, of }: ValueType): string {
  const what = kind === 'number' ? '' : kind === 'choice' ? 'choice ' : `one of ${of?.name} `;
  const where = restricted.length === 0 ? '' : ` where ${restricted.map((choice) => `%${choice}`).join(' ')}`;
  return `${what}[${axes.map(sized).join(', ')}] ${level}${where}`;
}

function sized({ name, size, past }: Axis): string {
  return past ? name : `${name} = ${size}`;
}

function shape(axes: readonly Axis[]): string {
  return `[${axes.map((axis) => axis.name).join(', ')}]`;
}

function rangeText({ lo, hi }: Range): string {
  return isAny({ lo, hi }) ? '' : ` in ${lo}..${hi}`.replaceAll('Infinity', 'inf');
}
