import { includesAll, sameAxes, unionAxes, withoutAxes, type Axis } from '../common/axes.js';
import { math } from '../../math/index.js';
import type { Spec, SpecNode } from './spec.js';

/** What is wrong with a Spec, one sentence each; [] if nothing. Every complaint is a mistake of ours, not of a user. */
export function verifySpec(spec: Spec): readonly string[] {
  const problems: string[] = [];
  const check = (ok: boolean, text: string): void => {
    if (!ok) problems.push(`${spec.name}: ${text}`);
  };
  const axes = spec.axes.map((a) => a.name);
  check(new Set(axes).size === axes.length, 'an axis is listed twice');
  const names = [...spec.inputs, ...spec.params, ...spec.states].map((x) => x.name);
  check(new Set(names).size === names.length, 'two tensors have the same name');
  for (const x of [...spec.inputs, ...spec.params, ...spec.states, ...spec.outputs]) check(
    distinct(x.axes) && includesAll(axes, x.axes), `\`${x.name}\` has axes that the spec does not list`,
  );
  spec.nodes.forEach((node, id) => verifyNode(spec, axes, node, id).forEach((text) => check(false, `node ${id}: ${text}`)));
  for (const state of spec.states) check(fits(spec, state.next, state.axes), `the new value of \`${state.name}\` does not have its axes`);
  for (const output of spec.outputs) check(fits(spec, output.value, output.axes), `the value of \`${output.name}\` does not have its axes`);
  return problems;
}

function fits(spec: Spec, id: number, axes: readonly Axis[]): boolean {
  const node = spec.nodes[id];
  return node !== undefined && sameAxes(node.axes, axes);
}

function distinct(axes: readonly Axis[]): boolean {
  return new Set(axes).size === axes.length;
}

function verifyNode(spec: Spec, axes: readonly Axis[], node: SpecNode, id: number): string[] {
  const later = (args: readonly number[]): string[] => (args.every((a) => a >= 0 && a < id) ? [] : ['reads a node that is not before it']);
  const declared = (of: { readonly axes: readonly Axis[] } | undefined): string[] => (
    of !== undefined && sameAxes(of.axes, node.axes) ? [] : ['does not have the axes of what it names']
  );
  switch (node.kind) {
    case 'literal': return Number.isNaN(node.value) ? ['is NaN'] : [];
    case 'size': return axes.includes(node.axis) ? [] : [`sizes an unknown axis ${node.axis}`];
    case 'head': case 'heads': return [];
    case 'input': return declared(spec.inputs[node.input]);
    case 'param': return declared(spec.params[node.param]);
    case 'prev': return declared(spec.states[node.state]);
    case 'map': {
      const problems = later(node.args);
      if (problems.length > 0) return problems;
      if (node.args.length !== math[node.fn].arity) problems.push(`${node.fn} of ${node.args.length} arguments`);
      if (!sameAxes(
        node.axes, unionAxes(...node.args.map((a) => spec.nodes[a].axes)),
      )) problems.push('does not have the axes of its arguments');
      return problems;
    }
    case 'reduce': {
      const problems = later([node.arg]);
      if (problems.length > 0) return problems;
      const of: readonly Axis[] = spec.nodes[node.arg].axes;
      if (!of.includes(node.axis)) problems.push(`folds ${node.axis}, which its argument does not have`);
      if (!sameAxes(node.axes, withoutAxes(of, [node.axis]))) problems.push('does not have the axes that are left');
      return problems;
    }
  }
}
