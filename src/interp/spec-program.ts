import { elements, unionAxes, type Axis, type AxisSizes } from '../ir/common/axes.js';
import type { Spec, SpecNode } from '../ir/spec/spec.js';
import { math } from '../math/index.js';
import type { MathBuilder } from '../math/math.js';
import { layRuns, offsets, strideAlong, type Operand, type Runs } from './spec-box.js';
import type { Instruction } from './spec-instruction.js';

/** A value's cells in the machine's memory. */
export interface Slot {
  readonly at: number;
  readonly axes: readonly Axis[];
}

/**
 * One step of a Spec for given sizes, as straight-line code over one flat memory. What depends on no token is computed once per head
 * (`perHead`), the rest once per token. The pull-backs run in the opposite order and add up cotangents in cells of their own.
 */
export interface SpecProgram {
  readonly cells: number;
  readonly constants: readonly { readonly at: number; readonly value: number }[];
  /** Cells that hold the index of the head. */
  readonly headCells: readonly number[];
  readonly perHead: readonly Instruction[];
  readonly perToken: readonly Instruction[];
  /** Those of `perToken` that the new states need. */
  readonly advance: readonly Instruction[];
  readonly pullToken: readonly Instruction[];
  readonly pullHead: readonly Instruction[];
  /** Cotangents of per-token values, and of those that a head has once: [first cell, end). */
  readonly tokenCotangents: readonly [number, number];
  readonly headCotangents: readonly [number, number];
  /** Where tensors enter and leave. `index` is in the order of the tensor's own axes. */
  readonly inputs: readonly Port[];
  readonly params: readonly Port[];
  readonly outputs: readonly Port[];
  readonly previous: readonly Port[];
  readonly next: readonly Port[];
  /** First element of each state in a vector of all states, and the vector's length. */
  readonly stateOffsets: readonly number[];
  readonly stateElements: number;
}

/** The cells of tensor number `of`: value at `value.at + index[i]`, cotangent at `cotangent + index[i]`. */
export interface Port {
  readonly of: number;
  readonly value: { readonly at: number; readonly index: Int32Array };
  readonly cotangent: number;
}

export function compileSpec(spec: Spec, sizes: AxisSizes, heads: number): SpecProgram {
  const { nodes } = spec;
  const constants: { at: number; value: number }[] = [];
  let cells = 0;
  const allocate = (axes: readonly Axis[]): Slot => {
    const slot = { at: cells, axes };
    cells += elements(axes, sizes);
    return slot;
  };

  // Boxes recur in nearly every instruction, so that shared maps stay in the cache.
  const laid = new Map<string, ReturnType<typeof layRuns>>();
  /** What visits a box, and the values in it as its runs find them. */
  const visit = (box: readonly Axis[], ...slots: Slot[]): { runs: Runs; operands: readonly Operand[] } => {
    const key = [box, ...slots.map(({ axes }) => axes)].join('|');
    const found = laid.get(key) ?? layRuns(box, slots.map(({ axes }) => axes), sizes);
    laid.set(key, found);
    return { runs: found.runs, operands: slots.map(({ at }, i) => ({ at, ...found.places[i] })) };
  };
  const folded = (axis: Axis, axes: readonly Axis[]) => ({ size: elements([axis], sizes), stride: strideAlong(axes, axis, sizes) });

  const values = nodes.map((node) => allocate(node.axes));
  const changes = dependsOn(nodes, (node) => node.kind === 'input' || node.kind === 'prev');
  const differentiable = dependsOn(nodes, (node) => node.kind === 'input' || node.kind === 'prev' || node.kind === 'param');
  const needed = neededBy(nodes, spec.states.map((state) => state.next));

  const forward = (node: SpecNode, id: number): Instruction[] => {
    const to = values[id].at;
    switch (node.kind) {
      case 'literal':
        constants.push({ at: to, value: node.value });
        return [];
      case 'size':
        constants.push({ at: to, value: elements([node.axis], sizes) });
        return [];
      case 'heads':
        constants.push({ at: to, value: heads });
        return [];
      case 'head': case 'input': case 'param': case 'prev':
        return [];
      case 'map': {
        const { runs, operands } = visit(node.axes, ...node.args.map((arg) => values[arg]));
        return [{ kind: 'map', fn: node.fn, to, runs, x: operands[0], y: operands[operands.length - 1] }];
      }
      case 'reduce': {
        const { runs, operands: [x] } = visit(node.axes, values[node.arg]);
        return [{ kind: 'reduce', op: node.op, to, runs, x, ...folded(node.axis, nodes[node.arg].axes) }];
      }
    }
  };
  const code = nodes.map(forward);
  const select = (wanted: (id: number) => boolean): Instruction[] => code.flatMap((instructions, id) => (wanted(id) ? instructions : []));

  const cotangents: Slot[] = [];
  const region = (wanted: (id: number) => boolean): readonly [number, number] => {
    const start = cells;
    nodes.forEach((node, id) => {
      if (wanted(id)) cotangents[id] = allocate(node.axes);
    });
    return [start, cells];
  };
  const tokenCotangents = region((id) => changes[id]);
  const headCotangents = region((id) => !changes[id]);

  const pullBack = (node: SpecNode, id: number): Instruction[] => {
    const cotangent = cotangents[id].at;
    switch (node.kind) {
      case 'literal': case 'size': case 'head': case 'heads': case 'input': case 'param': case 'prev':
        return [];
      case 'map': {
        const instructions: Instruction[] = [];
        const builder: MathBuilder<Slot> = {
          literal: (value) => {
            const slot = allocate([]);
            constants.push({ at: slot.at, value });
            return slot;
          },
          map: (fn, ...args) => {
            const slot = allocate(unionAxes(...args.map((arg) => arg.axes)));
            const { runs, operands } = visit(slot.axes, ...args);
            instructions.push({ kind: 'map', fn, to: slot.at, runs, x: operands[0], y: operands[operands.length - 1] });
            return slot;
          },
        };
        math[node.fn].derivative(builder, node.args.map((arg) => values[arg]), values[id]).forEach((partial, i) => {
          const arg = node.args[i];
          if (partial === null || !differentiable[arg]) return;
          const { runs, operands: [to, factor] } = visit(node.axes, cotangents[arg], partial);
          instructions.push({ kind: 'chain', to, runs, cotangent, factor });
        });
        return instructions;
      }
      case 'reduce': {
        const { runs, operands: [to, x] } = visit(node.axes, cotangents[node.arg], values[node.arg]);
        const along = folded(node.axis, nodes[node.arg].axes);
        if (node.op === 'sum') return [{ kind: 'spread', to, runs, cotangent, ...along }];
        return [{ kind: 'choose', to, runs, cotangent, ...along, x, out: values[id].at }];
      }
    }
  };
  const pull = (wanted: (id: number) => boolean): Instruction[] => {
    const instructions: Instruction[] = [];
    for (let id = nodes.length - 1; id >= 0; id--) if (differentiable[id] && wanted(id)) instructions.push(...pullBack(nodes[id], id));
    return instructions;
  };
  const pullToken = pull((id) => changes[id]);
  const pullHead = pull((id) => !changes[id]);

  const port = (
    id: number, of: number, axes: readonly Axis[],
  ): Port => ({ of, value: { at: values[id].at, index: offsets(axes, values[id].axes, sizes) }, cotangent: cotangents[id].at });
  const ports = (
    pick : (node: SpecNode, id: number) => Port | undefined
  ): readonly Port[] => nodes.map(pick).filter((found) => found !== undefined);

  let stateElements = 0;
  const stateOffsets = spec.states.map((state) => {
    const at = stateElements;
    stateElements += elements(state.axes, sizes);
    return at;
  });
  return {
    constants,
    headCells: nodes.flatMap((node, id) => (node.kind === 'head' ? [values[id].at] : [])),
    perHead: select((id) => !changes[id]),
    perToken: select((id) => changes[id]),
    advance: select((id) => changes[id] && needed[id]),
    pullToken,
    pullHead,
    tokenCotangents,
    headCotangents,
    inputs: ports((node, id) => (node.kind === 'input' ? port(id, node.input, spec.inputs[node.input].axes) : undefined)),
    params: ports((node, id) => (node.kind === 'param' ? port(id, node.param, spec.params[node.param].axes) : undefined)),
    previous: ports((node, id) => (node.kind === 'prev' ? port(id, node.state, spec.states[node.state].axes) : undefined)),
    outputs: spec.outputs.map((output, i) => port(output.value, i, output.axes)),
    next: spec.states.map((state, i) => port(state.next, i, state.axes)),
    stateOffsets,
    stateElements,
    cells,
  };
}

/** Which nodes are leaves of this kind or depend on one. */
function dependsOn(nodes: readonly SpecNode[], leaf: (node: SpecNode) => boolean): readonly boolean[] {
  const found: boolean[] = [];
  nodes.forEach((node, id) => {
    found[id] = leaf(node) || argumentsOf(node).some((arg) => found[arg]);
  });
  return found;
}

function neededBy(nodes: readonly SpecNode[], roots: readonly number[]): readonly boolean[] {
  const needed = nodes.map(() => false);
  for (const root of roots) needed[root] = true;
  for (let id = nodes.length - 1; id >= 0; id--) {
    if (needed[id]) for (const arg of argumentsOf(nodes[id])) needed[arg] = true;
  }
  return needed;
}

function argumentsOf(node: SpecNode): readonly number[] {
  switch (node.kind) {
    case 'map': return node.args;
    case 'reduce': return [node.arg];
    case 'literal': case 'size': case 'head': case 'heads': case 'input': case 'param': case 'prev': return [];
  }
}
