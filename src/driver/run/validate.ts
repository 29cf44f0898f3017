import type { AxisSizes } from '../../ir/common/axes.js';
import { isAny } from '../../ir/common/range.js';
import { countsFault, OFFSETS_RULE, offsetsFault } from '../../runtime/offsets.js';
import { briefList, briefShape, briefText } from '../../support/brief.js';
import { problem, type Problem } from '../problem.js';
import type { Signature, SignatureTensor } from '../../ir/common/signature.js';

/** Values and shape, whatever holds them. */
export interface AnyTensor {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data: ArrayLike<number>;
}

/** What a set of tensors says about the call. */
export interface CallShape {
  readonly batch: number;
  /** Tokens per row of the batch (of all sequences together if packed). */
  readonly tokens: number;
  readonly heads: number;
  readonly groups: number;
  /** Lengths of the sequences, in tokens. */
  readonly lengths: readonly number[];
  /** Offsets [N+1] if packed. */
  readonly cuSeqlens: readonly number[] | undefined;
  readonly sizes: AxisSizes;
}

export interface Validated {
  readonly call: CallShape;
  /** Things worth saying that forbid nothing. */
  readonly warnings: readonly string[];
}

export const CU_SEQLENS = 'cu_seqlens';
/** Reference results that conformance files carry along; no part of the contract. */
export const EXPECTED_PREFIX = 'expect.';

type Symbols = Map<string, { readonly size: number; readonly from: string }>;

/**
 * Checks the tensors of a file against what a declaration takes and reads the sizes off them. All problems are reported at once, so that a
 * user mends a file in one go; nothing has been computed then.
 */
export function validate(
  signature: Signature, tensors: ReadonlyMap<string, AnyTensor>,
): Validated | { readonly problems: readonly Problem[] } {
  const problems: Problem[] = [];
  const known = [...signature.required, ...signature.initial, ...signature.cotangents];
  const groups = signature.inputs.some((input) => input.leading.includes('G'));
  const symbols: Symbols = new Map();

  for (const tensor of signature.required) {
    if (!tensors.has(tensor.name)) {
      problems.push(problem(
        'E501', `${tensor.role} \`${tensor.name}\` is missing: expected ${layout(tensor)}`,
        `add a tensor named \`${tensor.name}\` to the inputs; they hold ${listed(tensors)}`,
      ));
    }
  }
  const names = new Set([CU_SEQLENS, ...known.map((tensor) => tensor.name)]);
  const strangers = [...tensors.keys()].filter((name) => !names.has(name) && !name.startsWith(EXPECTED_PREFIX));
  if (strangers.length > 0) {
    const [subject, it] = strangers.length === 1
      ? [`\`${briefText(strangers[0])}\` is no tensor`, 'it']
      : [`${briefList(strangers.map((name) => `\`${briefText(name)}\``))} are no tensors`, 'them'];
    const takes = `\`${signature.name}\` takes ${known.map((tensor) => tensor.name).join(', ')} and ${CU_SEQLENS}`;
    problems.push(problem('E502', `${subject} of \`${signature.name}\``, `remove ${it}, or rename ${it}; ${takes}`));
  }
  for (const tensor of known) {
    const found = tensors.get(tensor.name);
    if (found !== undefined) problems.push(...unify(tensor, found, symbols, !groups));
  }

  const batch = symbols.get('B')?.size;
  const tokens = symbols.get('T')?.size;
  let lengths: readonly number[] | undefined;
  let cuSeqlens: readonly number[] | undefined;
  const packed = tensors.get(CU_SEQLENS);
  const many = countsFault(packed === undefined ? batch ?? 0 : 1, (batch ?? 0) * (tokens ?? 0));
  if (many !== undefined) return { problems: [problem('E503', `the tensors are of ${many}`, 'split the call')] };
  if (packed !== undefined && batch !== undefined && tokens !== undefined) {
    cuSeqlens = Array.from(packed.data);
    const found = packedLengths(packed, batch, tokens);
    if ('code' in found) problems.push(found);
    else lengths = found;
  } else if (batch !== undefined && tokens !== undefined) {
    lengths = Array.from({ length: batch }, () => tokens);
  }
  const sequences = symbols.get('N');
  if (lengths !== undefined && sequences !== undefined && sequences.size !== lengths.length) {
    const count = lengths.length === 1 ? 'one sequence' : `${lengths.length} sequences`;
    const why = cuSeqlens === undefined ? `the batch has ${count}` : `${CU_SEQLENS} describes ${count}`;
    problems.push(problem(
      'E503', `\`${sequences.from}\` has ${sequences.size} sequences in its first extent, but ${why}`,
      'a state is [N, H, ...] with one entry per sequence',
    ));
  }
  const groupCount = symbols.get('G')?.size;
  const heads = symbols.get('H')?.size ?? groupCount;
  if (heads !== undefined && groupCount !== undefined && groupCount > 0 && heads % groupCount !== 0) {
    problems.push(problem(
      'E503',
      `${heads} heads cannot share ${groupCount} groups: \`${symbols.get('G')?.from}\` has G = ${groupCount}, `
      + `\`${symbols.get('H')?.from}\` has H = ${heads}`,
      'H must be a multiple of G',
    ));
  }
  for (const tensor of known) {
    const found = tensors.get(tensor.name);
    if (found !== undefined) problems.push(...checkValues(tensor, found));
  }
  if (problems.length > 0) return { problems };
  if (batch === undefined || tokens === undefined || heads === undefined || lengths === undefined) {
    return { problems: [problem(
      'E503', `the tensors do not say how many tokens and heads there are`, `\`${signature.name}\` needs an input with one value per token`,
    )] };
  }
  const sizes = new Map(signature.axes.flatMap((axis) => {
    const size = symbols.get(`axis ${axis.name}`)?.size ?? axis.defaultSize;
    return size === undefined ? [] : [[axis.name, size] as const];
  }));
  return {
    call: { batch, tokens, heads, groups: groupCount ?? heads, lengths, cuSeqlens, sizes }, warnings: rangeWarnings(signature, tensors),
  };
}

/** `[B, T, H, K]` */
export function layout(tensor: Pick<SignatureTensor, 'leading' | 'axes'>): string {
  return `[${[...tensor.leading, ...tensor.axes].join(', ')}]`;
}

function listed(tensors: ReadonlyMap<string, unknown>): string {
  return tensors.size === 0 ? 'nothing' : briefList([...tensors.keys()]);
}

/** Binds or compares every extent; one problem per tensor at most. */
function unify(tensor: SignatureTensor, found: AnyTensor, symbols: Symbols, headsAreGroups: boolean): Problem[] {
  const names = [...tensor.leading, ...tensor.axes.map((axis) => `axis ${axis}`)];
  if (found.shape.length !== names.length) {
    return [problem(
      'E503', `\`${tensor.name}\` has the wrong number of extents: expected ${layout(tensor)}, found ${shape(found)}`,
      'batch, tokens and heads come first, even where they are 1',
    )];
  }
  if (found.shape.includes(0)) return [problem(
    'E503', `\`${tensor.name}\` is empty: expected ${layout(tensor)} with every extent at least 1, found ${shape(found)}`,
  )];
  for (const [i, raw] of names.entries()) {
    const name = headsAreGroups && raw === 'G' ? 'H' : raw;
    const bound = symbols.get(name);
    if (bound === undefined) {
      symbols.set(name, { size: found.shape[i], from: tensor.name });
    } else if (bound.size !== found.shape[i]) {
      const expected = names.map((other) => symbols.get(other)?.size ?? '?').join(', ');
      return [problem('E503', `\`${tensor.name}\` has the wrong shape: expected ${layout(tensor)} = [${expected}], found ${shape(found)}`,
        `${name.replace('axis ', '')} = ${bound.size} comes from \`${bound.from}\``)];
    }
  }
  return [];
}

function shape(tensor: AnyTensor): string {
  return briefShape(tensor.shape);
}

/** Tokens of packed sequences, from their offsets. */
export function packedLengths(tensor: AnyTensor, batch: number, tokens: number): readonly number[] | Problem {
  const wrong = (text: string) => problem('E505', `\`${CU_SEQLENS}\` ${text}`, `it holds ${OFFSETS_RULE}`);
  if (tensor.dtype !== 'i32' && tensor.dtype !== 'i64') return wrong(`must be int32 or int64, found ${tensor.dtype}`);
  const offsets = Array.from(tensor.data);
  if (tensor.shape.length !== 1 || offsets.length < 2) return wrong(`must be [N + 1], found ${shape(tensor)}`);
  const fault = offsetsFault(offsets, batch, tokens);
  return fault === undefined ? offsets.slice(1).map((end, i) => end - offsets[i]) : wrong(fault);
}

function checkValues(tensor: SignatureTensor, found: AnyTensor): Problem[] {
  if (found.dtype === 'i32' || found.dtype === 'i64') {
    return [problem(
      'E502', `\`${tensor.name}\` holds integers (${found.dtype}); expected floating-point values`, 'store it as F32, BF16 or F16',
    )];
  }
  const { data } = found;
  for (let i = 0; i < data.length; i++) {
    if (Number.isNaN(data[i])) {
      return [problem(
        'E504', `\`${tensor.name}\` ${shape(found)} has a NaN at [${position(i, found.shape).join(', ')}]`,
        'check what made this tensor; a NaN would spread over the rest of its sequence',
      )];
    }
  }
  return [];
}

/** The extents of a tensor in a call. */
export function shapeOf({ leading, axes }: Pick<SignatureTensor, 'leading' | 'axes'>, call: CallShape): number[] {
  const extents = { B: call.batch, T: call.tokens, H: call.heads, G: call.groups, N: call.lengths.length };
  return [...leading.map((name) => extents[name]), ...axes.map((axis) => call.sizes.get(axis) ?? 1)];
}

/** Row-major position of element `index`. */
export function position(index: number, extents: readonly number[]): number[] {
  let rest = index;
  return [...extents].reverse().map((extent) => {
    const at = rest % extent;
    rest = Math.floor(rest / extent);
    return at;
  }).reverse();
}

function rangeWarnings(signature: Signature, tensors: ReadonlyMap<string, AnyTensor>): string[] {
  return [...signature.required, ...signature.initial].flatMap((tensor) => {
    const data = tensors.get(tensor.name)?.data;
    if (data === undefined || isAny(tensor.range)) return [];
    let outside = 0;
    let first = 0;
    for (let i = 0; i < data.length; i++) {
      if (data[i] >= tensor.range.lo && data[i] <= tensor.range.hi) continue;
      if (outside === 0) first = data[i];
      outside++;
    }
    const range = `${String(tensor.range.lo).replace('Infinity', 'inf')}..${String(tensor.range.hi).replace('Infinity', 'inf')}`;
    return outside === 0 ? [] : [
      `${outside} values of \`${tensor.name}\` lie outside of its range ${range} (the first is ${first}); kernels may lose digits there`,
    ];
  });
}
