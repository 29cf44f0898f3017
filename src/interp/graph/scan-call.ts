import type { GraphNode, ScanPart } from '../../ir/graph/graph.js';
import { below } from '../../ir/graph/paths.js';
import type { Axis } from '../../ir/graph/types.js';
import { finalName } from '../../ir/spec/names.js';
import { gradSpec } from '../spec-gradient.js';
import type { SpecCall, Tensors } from '../spec-machine.js';
import { runSpec } from '../spec.js';
import { within } from './demand.js';
import type { CallOutputs, Scope } from './scope.js';
import { gatherInto, joinMasks, makeValue, presence, sizeOf, sliceOf, spread, type Mask, type Value } from './value.js';

interface ScanCall {
  readonly id: number;
  readonly node: Extract<GraphNode, { kind: 'call' }>;
  readonly path: string;
  /** The heads, outermost first. */
  readonly lanes: readonly Axis[];
  readonly part: ScanPart;
  readonly args: readonly Value[];
}

/** Heads that run together, over the same tokens: rows of the call, and how many each sequence has. */
interface Batch {
  readonly first: number;
  readonly heads: number;
  readonly rows: Int32Array | undefined;
  readonly lengths: readonly number[];
}

/**
 * A scan on the tokens of the scope, by the meaning of its Spec. Where an argument is restricted along heads, each head has its own
 * tokens.
 */
export function callScan(scope: Scope, { id, node, path, lanes, part, args }: ScanCall): CallOutputs {
  const { tokens, run, lane } = scope;
  const { spec, sizes } = part;
  const heads = sizeOf(lanes);
  const place = `${scope.place}/${id}`;
  const axisOf = (name: string): Axis => ({ name: node.renamed.get(name) ?? name, size: sizes.get(name) ?? NaN, past: false });
  const axesOf = (names: readonly string[]): Axis[] => names.map(axisOf);
  const masks = joinMasks(...args.map((arg) => arg.masks.filter(({ of, picked }) => !picked && within(of.axes, lanes))));
  const batches = batchesOf(scope, lanes, masks);

  const inputs = spec.inputs.map(({ axes }, i) => ({ arg: args[i], axes: [...lanes, ...axesOf(axes)] }));
  const given = inputs.map(({ arg, axes }) => spread(tokens, arg, tokens.byToken, axes));
  const inputCells = inputs.map(({ axes }) => sizeOf(axes) / heads);
  const stateCells = spec.states.map(({ axes }) => sizeOf(axesOf(axes)));
  const params = spec.params.map(({ name, axes }) => {
    const size = heads * sizeOf(axesOf(axes));
    const whole = run.param(below(path, name), size * lane.count);
    const at = lane.index * size;
    return sliceOf(tokens.one, [], whole, at, size);
  });
  const initial = run.before?.scans.get(place);
  const cells = spec.outputs.map(({ axes }) => sizeOf(axesOf(axes)));
  const starts = cells.map((_, i) => cells.slice(0, i).reduce((sum, cell) => sum + tokens.rows * heads * cell, 0));
  const data = new Float64Array(cells.reduce((sum, cell) => sum + tokens.rows * heads * cell, 0));
  const finals = new Map(spec.states.map((state, i) => [state.name, new Float64Array(tokens.sequences * heads * stateCells[i])]));

  const outputOf = (all: Float64Array, i: number): Float64Array => all.subarray(starts[i], starts[i] + tokens.rows * heads * cells[i]);

  /** Tensors of a batch, by name, and what to do with those that come back. */
  const tensorsOf = (batch: Batch): Map<string, Float64Array> => {
    const tensors = new Map<string, Float64Array>();
    spec.inputs.forEach(({ name }, i) => tensors.set(name, cut(given[i], inputCells[i], batch, heads)));
    const rowless = { ...batch, rows: undefined };
    spec.params.forEach(({ name }, i) => tensors.set(name, cut(params[i].data, params[i].data.length / heads, rowless, heads)));
    spec.states.forEach(({ name }, i) => {
      const state = initial?.get(name);
      if (state !== undefined) tensors.set(name, cut(state, stateCells[i], rowless, heads));
    });
    return tensors;
  };
  const callOf = (batch: Batch): SpecCall => ({
    sizes, heads: batch.heads, groups: batch.heads, lengths: batch.lengths, within: { first: batch.first, heads },
  });
  for (const batch of batches) {
    const results = runSpec(spec, callOf(batch), tensorsOf(batch));
    spec.outputs.forEach(({ name }, i) => paste(found(results, name), cells[i], batch, heads, outputOf(data, i)));
    spec.states.forEach(({ name }, i) => {
      paste(found(results, finalName(spec, name)), stateCells[i], { ...batch, rows: undefined }, heads, found(finals, name));
    });
  }
  run.after.scans.set(place, finals);

  const varies = run.tape !== undefined && (args.some((arg) => arg.varies) || params.some((param) => param.varies));
  const bundle = makeValue(tokens.one, [], data, { varies });
  if (run.tape !== undefined && varies) {
    run.tape.push(bundle, (cotangent, into) => {
      const dInputs = given.map((input) => new Float64Array(input.length));
      for (const batch of batches) {
        const cotangents = new Map(spec.outputs.map(({ name }, i) => [`d_${name}`, cut(outputOf(cotangent, i), cells[i], batch, heads)]));
        const slopes = gradSpec(spec, callOf(batch), tensorsOf(batch), cotangents);
        spec.inputs.forEach(({ name }, i) => paste(found(slopes, `d_${name}`), inputCells[i], batch, heads, dInputs[i]));
        spec.params.forEach(({ name }, i) => {
          if (!params[i].varies) return;
          const to = into(params[i]);
          const at = batch.first * (to.length / heads);
          found(slopes, `d_${name}`).forEach((value, k) => {
            to[at + k] += value;
          });
        });
      }
      inputs.forEach(({ arg, axes }, i) => {
        if (arg.varies) gatherInto(tokens, arg, tokens.byToken, axes, dInputs[i], into);
      });
    });
  }
  return (output) => {
    const axes = [...lanes, ...axesOf(spec.outputs[output].axes)];
    return { ...sliceOf(tokens.byToken, axes, bundle, starts[output], tokens.rows * heads * cells[output]), masks };
  };
}

function batchesOf({ tokens }: Scope, lanes: readonly Axis[], masks: readonly Mask[]): Batch[] {
  const heads = sizeOf(lanes);
  const lengths = Array.from({ length: tokens.sequences }, (_, n) => tokens.starts[n + 1] - tokens.starts[n]);
  const there = presence(tokens, masks, tokens.byToken, lanes, false);
  if (there === undefined) return [{ first: 0, heads, rows: undefined, lengths }];
  return Array.from({ length: heads }, (_, head) => {
    const rows = Int32Array.from({ length: tokens.rows }, (_, row) => row).filter((row) => there[row * heads + head] !== 0);
    const own = lengths.map(() => 0);
    for (const row of rows) own[tokens.sequence[row]]++;
    return { first: head, heads: 1, rows, lengths: own };
  });
}

/** [rows, heads, ...] -> those of a batch. */
function cut(data: Float64Array, cell: number, batch: Batch, heads: number): Float64Array {
  if (batch.rows === undefined && batch.heads === heads) return data;
  const [rows, width] = [rowsOf(data, cell, batch, heads), batch.heads * cell];
  const out = new Float64Array(rows.length * width);
  rows.forEach((row, i) => {
    const from = (row * heads + batch.first) * cell;
    out.set(data.subarray(from, from + width), i * width);
  });
  return out;
}

/** The other way. */
function paste(data: Float64Array, cell: number, batch: Batch, heads: number, to: Float64Array): void {
  const width = batch.heads * cell;
  rowsOf(to, cell, batch, heads).forEach((row, i) => to.set(data.subarray(i * width, (i + 1) * width), (row * heads + batch.first) * cell));
}

function rowsOf(data: Float64Array, cell: number, { rows }: Batch, heads: number): Int32Array {
  return rows ?? Int32Array.from({ length: data.length / Math.max(1, heads * cell) }, (_, row) => row);
}

function found(tensors: Tensors, name: string): Float64Array {
  const data = tensors.get(name);
  if (data === undefined) throw new Error(`the scan gives no ${name}`);
  return data;
}
