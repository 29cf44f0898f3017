import { GraphFault } from '../../interp/graph/fault.js';
import { evaluate, gradients, type Evaluation, type GraphTensors } from '../../interp/graph/machine.js';
import { update } from '../../interp/graph/update.js';
import type { IoDtype } from '../../ir/common/dtype.js';
import type { SignatureTensor } from '../../ir/common/signature.js';
import type { Graph } from '../../ir/graph/graph.js';
import { signatureOf } from '../../ir/graph/signature.js';
import { diagnostic, type Diagnostic } from '../../diagnostics/diagnostic.js';
import type { Code } from '../../diagnostics/codes.js';
import type { FaultKind } from '../../interp/graph/fault.js';
import type { Runtime } from '../../runtime/runtime.js';
import { compare, type Comparison } from '../run/compare.js';
import { writeSafetensors, type WritableTensor } from '../run/safetensors.js';
import { EXPECTED_PREFIX, type AnyTensor } from '../run/validate.js';
import type { GivenCall } from './given.js';
import { shapeIn } from './shape.js';

/** Where a run was made. */
export interface Where {
  readonly backend: 'interpreter' | Runtime['kind'];
  readonly device: string | undefined;
  readonly dtype: IoDtype | 'f64';
}

/** What a layer, mixture or model gave. */
export interface GraphReport extends Where {
  readonly name: string;
  readonly kind: Graph['kind'];
  /** `B=2 T=64 D=64` */
  readonly call: string;
  readonly training: boolean;
  /** By path. */
  readonly losses: ReadonlyMap<string, number>;
  /** Tokens of each index of a family, and how often each index of a choice with a name was chosen, by path. */
  readonly counts: ReadonlyMap<string, WritableTensor>;
  /** Outputs, `loss.PATH`, `update.PATH`, `count.PATH`, gradients `d_PATH`. */
  readonly results: Results;
  readonly comparisons: readonly Comparison[];
  /** The results as a safetensors file. */
  file(): Uint8Array;
}

export type Results = ReadonlyMap<string, WritableTensor>;

/** Runs a graph by the interpreter, and holds the results against what the tensors expect. */
export function runGraph(
  graph: Graph, call: GivenCall, tensors: ReadonlyMap<string, AnyTensor>, seed: number,
): GraphReport | { readonly diagnostics: readonly Diagnostic[] } {
  const results = meaningOf(graph, call, seed);
  if ('diagnostics' in results) return results;
  const comparisons = [...results].flatMap(([name, { data }]) => {
    const expected = tensors.get(`${EXPECTED_PREFIX}${name}`);
    const role = roleOf(name);
    return expected === undefined ? [] : [compare(name, role, role, 'f64', data, expected.data)];
  });
  return reportOf(graph, call, results, comparisons, { backend: 'interpreter', device: undefined, dtype: 'f64' });
}

/** What a result is, by its name. */
export function roleOf(name: string): 'gradient' | 'output' {
  return name.startsWith('d_') ? 'gradient' : 'output';
}

/**
 * All results in float64. Gradients are given where there is something to differentiate: a loss, or the cotangent of an output.
 */
export function meaningOf(graph: Graph, call: GivenCall, seed: number): Results | { readonly diagnostics: readonly Diagnostic[] } {
  try {
    const { weights: params, inputs, lengths, positions } = call;
    return resultsOf(graph, call, evaluate(graph, { program: 'train', params, inputs, lengths, positions, seed }));
  } catch (error) {
    if (error instanceof GraphFault) return { diagnostics: [faultDiagnostic(error)] };
    throw error;
  }
}

export function reportOf(
  graph: Graph, call: GivenCall, results: Results, comparisons: readonly Comparison[], where: Where,
): GraphReport {
  return {
    ...where,
    name: graph.name,
    kind: graph.kind,
    call: [`B=${call.batch}`, `T=${call.tokens}`, ...[...graph.settings].map(([name, value]) => `${name}=${value}`)].join(' '),
    training: graph.training,
    losses: new Map([...prefixed(results, 'loss.')].map(([path, { data }]) => [path, data[0]])),
    counts: prefixed(results, 'count.'),
    results,
    comparisons,
    file: () => writeSafetensors(results),
  };
}

function resultsOf(graph: Graph, call: GivenCall, made: Evaluation): Results {
  const { outputs: given, required, params } = signatureOf(graph);
  const shaped = (
    list: readonly SignatureTensor[], values: GraphTensors, nameOf: (name: string) => string,
  ): [string, WritableTensor][] => list.flatMap((tensor) => {
    const data = values.get(nameOf(tensor.name));
    return data === undefined ? [] : [[nameOf(tensor.name), { dtype: 'f64', shape: shapeIn(tensor, call), data }]];
  });
  const outputs = given.map((tensor): [string, WritableTensor] => (
    [tensor.name, { dtype: 'f64', shape: shapeIn(tensor, call), data: made.outputs.get(tensor.name) ?? [] }]
  ));
  const differentiable = made.losses.size > 0 || call.cotangents.size > 0;
  const updated = graph.training ? update([made], call.weights) : new Map<string, Float64Array>();
  return new Map([
    ...outputs,
    ...[...made.losses].map(([path, value]): [string, WritableTensor] => [`loss.${path}`, { dtype: 'f64', shape: [], data: [value] }]),
    ...shaped(params, updated, (name) => name).map(([name, tensor]): [string, WritableTensor] => [`update.${name}`, tensor]),
    ...[...made.counts, ...made.chosen].map(([path, data]): [string, WritableTensor] => (
      [`count.${path}`, { dtype: 'f64', shape: [data.length], data }]
    )),
    ...(differentiable ? shaped(required, gradients(made, call.cotangents), (name) => `d_${name}`) : []),
  ]);
}

function prefixed(results: Results, prefix: string): Results {
  return new Map([...results].filter(([name]) => name.startsWith(prefix)).map(([name, tensor]) => [name.slice(prefix.length), tensor]));
}

const FAULTS: Readonly<Record<FaultKind, { readonly code: Code; readonly label: string; readonly help: string }>> = {
  index: { code: 'E507', label: 'picked here', help: 'indices count from 0; a negative one stands for none' },
  'not a number': {
    code: 'E508', label: 'chosen here', help: 'look for a logarithm, root or quotient that these inputs and params leave undefined',
  },
  'no plan': { code: 'E508', label: 'no plan is found here', help: 'make `tol` larger, or the scores smaller' },
  'other tokens': {
    code: 'E508', label: 'depends on other tokens', help: 'say what holds when single tokens are decoded: `if training { ... }`',
  },
  unread: { code: 'E508', label: 'looks at other tokens', help: 'call the part before `[past]`, and read its value there' },
};

export function faultDiagnostic({ kind, message, origin }: GraphFault): Diagnostic {
  const { code, label, help } = FAULTS[kind];
  return diagnostic(code, message, origin, label, { help: [help] });
}
