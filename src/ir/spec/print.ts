import { isAny, type Range } from '../common/range.js';
import type { Spec, SpecNode } from './spec.js';

/** One line per declaration and node, for `--emit spec` and for tests: `%7 = mul %5 %6 : [K, V]`. */
export function printSpec(spec: Spec): string {
  const lines = [`spec ${spec.name} ${spec.mode}`];
  lines.push(`  axes ${spec.axes.map((a) => (a.defaultSize === undefined ? a.name : `${a.name}=${a.defaultSize}`)).join(' ')}`.trimEnd());
  for (const x of spec.inputs) {
    const scope = x.scope === 'group' ? ' per group' : '';
    lines.push(`  input ${x.name}: ${shape(x.axes)}${range(x.range)}${scope}${x.rounded ? ' rounded' : ''}`);
  }
  for (const x of spec.params) lines.push(`  param ${x.name}: ${shape(x.axes)}${range(x.range)}`);
  for (const x of spec.states) lines.push(`  state ${x.name}: ${shape(x.axes)}${range(x.range)}${x.hidden ? ' hidden' : ''} = %${x.next}`);
  for (const x of spec.outputs) lines.push(`  output ${x.name}: ${shape(x.axes)} = %${x.value}`);
  spec.nodes.forEach((node, id) => lines.push(`  %${id} = ${printNode(spec, node)} : ${shape(node.axes)}`));
  return `${lines.join('\n')}\n`;
}

function printNode(spec: Spec, node: SpecNode): string {
  switch (node.kind) {
    case 'literal': return String(node.value);
    case 'size': return `size ${node.axis}`;
    case 'head': return 'head';
    case 'heads': return 'heads';
    case 'input': return `input ${spec.inputs[node.input].name}`;
    case 'param': return `param ${spec.params[node.param].name}`;
    case 'prev': return `prev ${spec.states[node.state].name}`;
    case 'map': return `${node.fn} ${node.args.map((a) => `%${a}`).join(' ')}`;
    case 'reduce': return `${node.op}[${node.axis}] %${node.arg}`;
  }
}

function shape(axes: readonly string[]): string {
  return `[${axes.join(', ')}]`;
}

function range({ lo, hi }: Range): string {
  return isAny({ lo, hi }) ? '' : ` in ${lo}..${hi}`.replaceAll('Infinity', 'inf');
}
