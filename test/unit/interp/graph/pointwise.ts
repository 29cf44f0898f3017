import type { Graph, GraphNode } from '../../../../src/ir/graph/graph.js';
import { below, instancePath, lossPath } from '../../../../src/ir/graph/paths.js';
import type { Axis, Silent } from '../../../../src/ir/graph/types.js';
import { fillDraws, keyOf, type Draw } from '../../../../src/support/noise.js';
import type { GraphCall } from '../../../../src/interp/graph/machine.js';
import { runSpec } from '../../../../src/interp/spec.js';
import { math } from '../../../../src/math/index.js';

/**
 * The meaning of graphs once more, one number after the other: what is the value of a node at this token and these indices? No arrays of
 * values, no masks, no gradients; what is absent is undefined. Slow, and nothing like the interpreter.
 */
interface Number {
  readonly x: number;
  /** Picked by no index: left out where tokens are folded. */
  readonly out: boolean;
}

type Found = Number | undefined;

/** A token by its number in the world, or a sequence alone, or nothing. */
interface Place {
  readonly sequence: number;
  readonly token: number;
  /** By name of the axis; of an axis over the past, the number of the token. */
  readonly at: ReadonlyMap<string, number>;
}

interface Token {
  readonly sequence: number;
  readonly time: number;
  readonly key: readonly [position: number, sequence: number];
}

interface World {
  readonly graph: Graph;
  readonly call: GraphCall;
  readonly path: string;
  readonly family: number;
  readonly families: number;
  readonly lane: number;
  readonly sequences: number;
  readonly tokens: readonly Token[];
  input(index: number, place: Place): Found;
  readonly known: Map<string, Found>;
  readonly worlds: Map<string, World>;
  readonly scans: Map<string, (place: Place) => Found>;
}

const size = (axes: readonly Axis[]): number => axes.reduce((n, axis) => n * axis.size, 1);
const number = (axes: readonly Axis[], at: ReadonlyMap<string, number>): number =>
  axes.reduce((n, axis) => n * axis.size + (at.get(axis.name) ?? NaN), 0);
const there = (x: number): Number => ({ x, out: false });

/** All places that differ in some axes. */
function places(world: World, axes: readonly Axis[], place: Place): Place[] {
  return axes.reduce<Place[]>((all, axis) => all.flatMap((one) => {
    const indices = axis.past ? seen(world, axis, one.token) : Array.from({ length: axis.size }, (_, i) => i);
    return indices.map((i) => ({ ...one, at: new Map(one.at).set(axis.name, i) }));
  }), [place]);
}

function seen({ tokens }: World, axis: Axis, token: number): number[] {
  const all = tokens.flatMap((other, i) => (other.sequence === tokens[token].sequence && i <= token ? [i] : []));
  return axis.size === Infinity ? all : all.slice(-axis.size);
}

function overSilent({ tokens, sequences }: World, silent: readonly Silent[], place: Place): Place[] {
  const every = tokens.map((token, i): Place => ({ ...place, sequence: token.sequence, token: i }));
  if (silent.includes('tokens') || (silent.includes('time') && silent.includes('batch'))) return every;
  if (silent.includes('time')) return every.filter(({ sequence }) => sequence === place.sequence);
  if (silent.includes('batch')) return Array.from({ length: sequences }, (_, sequence) => ({ ...place, sequence, token: -1 }));
  return [place];
}

function valueAt(world: World, id: number, place: Place): Found {
  const { type } = world.graph.nodes[id];
  const own = type.axes.map(({ name }) => place.at.get(name));
  const key = `${id} ${place.sequence} ${place.token} ${own.join()}`;
  if (!world.known.has(key)) world.known.set(key, compute(world, world.graph.nodes[id], id, place));
  return world.known.get(key);
}

function compute(world: World, node: GraphNode, id: number, place: Place): Found {
  const at = (arg: number, where: Place = place): Found => valueAt(world, arg, where);
  const token = world.tokens[place.token];
  switch (node.kind) {
    case 'literal': return there(node.value);
    case 'input': return world.input(node.input, place);
    case 'param': {
      const { name, axes } = world.graph.params[node.param];
      const data = world.call.params.get(below(world.path, name));
      return there(data?.[world.family * size(axes) + number(axes, place.at)] ?? NaN);
    }
    case 'count': return there(countOf(world, node.of, place));
    case 'index': {
      const outer = node.over === undefined ? 0 : node.over === 'time' ? token.time : place.token;
      return there(outer * size(node.axes) + number(node.axes, place.at));
    }
    case 'map': {
      const args = node.args.map((arg) => at(arg));
      if (args.some((arg) => arg === undefined)) return undefined;
      const [x, y] = args.map((arg) => arg?.x ?? NaN);
      return { x: node.fn === '%' ? x - y * Math.floor(x / y) : math[node.fn].f64(x, y ?? x), out: args.some((arg) => arg?.out) };
    }
    case 'contract': {
      const terms = places(world, node.axes, place).map((one): Found => {
        const [a, b] = [at(node.left, one), at(node.right, one)];
        return a && b && { x: a.x * b.x, out: a.out || b.out };
      });
      const own = terms.filter((term) => term !== undefined);
      if (staysAbsent(world, [node.left, node.right], node.axes, place)) return undefined;
      return { x: own.reduce((sum, term) => sum + term.x, 0), out: own.some((term) => term.out) };
    }
    case 'fold': return foldAt(world, node, place);
    case 'softmax': {
      const own = at(node.arg);
      if (own === undefined) return undefined;
      const all = places(world, node.axes, place).map((one) => at(node.arg, one)).filter((one) => one !== undefined);
      const sink = node.sink === undefined ? 0 : Math.exp(at(node.sink)?.x ?? NaN);
      return { x: Math.exp(own.x) / (all.reduce((sum, { x }) => sum + Math.exp(x), 0) + sink), out: own.out };
    }
    case 'top': {
      const own = at(node.arg);
      if (own === undefined) return there(0);
      const count = Math.floor(at(node.count, node.silent.length > 0 ? { ...place, token: -1 } : place)?.x ?? NaN);
      const rivals = overSilent(world, node.silent, place).flatMap((one) => places(world, node.axes, one));
      const before = rivals.filter((one) => {
        const other = at(node.arg, one);
        if (other === undefined) return false;
        return other.x > own.x || (other.x === own.x && order(node.axes, one) < order(node.axes, place));
      });
      return there(before.length < count ? 1 : 0);
    }
    case 'compare': {
      const [a, b] = [at(node.left), at(node.right)];
      if (a === undefined || b === undefined) return undefined;
      const holds = { '<': a.x < b.x, '<=': a.x <= b.x, '>': a.x > b.x, '>=': a.x >= b.x, '==': a.x === b.x, '!=': a.x !== b.x }[node.op];
      return there(holds ? 1 : 0);
    }
    case 'logic': {
      const args = node.args.map((arg) => at(arg));
      if (node.op === 'not') return args[0] && there(1 - args[0].x);
      const holds = args.map((arg) => arg?.x === 1);
      return there((node.op === 'and' ? holds.every(Boolean) : holds.some(Boolean)) ? 1 : 0);
    }
    case 'mask': return there(at(node.choice)?.x === 1 ? 1 : 0);
    case 'restrict': return at(node.choice)?.x === 1 ? at(node.arg) : undefined;
    case 'lift': return at(node.arg) ?? there(0);
    case 'pick': {
      const index = at(node.index);
      if (index === undefined) return undefined;
      return index.x < 0 ? { x: 0, out: true } : at(node.arg, { ...place, at: new Map(place.at).set(node.axis.name, index.x) });
    }
    case 'number': case 'f32': case 'stop': return at(node.arg);
    case 'before': return at(node.arg) && there(earlier(world, node.arg, place, 1)[1] ?? 0);
    case 'conv': {
      if (at(node.arg) === undefined) return undefined;
      const rows = earlier(world, node.arg, place, node.taps.size - 1);
      return there(rows.reduce((sum, x, back) => {
        const w = at(node.weight, { ...place, at: new Map(place.at).set(node.taps.name, node.taps.size - 1 - back) });
        return sum + x * (w?.x ?? NaN);
      }, 0));
    }
    case 'past': {
      const source = place.at.get(node.axis.name) ?? NaN;
      const found = at(node.arg, { ...place, token: source });
      return found && there(found.x);
    }
    case 'rope': {
      const own = at(node.arg);
      const [i, half] = [place.at.get(node.axis.name) ?? NaN, node.turn.size];
      if (own === undefined || i >= 2 * half) return own;
      const [pair, second] = node.pairs === 'halves' ? [i % half, i >= half] : [Math.floor(i / 2), i % 2 === 1];
      const partner = node.pairs === 'halves' ? (second ? i - half : i + half) : second ? i - 1 : i + 1;
      const other = at(node.arg, { ...place, at: new Map(place.at).set(node.axis.name, partner) });
      if (other === undefined) return undefined;
      const angle = token.time * (at(node.frequency, { ...place, at: new Map(place.at).set(node.turn.name, pair) })?.x ?? NaN);
      return { x: own.x * Math.cos(angle) + (second ? 1 : -1) * other.x * Math.sin(angle), out: own.out };
    }
    case 'sinkhorn': throw new Error('sinkhorn is held against loops of its own');
    case 'normal': return there(drawn(world, 'normal', node.draw, node.type.axes, place));
    case 'uniform': return there(node.lo + (node.hi - node.lo) * drawn(world, 'uniform', node.draw, node.type.axes, place));
    case 'dropout': {
      const own = at(node.arg);
      if (own === undefined || node.rate <= 0) return own;
      return { x: drawn(world, 'uniform', node.draw, node.type.axes, place) < node.rate ? 0 : own.x / (1 - node.rate), out: own.out };
    }
    case 'call': return there(0);
    case 'result': return resultAt(world, node, place);
  }
  throw new Error(`node ${id} is of no kind`);
}

/** Does a restriction that has none of the folded axes say that it is absent here? */
function staysAbsent(world: World, args: readonly number[], axes: readonly Axis[], place: Place): boolean {
  const { nodes } = world.graph;
  return args.some((arg) => nodes[arg].type.restricted.some((choice) => {
    const ends = nodes[choice].type.axes.some(({ name }) => axes.some((axis) => axis.name === name));
    return !ends && valueAt(world, choice, place)?.x !== 1;
  }));
}

const order = (axes: readonly Axis[], { token, at }: Place): number => token * size(axes) + number(axes, at);

function countOf({ tokens, sequences }: World, of: Silent, { sequence }: Place): number {
  switch (of) {
    case 'tokens': return tokens.length;
    case 'batch': return sequences;
    case 'time': return tokens.filter((token) => token.sequence === sequence).length;
    case 'ranks': case 'calls': return 1;
  }
}

function foldAt(world: World, node: Extract<GraphNode, { kind: 'fold' }>, place: Place): Found {
  const tokens = node.silent.some((name) => name === 'tokens' || name === 'time');
  const all = overSilent(world, node.silent,
    place).flatMap((one) => places(world, node.axes, one)).map((one) => valueAt(world, node.arg, one));
  const own = all.filter((one) => one !== undefined && !(tokens && one.out)).map((one) => one ?? there(NaN));
  const xs = own.map(({ x }) => x);
  const out = !tokens && own.some((one) => one.out);
  const silent = node.silent.some((name) => name !== 'ranks' && name !== 'calls');
  if (!silent && staysAbsent(world, [node.arg], node.axes, place)) return undefined;
  switch (node.op) {
    case 'sum': return { x: xs.reduce((a, b) => a + b, 0), out };
    case 'mean': return { x: xs.length === 0 ? 0 : xs.reduce((a, b) => a + b, 0) / xs.length, out };
    case 'prod': return { x: xs.reduce((a, b) => a * b, 1), out };
    case 'max': return xs.length === 0 ? undefined : { x: Math.max(...xs), out };
    case 'min': return xs.length === 0 ? undefined : { x: Math.min(...xs), out };
    case 'logsumexp': return xs.length === 0 ? undefined : { x: Math.log(xs.reduce((sum, x) => sum + Math.exp(x), 0)), out };
  }
}

/** The value here, at the token before at which it is present, and so on; 0 before the sequence. */
function earlier(world: World, arg: number, place: Place, most: number): number[] {
  const found = [valueAt(world, arg, place)?.x ?? NaN];
  for (let i = place.token - 1; i >= 0 && found.length <= most; i--) {
    if (world.tokens[i].sequence !== place.sequence) break;
    const value = valueAt(world, arg, { ...place, token: i });
    if (value !== undefined) found.push(value.x);
  }
  return found;
}

function drawn({ call, path, tokens, lane }: World, draw: Draw, index: number, axes: readonly Axis[], { token, at }: Place): number {
  const out = new Float64Array(size(axes));
  fillDraws(draw, keyOf(call.seed ?? 0, path, call.step ?? 0, index), [...tokens[token].key, lane], out, 0, out.length);
  return out[number(axes, at)];
}

function resultAt(world: World, node: Extract<GraphNode, { kind: 'result' }>, place: Place): Found {
  const call = world.graph.nodes[node.call];
  if (call.kind !== 'call') throw new Error('no call');
  const { part } = world.graph.instances[call.instance];
  if (part.kind === 'scan') return scanAt(world, call, node.output, place);
  const { inner, rows } = calledAt(world, node.call, call, place);
  const token = place.token < 0 ? -1 : rows.indexOf(place.token);
  const output = part.outputs[node.output];
  if (place.token >= 0 && token < 0) return undefined;
  const names = new Map(output.axes.map(({ name }) => [name, place.at.get(call.renamed.get(name) ?? name) ?? NaN]));
  return valueAt(inner, output.value, { sequence: place.sequence, token, at: names });
}

type Call = Extract<GraphNode, { kind: 'call' }>;

function lanesOf(world: World, call: Call): Axis[] {
  const { family } = world.graph.instances[call.instance];
  return [...family, ...call.mapped.filter(({ name }) => !family.some((axis) => axis.name === name))];
}

/** The world of a call at the indices of its lanes: the tokens at which all arguments are present. */
function calledAt(world: World, id: number, call: Call, place: Place): { inner: World; rows: readonly number[] } {
  const instance = world.graph.instances[call.instance];
  const { part } = instance;
  if (part.kind === 'scan') throw new Error('a scan has no world');
  const lanes = lanesOf(world, call);
  const index = lanes.map(({ name }) => place.at.get(name) ?? NaN);
  const key = `${id} ${index.join()}`;
  const at = new Map(lanes.map(({ name }, i) => [name, index[i]]));
  const rows = world.tokens.flatMap((token, i) => {
    const here: Place = { sequence: token.sequence, token: i, at };
    const present = call.args.every((arg) => {
      const others = world.graph.nodes[arg].type.axes.filter((axis) => !at.has(axis.name));
      return world.graph.nodes[arg].type.restricted.length === 0 || places(world, others,
        here).every((one) => valueAt(world, arg, one) !== undefined);
    });
    return present ? [i] : [];
  });
  const known = world.worlds.get(key);
  if (known !== undefined) return { inner: known, rows };
  const times = new Map<number, number>();
  const family = size(instance.family);
  const inner: World = {
    graph: part, call: world.call, path: below(world.path, instancePath(instance)), sequences: world.sequences,
    family: world.family * family + number(instance.family, at), families: world.families * family,
    lane: world.lane * size(lanes) + number(lanes, at),
    tokens: rows.map((row) => {
      const { sequence, key: own } = world.tokens[row];
      const time = times.get(sequence) ?? 0;
      times.set(sequence, time + 1);
      return { sequence, time, key: own };
    }),
    input(i, one) {
      const names = new Map(at);
      for (const { name } of part.inputs[i].type.axes) names.set(call.renamed.get(name) ?? name, one.at.get(name) ?? NaN);
      return valueAt(world, call.args[i], { sequence: one.sequence, token: one.token < 0 ? -1 : rows[one.token], at: names });
    },
    known: new Map(), worlds: new Map(), scans: new Map(),
  };
  world.worlds.set(key, inner);
  return { inner, rows };
}

/** A scan, head by head, on the tokens of the head. */
function scanAt(world: World, call: Call, output: number, place: Place): Found {
  const instance = world.graph.instances[call.instance];
  const { part } = instance;
  if (part.kind !== 'scan') throw new Error('no scan');
  const lanes = lanesOf(world, call).length > 0 ? lanesOf(world, call) : [...part.heads];
  const [head, heads] = [number(lanes, place.at), size(lanes)];
  const key = `${call.instance} ${call.args.join()} ${output} ${head}`;
  const outer = (name: string): string => call.renamed.get(name) ?? name;
  const axesOf = (names: readonly string[]): Axis[] =>
    names.map((name) => ({ name: outer(name), size: part.sizes.get(name) ?? NaN, past: false }));
  const known = world.scans.get(key);
  if (known !== undefined) return known(place);
  const at = new Map(lanes.map(({ name }) => [name, place.at.get(name) ?? NaN]));
  const here = (token: number): Place => ({ sequence: world.tokens[token].sequence, token, at });
  const read = (arg: number, axes: readonly Axis[], token: number): Found[] =>
    places(world, axes, here(token)).map((one) => valueAt(world, arg, one));
  const { spec } = part;
  const rows = world.tokens.flatMap((_, token) => {
    return spec.inputs.every(({ axes }, i) => read(call.args[i], axesOf(axes), token).every((one) => one !== undefined)) ? [token] : [];
  });
  const lengths = Array.from({ length: world.sequences }, (_, n) => rows.filter((row) => world.tokens[row].sequence === n).length);
  const tensors = new Map<string,
    Float64Array>(spec.inputs.map(({ name, axes }, i) =>
    [name, Float64Array.from(rows.flatMap((row) => read(call.args[i], axesOf(axes), row).map((one) => one?.x ?? NaN)))]));
  for (const { name, axes } of spec.params) {
    const width = size(axesOf(axes));
    const first = (world.family * heads + head) * width;
    tensors.set(name, (world.call.params.get(below(below(world.path, instancePath(instance)),
      name)) ?? new Float64Array()).subarray(first, first + width));
  }
  const found = runSpec(spec, { sizes: part.sizes, heads: 1, groups: 1, lengths, within: { first: head, heads } },
    tensors).get(spec.outputs[output].name);
  const axes = axesOf(spec.outputs[output].axes);
  const answer = (one: Place): Found => {
    const row = rows.indexOf(one.token);
    return row < 0 ? undefined : there(found?.[row * size(axes) + number(axes, one.at)] ?? NaN);
  };
  world.scans.set(key, answer);
  return answer(place);
}

function lossesOf(world: World, losses: Map<string, number>): void {
  const { graph, path } = world;
  for (const loss of graph.losses) {
    const name = below(path, lossPath(loss));
    losses.set(name, (losses.get(name) ?? 0) + (valueAt(world, loss.value, { sequence: -1, token: -1, at: new Map() })?.x ?? 0));
  }
  graph.nodes.forEach((node, id) => {
    if (node.kind !== 'call' || graph.instances[node.instance].part.kind === 'scan') return;
    for (const place of places(world, lanesOf(world, node), { sequence: -1, token: -1, at: new Map() })) lossesOf(calledAt(world, id,
      node, place).inner, losses);
  });
}

/** Outputs, [tokens, ...axes] by name, and losses by path. */
export function evaluatePointwise(graph: Graph, call: GraphCall): { outputs: Map<string, number[]>; losses: Map<string, number> } {
  const tokens = call.lengths.flatMap((length, sequence) =>
    Array.from({ length }, (_, time): Token => ({ sequence, time, key: [time, call.ids?.[sequence] ?? sequence] })));
  const world: World = {
    graph, call, path: '', family: 0, families: 1, lane: 0, sequences: call.lengths.length, tokens,
    input(i, place) {
      const { name, type } = graph.inputs[i];
      return there(call.inputs.get(name)?.[place.token * size(type.axes) + number(type.axes, place.at)] ?? NaN);
    },
    known: new Map(), worlds: new Map(), scans: new Map(),
  };
  const outputs = new Map(graph.outputs.map(({ name, axes, value }) => [name, tokens.flatMap((token, i) => {
    return places(world, axes, { sequence: token.sequence, token: i, at: new Map() }).map((place) => valueAt(world, value, place)?.x ?? 0);
  })]));
  const losses = new Map<string, number>();
  lossesOf(world, losses);
  return { outputs, losses };
}
