import { ONCE, type DomainId, type Flow, type FlowType, type ValueId } from '../../ir/flow/flow.js';
import type { Axis } from '../../ir/graph/types.js';
import type { Tokens } from '../graph/tokens.js';
import { elementMap, sizeOf } from '../graph/value.js';
import type { Rows } from './rows.js';

export type FlowTensors = ReadonlyMap<string, Float64Array>;

export interface FlowCall {
  /** By path, families in front. */
  readonly params: FlowTensors;
  /** By name, [tokens, ...axes]; for backward, cotangents too: `d_OUT`, and of losses one number, `d_loss.PATH`. */
  readonly inputs: FlowTensors;
  readonly lengths: readonly number[];
  readonly ids?: readonly number[];
  readonly positions?: Float64Array;
  readonly seed?: number;
  readonly step?: number;
  /** What is absent becomes NaN: whoever reads it shows it. */
  readonly poison?: boolean;
}

/** Values of one program, [rows, ...axes]. */
export interface Run {
  readonly flow: Flow;
  readonly call: FlowCall;
  readonly tokens: Tokens;
  readonly values: Map<ValueId, Float64Array>;
  readonly rows: Map<DomainId, Rows>;
  type(id: ValueId): FlowType;
  data(id: ValueId): Float64Array;
  rowsOf(domain: DomainId): Rows;
}

/** A value [rows, ...axes] of a domain, from one of that domain or of one row. It may be the value's own data. */
export function spread(run: Run, id: ValueId, domain: DomainId, axes: readonly Axis[]): Float64Array {
  const type = run.type(id);
  const data = run.data(id);
  const cells = elementMap(axes, type.axes);
  const { count } = run.rowsOf(domain);
  const step = type.domain === ONCE && domain !== ONCE ? 0 : sizeOf(type.axes);
  const out = new Float64Array(count * cells.length);
  for (let row = 0, to = 0; row < count; row++) for (let i = 0; i < cells.length; i++) out[to++] = data[row * step + cells[i]];
  return out;
}

/** 1 where all choices hold; undefined: everywhere. */
export function presence(run: Run, where: readonly ValueId[], domain: DomainId, axes: readonly Axis[]): Float64Array | undefined {
  if (where.length === 0) return undefined;
  const [first, ...rest] = where.map((choice) => {
    const there = spread(run, choice, domain, axes);
    const own = presence(run, run.type(choice).where, domain, axes);
    return own === undefined ? there : there.map((x, i) => (own[i] === 0 ? 0 : x));
  });
  return rest.reduce((all, one) => all.map((x, i) => x * one[i]), first);
}
