import { scanBuilder, type ScanBuilder } from '../../ir/scan/build.js';
import type { NodeId, TokenProgram } from '../../ir/scan/scan.js';
import type { MathBuilder } from '../../math/math.js';
import { lessOne } from '../normalize/less-one.js';

/** Below it a decay is a number like others; above, what it leaves of a state is the state but for little. */
const NEAR = 0.5;

/**
 * A decay as keep + change: keep is 1 next to 1, else 0. A decay next to 1, rounded, is off by as much at every token, which 10^5 of them
 * add up; the little that is taken away has all its digits, and what rounding the new state loses is as often too much as too little.
 */
export interface Steady<V> {
  readonly keep: V;
  readonly change: V;
}

/** `lessOne`: the decay - 1, with all its digits. */
export function steadyDecay<V>(b: MathBuilder<V>, decay: V, lessOne: V): Steady<V> {
  const keep = b.map('less', b.literal(NEAR), b.map('add', b.literal(1), lessOne));
  return { keep, change: b.map('add', b.map('mul', keep, lessOne), b.map('mul', b.map('sub', b.literal(1), keep), decay)) };
}

/** The state after its decay and what is added to it: the small terms first. */
export function steadyNext<V>(b: MathBuilder<V>, { keep, change }: Steady<V>, old: V, added: V | undefined): V {
  const small = b.map('mul', change, old);
  return b.map('add', b.map('mul', keep, old), added === undefined ? small : b.map('add', small, added));
}

/**
 * A decay - 1: read off the text, or the plain difference, which is exact next to 1. Then it pays, too: what is rounded of decay * state
 * depends on the decay, and may be as much at every token.
 */
export function littleOf(b: ScanBuilder, decay: NodeId): NodeId {
  return lessOne(b, decay) ?? b.map('sub', decay, b.literal(1));
}

/** The same formula, its next states as keep and change where they are a decay times the state before, and more. */
export function steadyToken(token: TokenProgram): TokenProgram {
  const b = scanBuilder(token.nodes);
  const next = token.next.map((id, state) => {
    const old = b.nodes.findIndex((node) => node.kind === 'result' && node.stage === state && node.slot === 1);
    const found = old < 0 ? undefined : decayedSum(b, old, id);
    if (found === undefined) return id;
    const { decay, little, rest } = found;
    return steadyNext(b, steadyDecay(b, decay, little), old, rest);
  });
  return { ...token, nodes: b.nodes, next };
}

/** A sum as decay * old + rest; `little`: the decay - 1, with all its digits. */
interface Decayed {
  readonly decay: NodeId;
  readonly little: NodeId;
  readonly rest: NodeId | undefined;
}

function decayedSum(b: ScanBuilder, old: NodeId, sum: NodeId): Decayed | undefined {
  /** What is beside `old` in a product that has it as a factor; every product is looked at once. */
  const beside = new Map<NodeId, NodeId | undefined>();
  const factorOf = (id: NodeId): NodeId | undefined => {
    const node = b.nodes[id];
    if (node.kind !== 'map' || node.fn !== 'mul') return undefined;
    if (!beside.has(id)) {
      const [x, y] = node.args;
      const [left, right] = [factorOf(x), factorOf(y)];
      const nested = left !== undefined ? b.map('mul', left, y) : right === undefined ? undefined : b.map('mul', x, right);
      beside.set(id, x === old ? y : y === old ? x : nested);
    }
    return beside.get(id);
  };
  const seen = new Set<NodeId>();
  const termOf = (id: NodeId): Decayed | undefined => {
    if (seen.has(id)) return undefined;
    seen.add(id);
    const node = b.nodes[id];
    if (node.kind !== 'map') return undefined;
    const [x, y] = node.args;
    switch (node.fn) {
      case 'mul': {
        const decay = factorOf(id);
        const little = decay === undefined ? undefined : lessOne(b, decay);
        return decay === undefined || little === undefined ? undefined : { decay, little, rest: undefined };
      }
      case 'add': {
        const left = termOf(x);
        if (left !== undefined) return { ...left, rest: left.rest === undefined ? y : b.map('add', left.rest, y) };
        const right = termOf(y);
        return right === undefined ? undefined : { ...right, rest: right.rest === undefined ? x : b.map('add', x, right.rest) };
      }
      case 'sub': {
        const left = termOf(x);
        return left === undefined ? undefined : { ...left, rest: left.rest === undefined ? b.map('neg', y) : b.map('sub', left.rest, y) };
      }
      default: return undefined;
    }
  };
  return termOf(sum);
}
