import type { Extent, Plan } from '../ir/plan/plan.js';
import { briefShape, kindName } from '../support/brief.js';
import { kindOf, type CallSizes } from './extents.js';
import { countsFault, OFFSETS_RULE, offsetsFault } from './offsets.js';
import { LimitError, RuntimeError } from './runtime.js';
import type { Tensors } from './given.js';
import { isList } from './tensors.js';

/** Batch and tokens as the user sees them; sizes as the kernels do. */
export interface Lead {
  readonly batch: number;
  /** undefined: a step, whose tensors have no token axis. */
  readonly tokens: number | undefined;
  readonly sizes: CallSizes;
}

/** Reads batch, tokens, heads and groups off the inputs, which must agree. */
export function leadOf(plan: Plan, inputs: Tensors, cuSeqlens: unknown, step: boolean): Lead {
  const skip = step ? 1 : 2;
  let batch: number | undefined;
  let tokens: number | undefined;
  const inner = new Map<string, number>();
  for (const declared of plan.tensors) {
    const item = inputs[declared.name];
    if (item === undefined || (declared.role !== 'input' && declared.role !== 'param')) continue;
    const perToken = kindOf(plan, declared.shape[0]) === 'row';
    const expected = declared.shape.length - (perToken ? 1 : 0) + (perToken ? skip : 0);
    if (item.shape.length !== expected) throw mismatch(plan, declared.name, `${expected} extents`, item.shape);
    const named = declared.shape[perToken ? 1 : 0];
    const kind = kindOf(plan, named);
    const extent = item.shape[perToken ? skip : 0];
    if (kind !== undefined) {
      agree(plan, declared.name, item.shape, String(named), inner.get(kind), extent);
      inner.set(kind, extent);
    }
    if (!perToken) continue;
    agree(plan, declared.name, item.shape, 'the batch', batch, item.shape[0]);
    agree(plan, declared.name, item.shape, 'the number of tokens', tokens, step ? 1 : item.shape[1]);
    batch = item.shape[0];
    tokens = step ? 1 : item.shape[1];
  }
  const heads = inner.get('head') ?? inner.get('group');
  if (batch === undefined || tokens === undefined || heads === undefined) throw new RuntimeError(
    `${plan.scan}: no input says how many tokens and heads there are`, 'pass the inputs',
  );
  const groups = inner.get('group') ?? heads;
  if (heads % groups !== 0) throw new RuntimeError(
    `${plan.scan}: ${heads} heads cannot share ${groups} groups`, 'H must be a multiple of G',
  );
  return { batch, tokens: step ? undefined : tokens, sizes: { heads, groups, lengths: lengthsOf(plan.scan, batch, tokens, cuSeqlens) } };
}

/** Tokens of every sequence; `whose`: of what a message speaks. */
export function lengthsOf(whose: string, batch: number, tokens: number, cuSeqlens: unknown): readonly number[] {
  const many = countsFault(cuSeqlens === undefined ? batch : 1, batch * tokens);
  if (many !== undefined) throw new LimitError(`${whose}: a call of ${many}`, 'split the call');
  if (cuSeqlens === undefined) return Array.from({ length: batch }, () => tokens);
  const numbers = isList(cuSeqlens) ? cuSeqlens : undefined;
  const fault = numbers === undefined ? `is ${kindName(cuSeqlens)}` : offsetsFault(numbers, batch, tokens);
  if (numbers === undefined || fault !== undefined) throw new RuntimeError(`${whose}: cuSeqlens ${fault}`, `it holds ${OFFSETS_RULE}`);
  return Array.from({ length: numbers.length - 1 }, (_, i) => numbers[i + 1] - numbers[i]);
}

function agree(plan: Plan, name: string, shape: readonly number[], what: string, known: number | undefined, found: number): void {
  if (known !== undefined && known !== found) throw mismatch(plan, name, `${what} = ${known}`, shape);
}

function mismatch(plan: Plan, name: string, expected: string, shape: readonly number[]): RuntimeError {
  return new RuntimeError(
    `${plan.scan}: ${name} ${briefShape(shape)} does not fit: expected ${expected}`,
    'all tensors of a call agree in batch, tokens, heads and groups',
  );
}

/** [tokens, ...] -> [B, T, ...], or [B, ...] in a step. */
export function userShape(plan: Plan, declared: readonly Extent[], found: readonly number[], lead: Lead): readonly number[] {
  if (kindOf(plan, declared[0]) !== 'row') return found;
  return [lead.batch, ...(lead.tokens === undefined ? [] : [lead.tokens]), ...found.slice(1)];
}
