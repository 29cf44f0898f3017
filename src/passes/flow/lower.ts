import { at, along, contract, gather, literal, map, pick, restrict, together } from '../../ir/flow/build.js';
import { ONCE, TOKEN, type DomainId, type ValueId } from '../../ir/flow/flow.js';
import { factsOf } from '../../ir/graph/facts.js';
import type { GraphNode } from '../../ir/graph/graph.js';
import { below } from '../../ir/graph/paths.js';
import type { Axis } from '../../ir/graph/types.js';
import { without } from '../../ir/graph/typing.js';
import { resultOf } from './calls.js';
import { foldOf, productOf, topOf, liftedOf } from './folds.js';
import { takenOf } from './update.js';
import { axesOf, low, pastDomain, plainAxes, refuse, type Low, type Scope } from './scope.js';
import { groupsAt, isAlong, meets } from './slots.js';

/** The value of a node on its own domain: once, by sequence, or by token of its part. */
export function valueOf(scope: Scope, id: number): Low {
  return memo(scope, `${id}`, () => make(scope, id));
}

/** The value of a node of the tokens' part at slots of those tokens; what has none of their axes, or no others, is made once and read. */
export function valueAt(scope: Scope, id: number, domain: DomainId): Low {
  if (domain === scope.domain) return valueOf(scope, id);
  const { making: { b }, graph: { nodes } } = scope;
  const node = nodes[id];
  const axes = axesOf(scope, id);
  const groups = groupsAt(b, domain);
  if (axes.some((axis) => axis.past)) return refuse(scope, 'what sees the past is restricted to a choice', node, 'past');
  const wide = meets(axes, groups) && without(axes, groups).length > 0;
  const pushed = wide ? memo(scope, `${id}@${domain}`, () => pushedTo(scope, node, domain) ?? { id: -1, picked: [] }) : undefined;
  return pushed !== undefined && pushed.id >= 0 ? pushed : readAt(scope, valueOf(scope, id), domain, node);
}

function memo({ made }: Scope, key: string, make: () => Low): Low {
  const known = made.get(key);
  if (known !== undefined) return known;
  const value = make();
  made.set(key, value);
  return value;
}

function readAt({ making: { b } }: Scope, { id, picked }: Low, domain: DomainId, { origin }: GraphNode): Low {
  return { id: at(b, id, domain, origin), picked: picked.map((choice) => at(b, choice, domain, origin)) };
}

/** What can be computed row by row, from what it reads at these slots; undefined: what needs other indices. */
function pushedTo(scope: Scope, node: GraphNode, domain: DomainId): Low | undefined {
  const { making: { b } } = scope;
  const groups = groupsAt(b, domain);
  const apart = (axes: readonly Axis[]): boolean => !meets(axes.map(scope.named), groups);
  const local = ((): boolean => {
    switch (node.kind) {
      case 'map': case 'restrict': case 'lift': case 'stop': case 'f32': case 'dropout': case 'normal': case 'uniform':
        return true;
      // What looks at other tokens is computed for all, and read at some.
      case 'result': return tokenwise(scope, node.call);
      case 'contract': case 'softmax': return apart(node.axes);
      case 'fold': return node.silent.length === 0 && apart(node.axes);
      case 'before': case 'conv': return isAlong(scope, [node.arg], domain, node);
      case 'pick': case 'rope': return apart([node.axis]);
      default: return false;
    }
  })();
  return local ? made(scope, node, domain, (id) => valueAt(scope, id, domain)) : undefined;
}

function tokenwise({ graph }: Scope, id: number): boolean {
  const call = graph.nodes[id];
  const part = call.kind === 'call' ? graph.instances[call.instance].part : undefined;
  return part === undefined || part.kind === 'scan' || factsOf(part).tokenwise;
}

function make(scope: Scope, id: number): Low {
  const taken = scope.before === undefined ? undefined : takenOf(scope, scope.before, id);
  return taken ?? made(scope, scope.graph.nodes[id], scope.domain, (arg) => valueOf(scope, arg), id);
}

/** The value of a node on a domain of tokens, from what it reads there. */
function made(scope: Scope, node: GraphNode, domain: DomainId, value: (id: number) => Low, own?: number): Low {
  if (node.type.axes.filter((axis) => axis.past).length > 1) return refuse(scope, 'it sees the past along two axes', node, 'past');
  const { making, graph, path, named } = scope;
  const { b } = making;
  const { origin } = node;
  const one = (arg: Low, body: (id: ValueId) => ValueId): Low => low(body(arg.id), arg);
  switch (node.kind) {
    case 'literal': return low(literal(b, node.value, origin, node.type.axes.map(named)));
    case 'input': return scope.input(node.input);
    case 'param': {
      const { name, axes, buffer } = graph.params[node.param];
      const param = b.param({ path: below(path, name), axes: [...scope.family, ...axes.map(named)], buffer }, origin);
      return low(at(b, param, domain, origin));
    }
    case 'count':
      if (node.of === 'calls') return refuse(scope, 'it counts calls of a step', node);
      if (scope.some && node.of !== 'ranks') return refuse(scope, 'it counts the tokens of a call on some of them', node);
      return low(b.add({ kind: 'count', of: node.of }, origin));
    case 'index':
      if (scope.some && node.over !== undefined) return refuse(scope, 'it counts the tokens of a call on some of them', node);
      return low(b.add({
        kind: 'index', axes: node.axes.map(named), over: node.over === 'position' ? 'time' : node.over, domain: node.over ? TOKEN : ONCE,
      }, origin));
    case 'map': {
      const args = node.args.map(value);
      return low(map(b, node.fn, args.map((arg) => arg.id), origin), ...args);
    }
    case 'contract': return own === undefined ? product(scope, node, value) : productOf(scope, node);
    case 'fold': return own === undefined ? foldOf(scope, node, value(node.arg)) : foldOf(scope, node);
    case 'softmax': {
      const [arg, sink] = [value(node.arg), node.sink === undefined ? undefined : value(node.sink)];
      const past = pastDomain(scope, node.axes) !== undefined;
      const [x, s] = past ? [arg.id, sink?.id] : together(b, sink === undefined ? [arg.id] : [arg.id, sink.id], origin);
      const group = along(plainAxes(scope, node.axes), past ? scope.domain : b.typeOf(x).domain);
      return low(b.add({ kind: 'softmax', arg: x, along: group, sink: s }, origin), arg);
    }
    case 'top': return topOf(scope, node);
    case 'compare': case 'logic': {
      const args = (node.kind === 'compare' ? [node.left, node.right] : node.args).map(value);
      const ids = together(b, args.map((arg) => arg.id), origin);
      return low(node.kind === 'compare' ? b.add({ kind: 'compare', op: node.op, left: ids[0], right: ids[1] }, origin)
        : b.add({ kind: 'logic', op: node.op, args: ids }, origin), ...args);
    }
    case 'mask': return one(value(node.choice), (choice) => b.add({ kind: 'mask', choice }, origin));
    case 'restrict': {
      const [arg, choice] = [value(node.arg), valueOf(scope, node.choice)];
      // Where both exist once, so does the result; slots read the choice at their own index.
      const held = domain === TOKEN ? choice.id : at(b, choice.id, domain, origin);
      return low(restrict(b, arg.id, held, origin), arg);
    }
    case 'lift': return own === undefined ? one(value(node.arg), (arg) => b.add({ kind: 'lift', arg }, origin)) : liftedOf(scope, node);
    case 'pick': {
      const [arg, index] = [value(node.arg), value(node.index)];
      const id = pick(b, arg.id, named(node.axis), index.id, origin);
      const some = b.add({ kind: 'compare', op: '>=', left: index.id, right: literal(b, 0, origin) }, origin);
      return { id, picked: [...low(id, arg, index).picked, some] };
    }
    case 'number': return value(node.arg);
    case 'stop': case 'f32': return one(value(node.arg), (arg) => b.add({ kind: node.kind, arg }, origin));
    case 'before': case 'conv': return shifted(scope, node, domain, value);
    case 'rope': {
      const [arg, frequency] = [value(node.arg), value(node.frequency)];
      if (b.domains[b.typeOf(arg.id).domain].kind === 'pair') return refuse(scope, 'it turns what is seen of the past', node, 'past');
      const [x, f] = together(b, [gather(b, arg.id, domain, origin), frequency.id], origin);
      if (b.typeOf(x).where.some((choice) => meets(b.typeOf(choice).axes, [named(node.axis)]))) {
        return refuse(scope, 'it turns an axis of which some is absent', node);
      }
      const body = { axis: named(node.axis), turn: named(node.turn), pairs: node.pairs, back: false };
      return low(b.add({ kind: 'rope', arg: x, frequency: f, ...body }, origin), arg, frequency);
    }
    case 'sinkhorn': return one(value(node.arg), (arg) => {
      return b.add({ kind: 'sinkhorn', arg: gather(b, arg, TOKEN, origin), axis: named(node.axis), tolerance: node.tolerance }, origin);
    });
    case 'normal': case 'uniform': case 'dropout':
      if (node.type.axes.some((axis) => axis.past) || b.domains[domain].kind === 'pair') {
        return refuse(scope, 'it draws for tokens of a past', node, 'past');
      }
      return randomOf(scope, node, domain, value);
    case 'past': {
      if (scope.domain !== TOKEN) return refuse(scope, 'it sees the past of some tokens only', node, 'past');
      const [arg, pairs] = [value(node.arg), pastDomain(scope, [node.axis]) ?? TOKEN];
      return low(gather(b, gather(b, arg.id, TOKEN, origin), pairs, origin, 'source'), arg);
    }
    case 'call': return low(literal(b, 0, origin));
    case 'result': return resultOf(scope, node, pastDomain(scope, node.type.axes) ?? domain);
  }
}

function product(scope: Scope, node: Extract<GraphNode, { kind: 'contract' }>, value: (id: number) => Low): Low {
  const [left, right] = [value(node.left), value(node.right)];
  return low(contract(scope.making.b, left.id, right.id, node.axes.map(scope.named), node.origin), left, right);
}

function drawn(
  scope: Scope, domain: DomainId, law: 'normal' | 'uniform', number: number, axes: readonly Axis[], { origin }: GraphNode,
): ValueId {
  const { making: { b }, path, named, lanes } = scope;
  return b.add({ kind: 'draw', law, path, number, axes: axes.map(named), lanes, domain }, origin);
}

function randomOf(
  scope: Scope, node: Extract<GraphNode, { kind: 'normal' | 'uniform' | 'dropout' }>, domain: DomainId, value: (id: number) => Low,
): Low {
  const { making: { b } } = scope;
  const { origin } = node;
  const draw = (law: 'normal' | 'uniform'): ValueId => drawn(scope, domain, law, node.draw, node.type.axes, node);
  if (node.kind === 'normal') return low(draw('normal'));
  if (node.kind === 'uniform') {
    const wide = map(b, 'mul', [literal(b, node.hi - node.lo, origin), draw('uniform')], origin);
    return low(node.lo === 0 ? wide : map(b, 'add', [literal(b, node.lo, origin), wide], origin));
  }
  const arg = value(node.arg);
  if (node.rate <= 0) return arg;
  const kept = b.add({ kind: 'compare', op: '>=', left: draw('uniform'), right: literal(b, node.rate, origin) }, origin);
  const factor = map(b, 'div', [b.add({ kind: 'mask', choice: kept }, origin), literal(b, 1 - node.rate, origin)], origin);
  return low(map(b, 'mul', [arg.id, factor], origin), arg);
}

/** Values of tokens before this one: along sequences, not yet along those tokens only at which something is present. */
function shifted(
  scope: Scope, node: Extract<GraphNode, { kind: 'before' | 'conv' }>, domain: DomainId, value: (id: number) => Low,
): Low {
  const { making: { b }, named } = scope;
  const { origin } = node;
  const arg = value(node.arg);
  if (b.domains[b.typeOf(arg.id).domain].kind === 'pair') return refuse(scope, 'it goes along tokens of a past', node, 'past');
  const x = gather(b, arg.id, domain, origin);
  if (b.typeOf(x).where.length > 0 || scope.domain !== TOKEN) return refuse(scope, 'it goes along some of the tokens only', node);
  if (node.kind === 'conv') {
    const [weight, taps] = [value(node.weight), named(node.taps)];
    return low(contract(b, weight.id, b.add({ kind: 'taps', arg: x, axis: taps }, origin), [taps], origin), weight);
  }
  const axis: Axis = { name: '%before', size: 2, past: false };
  const first = b.add({ kind: 'index', axes: [axis], over: undefined, domain: ONCE }, origin);
  const weight = map(b, 'sub', [literal(b, 1, origin), first], origin);
  return low(contract(b, weight, b.add({ kind: 'taps', arg: x, axis }, origin), [axis], origin));
}
