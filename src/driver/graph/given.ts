import { isAny } from '../../ir/common/range.js';
import type { Graph } from '../../ir/graph/graph.js';
import { briefList, briefShape, briefText } from '../../support/brief.js';
import { problem, type Problem } from '../problem.js';
import { CU_SEQLENS, EXPECTED_PREFIX, packedLengths, position, type AnyTensor } from '../run/validate.js';
import { contractOf, extentNames, extents, type GraphContract, type GraphTensor } from './contract.js';

/** The tensors of a call, checked, in float64. */
export interface GivenCall {
  readonly batch: number;
  /** Tokens of a row. */
  readonly tokens: number;
  readonly lengths: readonly number[];
  readonly packed: boolean;
  readonly inputs: ReadonlyMap<string, Float64Array>;
  readonly weights: ReadonlyMap<string, Float64Array>;
  readonly cotangents: ReadonlyMap<string, Float64Array>;
}

/** Names in a message at most. */
const LISTED = 20;

/**
 * Checks the tensors of a file against what a graph takes. `unread`: inputs that outputs do not need, which may be left out where nobody
 * asks for losses. All problems are reported at once.
 */
export function givenCall(
  graph: Graph, tensors: ReadonlyMap<string, AnyTensor>, unread: ReadonlySet<string>,
): GivenCall | { readonly problems: readonly Problem[] } {
  const contract = contractOf(graph);
  const problems: Problem[] = [...missing(graph, contract, tensors, unread), ...strangers(graph, contract, tensors)];
  const lead = leadOf(contract, tensors);
  if ('code' in lead) return { problems: [...problems, lead] };
  const lengths = lengthsOf(tensors, lead.batch, lead.tokens);
  if ('code' in lengths) problems.push(lengths);
  const read = (list: readonly GraphTensor[]) => new Map(list.flatMap((tensor) => {
    const found = tensors.get(tensor.name);
    if (found === undefined) return [];
    const wrong = checkTensor(tensor, found, lead);
    if (wrong !== undefined) problems.push(wrong);
    return [[tensor.name, Float64Array.from(found.data)] as const];
  }));
  const [inputs, weights, cotangents] = [read(contract.inputs), read(contract.weights), read(contract.cotangents)];
  if (problems.length > 0 || 'code' in lengths) return { problems };
  return { ...lead, lengths, packed: tensors.has(CU_SEQLENS), inputs, weights, cotangents };
}

function missing(
  graph: Graph, { inputs, weights }: GraphContract, tensors: ReadonlyMap<string, AnyTensor>, unread: ReadonlySet<string>,
): Problem[] {
  const lost = [...inputs.filter(({ name }) => !unread.has(name)), ...weights].filter(({ name }) => !tensors.has(name));
  if (lost.length === 0) return [];
  const listed = lost.slice(0, LISTED).map((tensor) => `${tensor.role} \`${tensor.name}\` [${extentNames(tensor).join(', ')}]`);
  const more = lost.length > LISTED ? `, and ${lost.length - LISTED} more` : '';
  const have = tensors.size === 0 ? 'nothing' : briefList([...tensors.keys()]);
  return [problem(
    'E501', `\`${graph.name}\` needs ${listed.join(', ')}${more}`,
    `add ${lost.length === 1 ? 'it' : 'them'} to the inputs, by path; they hold ${have}`,
  )];
}

function strangers(graph: Graph, { inputs, weights, cotangents }: GraphContract, tensors: ReadonlyMap<string, AnyTensor>): Problem[] {
  const known = new Set([CU_SEQLENS, ...[...inputs, ...weights, ...cotangents].map(({ name }) => name)]);
  const odd = [...tensors.keys()].filter((name) => !known.has(name) && !name.startsWith(EXPECTED_PREFIX));
  if (odd.length === 0) return [];
  const names = briefList(odd.map((name) => `\`${briefText(name)}\``));
  return [problem(
    'E502', `${names} ${odd.length === 1 ? 'is no tensor' : 'are no tensors'} of \`${graph.name}\``,
    `remove or rename; it takes ${briefList([...known])}`,
  )];
}

/** Batch and tokens, from the first input or cotangent that has them. */
function leadOf(
  { inputs, cotangents }: GraphContract, tensors: ReadonlyMap<string, AnyTensor>,
): { readonly batch: number; readonly tokens: number } | Problem {
  for (const tensor of [...inputs, ...cotangents].filter(({ perToken }) => perToken)) {
    const shape = tensors.get(tensor.name)?.shape;
    if (shape !== undefined && shape.length >= 2) return { batch: shape[0], tokens: shape[1] };
  }
  return problem(
    'E503', 'no input says how many sequences and tokens there are',
    `an input is [${['B', 'T', '...'].join(', ')}]: batch and tokens come first, even where they are 1`,
  );
}

function lengthsOf(tensors: ReadonlyMap<string, AnyTensor>, batch: number, tokens: number): readonly number[] | Problem {
  const packed = tensors.get(CU_SEQLENS);
  if (packed === undefined) return Array.from({ length: batch }, () => tokens);
  return packedLengths(packed, batch, tokens);
}

function checkTensor(
  tensor: GraphTensor, found: AnyTensor, lead: { readonly batch: number; readonly tokens: number },
): Problem | undefined {
  const expected = extents(tensor, lead);
  if (found.shape.length !== expected.length || expected.some((extent, i) => extent !== found.shape[i])) {
    const names = extentNames(tensor).join(', ');
    return problem(
      'E503', `\`${tensor.name}\` has the wrong shape: expected [${names}] = ${briefShape(expected)}, found ${briefShape(found.shape)}`,
      'sizes come from the tensors; say others with --size, as in --size D=64',
    );
  }
  const whole = found.dtype === 'i32' || found.dtype === 'i64';
  if (whole !== (tensor.of !== undefined)) {
    return tensor.of === undefined
      ? problem(
        'E502', `\`${tensor.name}\` holds integers (${found.dtype}); expected floating-point values`, 'store it as F32, F64, BF16 or F16',
      )
      : problem('E502', `\`${tensor.name}\` holds ${found.dtype} numbers; expected indices of ${tensor.of.name}`, 'store it as I32 or I64');
  }
  return valueProblem(tensor, found);
}

function valueProblem(tensor: GraphTensor, { data, shape }: AnyTensor): Problem | undefined {
  const at = (i: number) => `[${position(i, shape).join(', ')}]`;
  for (let i = 0; i < data.length; i++) {
    if (Number.isNaN(data[i])) return problem(
      'E504', `\`${tensor.name}\` ${briefShape(shape)} has a NaN at ${at(i)}`, 'check what made this tensor',
    );
    if (tensor.of !== undefined && data[i] >= tensor.of.size) {
      return problem(
        'E507', `\`${tensor.name}\` is ${data[i]} at ${at(i)}, beyond ${tensor.of.name} = ${tensor.of.size}`,
        'indices count from 0; a negative one stands for none',
      );
    }
  }
  return undefined;
}

/** Values outside of declared ranges. */
export function rangeWarnings(graph: Graph, { inputs, weights }: GivenCall): readonly string[] {
  const contract = contractOf(graph);
  return [...contract.inputs, ...contract.weights].flatMap(({ name, range, of }) => {
    const data = inputs.get(name) ?? weights.get(name);
    if (data === undefined || of !== undefined || isAny(range)) return [];
    const outside = data.reduce((n, x) => n + (x < range.lo || x > range.hi ? 1 : 0), 0);
    return outside === 0 ? [] : [`${outside} values of \`${name}\` lie outside of its range`];
  });
}
