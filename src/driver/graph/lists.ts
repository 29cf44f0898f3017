import { valuesOf } from '../../interp/flow/machine.js';
import type { Rows } from '../../interp/flow/rows.js';
import type { Flow } from '../../ir/flow/flow.js';
import { groupsOf } from '../../ir/flow/typing.js';
import { elements } from '../../ir/graph/typing.js';
import { tileDomain } from '../../passes/kernels/memory.js';
import type { GivenCall } from './given.js';

/** Where the slots of a call are. */
export interface SlotLists {
  /** By domain: how many slots each group has. */
  readonly counts: Readonly<Record<string, readonly number[]>>;
  list(of: 'token' | 'slots' | 'place', domain: string): Int32Array;
}

/** What the formula chooses, until kernels make these lists themselves. */
export function slotLists(flow: Flow, { inputs, weights: params, lengths }: GivenCall, seed: number): SlotLists {
  const slots = flow.domains.flatMap((domain, id) => (domain.kind === 'slot' ? [{ id, domain }] : []));
  const { rows } = valuesOf(flow, { params, inputs, lengths, seed }, { values: new Map(), rows: new Map() }, [], slots.map(({ id }) => id));
  const found = new Map(slots.map(({ id, domain }) => [tileDomain(id).row, {
    own: rows.get(id), perToken: domain.perToken, width: elements(groupsOf(domain)),
  }]));
  const tokens = lengths.reduce((sum, n) => sum + n, 0);
  return {
    counts: Object.fromEntries([...found].map(([name, { own, width }]) => {
      const counts = new Array<number>(width).fill(0);
      own?.group.forEach((group) => counts[group]++);
      return [name, counts];
    })),
    list(of, domain) {
      const { own, perToken = 1, width = 1 } = found.get(domain) ?? {};
      return own === undefined ? new Int32Array() : listOf(of, own, tokens, perToken, width);
    },
  };
}

function listOf(of: 'token' | 'slots' | 'place', { token, group }: Rows, tokens: number, perToken: number, width: number): Int32Array {
  if (of === 'token') return token;
  const out = new Int32Array(tokens * (of === 'place' ? width : perToken)).fill(-1);
  const next = new Int32Array(tokens);
  token.forEach((one, slot) => {
    out[of === 'place' ? one * width + group[slot] : one * perToken + next[one]++] = slot;
  });
  return out;
}
