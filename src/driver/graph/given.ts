import { isAny } from '../../ir/common/range.js';
import { extentsOf, type Signature, type SignatureTensor } from '../../ir/common/signature.js';
import { countsFault } from '../../runtime/offsets.js';
import { briefList, briefShape, briefText } from '../../support/brief.js';
import { problem, type Problem } from '../problem.js';
import { CU_SEQLENS, EXPECTED_PREFIX, packedLengths, position, type AnyTensor } from '../run/validate.js';
import { shapeIn } from './shape.js';

/** The tensors of a call, checked, in float64. */
export interface GivenCall {
  readonly batch: number;
  /** Tokens of a row. */
  readonly tokens: number;
  readonly lengths: readonly number[];
  readonly packed: boolean;
  /** By token; undefined: as they come. */
  readonly positions: Float64Array | undefined;
  readonly inputs: ReadonlyMap<string, Float64Array>;
  readonly weights: ReadonlyMap<string, Float64Array>;
  readonly cotangents: ReadonlyMap<string, Float64Array>;
}

/** Positions of tokens, which may be given beside the inputs; a part may have an input of that name itself. */
const POSITION = 'position';

/** Names in a message at most. */
const LISTED = 20;

/**
 * Checks the tensors of a file against what a graph takes. `unread`: inputs that outputs do not need, which may be left out where nobody
 * asks for losses. All problems are reported at once.
 */
export function givenCall(
  signature: Signature, tensors: ReadonlyMap<string, AnyTensor>, unread: ReadonlySet<string>,
): GivenCall | { readonly problems: readonly Problem[] } {
  const problems: Problem[] = [...missing(signature, tensors, unread), ...strangers(signature, tensors)];
  const lead = leadOf(signature, tensors);
  if ('code' in lead) return { problems: [...problems, lead] };
  const lengths = lengthsOf(tensors, lead.batch, lead.tokens);
  if ('code' in lengths) problems.push(lengths);
  const read = (list: readonly SignatureTensor[]) => new Map(list.flatMap((tensor) => {
    const found = tensors.get(tensor.name);
    if (found === undefined) return [];
    const wrong = checkTensor(tensor, found, lead);
    if (wrong !== undefined) problems.push(wrong);
    return [[tensor.name, Float64Array.from(found.data)] as const];
  }));
  const [inputs, weights, cotangents] = [read(signature.inputs), read(signature.params), read(signature.cotangents)];
  const positions = positionsOf(signature, tensors, lead);
  if (positions !== undefined && 'code' in positions) problems.push(positions);
  if (problems.length > 0 || 'code' in lengths || (positions !== undefined && 'code' in positions)) return { problems };
  return { ...lead, lengths, positions, packed: tensors.has(CU_SEQLENS), inputs, weights, cotangents };
}

function missing(
  { name: declaration, required }: Signature, tensors: ReadonlyMap<string, AnyTensor>, unread: ReadonlySet<string>,
): Problem[] {
  const lost = required.filter(({ name }) => !unread.has(name) && !tensors.has(name));
  if (lost.length === 0) return [];
  const listed = lost.slice(0, LISTED).map((tensor) => (
    `${tensor.buffer ? 'buffer' : tensor.role} \`${tensor.name}\` [${extentsOf(tensor).join(', ')}]`
  ));
  const more = lost.length > LISTED ? `, and ${lost.length - LISTED} more` : '';
  const have = tensors.size === 0 ? 'nothing' : briefList([...tensors.keys()]);
  return [problem(
    'E501', `\`${declaration}\` needs ${listed.join(', ')}${more}`,
    `add ${lost.length === 1 ? 'it' : 'them'} to the inputs, by path; they hold ${have}`,
  )];
}

function strangers({ name: declaration, required, cotangents }: Signature, tensors: ReadonlyMap<string, AnyTensor>): Problem[] {
  const known = new Set([CU_SEQLENS, POSITION, ...[...required, ...cotangents].map(({ name }) => name)]);
  const odd = [...tensors.keys()].filter((name) => !known.has(name) && !name.startsWith(EXPECTED_PREFIX));
  if (odd.length === 0) return [];
  const names = briefList(odd.map((name) => `\`${briefText(name)}\``));
  return [problem(
    'E502', `${names} ${odd.length === 1 ? 'is no tensor' : 'are no tensors'} of \`${declaration}\``,
    `remove or rename; it takes ${briefList([...known])}`,
  )];
}

/** Batch and tokens, from the first input or cotangent that has them. */
function leadOf(
  { inputs, cotangents }: Signature, tensors: ReadonlyMap<string, AnyTensor>,
): { readonly batch: number; readonly tokens: number } | Problem {
  for (const tensor of [...inputs, ...cotangents].filter(({ leading }) => leading.length > 0)) {
    const shape = tensors.get(tensor.name)?.shape;
    if (shape !== undefined && shape.length >= 2) return { batch: shape[0], tokens: shape[1] };
  }
  return problem(
    'E503', 'no input says how many sequences and tokens there are',
    `an input is [${['B', 'T', '...'].join(', ')}]: batch and tokens come first, even where they are 1`,
  );
}

/** What `position` means in the formula, and what `rope` turns by: [B, T]. */
function positionsOf(
  { inputs }: Signature, tensors: ReadonlyMap<string, AnyTensor>, { batch, tokens }: { readonly batch: number; readonly tokens: number },
): Float64Array | Problem | undefined {
  const found = tensors.get(POSITION);
  if (found === undefined || inputs.some(({ name }) => name === POSITION)) return undefined;
  const wrong = (code: 'E503' | 'E507', title: string): Problem => (
    problem(code, title, 'positions count from 0; without the tensor they are those of the tokens in their sequences')
  );
  const { shape, data } = found;
  if (shape.length !== 2 || shape[0] !== batch || shape[1] !== tokens) return wrong(
    'E503', `\`${POSITION}\` has the wrong shape: expected [B, T] = ${briefShape([batch, tokens])}, found ${briefShape(shape)}`,
  );
  for (let i = 0; i < data.length; i++) if (!(data[i] >= 0 && data[i] < Infinity)) return wrong(
    'E507', `\`${POSITION}\` is ${data[i]} at [${position(i, shape).join(', ')}]`,
  );
  return Float64Array.from(data);
}

function lengthsOf(tensors: ReadonlyMap<string, AnyTensor>, batch: number, tokens: number): readonly number[] | Problem {
  const packed = tensors.get(CU_SEQLENS);
  const many = countsFault(packed === undefined ? batch : 1, batch * tokens);
  if (many !== undefined) return problem('E503', `the tensors are of ${many}`, 'split the call');
  if (packed === undefined) return Array.from({ length: batch }, () => tokens);
  return packedLengths(packed, batch, tokens);
}

function checkTensor(
  tensor: SignatureTensor, found: AnyTensor, lead: { readonly batch: number; readonly tokens: number },
): Problem | undefined {
  const expected = shapeIn(tensor, lead);
  if (found.shape.length !== expected.length || expected.some((extent, i) => extent !== found.shape[i])) {
    const names = extentsOf(tensor).join(', ');
    return problem(
      'E503', `\`${tensor.name}\` has the wrong shape: expected [${names}] = ${briefShape(expected)}, found ${briefShape(found.shape)}`,
      'sizes come from the tensors; say others with --size, as in --size D=64',
    );
  }
  const whole = found.dtype === 'i32' || found.dtype === 'i64';
  if (whole !== (tensor.indices !== undefined)) {
    return tensor.indices === undefined
      ? problem(
        'E502', `\`${tensor.name}\` holds integers (${found.dtype}); expected floating-point values`, 'store it as F32, F64, BF16 or F16',
      )
      : problem(
        'E502', `\`${tensor.name}\` holds ${found.dtype} numbers; expected indices of ${tensor.indices.name}`, 'store it as I32 or I64',
      );
  }
  return valueProblem(tensor, found);
}

function valueProblem(tensor: SignatureTensor, { data, shape }: AnyTensor): Problem | undefined {
  const at = (i: number) => `[${position(i, shape).join(', ')}]`;
  for (let i = 0; i < data.length; i++) {
    if (Number.isNaN(data[i])) return problem(
      'E504', `\`${tensor.name}\` ${briefShape(shape)} has a NaN at ${at(i)}`, 'check what made this tensor',
    );
    if (tensor.indices !== undefined && data[i] >= tensor.indices.size) {
      return problem(
        'E507', `\`${tensor.name}\` is ${data[i]} at ${at(i)}, beyond ${tensor.indices.name} = ${tensor.indices.size}`,
        'indices count from 0; a negative one stands for none',
      );
    }
  }
  return undefined;
}

/** Values outside of declared ranges. */
export function rangeWarnings({ required }: Signature, { inputs, weights }: GivenCall): readonly string[] {
  return required.flatMap(({ name, range, indices }) => {
    const data = inputs.get(name) ?? weights.get(name);
    if (data === undefined || indices !== undefined || isAny(range)) return [];
    const outside = data.reduce((n, x) => n + (x < range.lo || x > range.hi ? 1 : 0), 0);
    return outside === 0 ? [] : [`${outside} values of \`${name}\` lie outside of its range`];
  });
}
