import type { NodeBody } from './graph.js';
import { LEVELS, type Axis, type Level, type Silent, type ValueType } from './types.js';

/** Kinds of nodes whose type does not follow from what they read. */
export type Given = 'literal' | 'input' | 'param' | 'count' | 'index' | 'normal' | 'uniform' | 'call' | 'result';

export type Typed = Exclude<NodeBody, { readonly kind: Given }>;

export function isTyped(body: NodeBody): body is Typed {
  switch (body.kind) {
    case 'literal': case 'input': case 'param': case 'count': case 'index': case 'normal': case 'uniform': case 'call':
    case 'result': return false;
    default: return true;
  }
}

export function number(axes: readonly Axis[], level: Level, restricted: readonly number[] = []): ValueType {
  return { kind: 'number', axes, level, restricted, of: undefined };
}

/** The type of a node, from those of the nodes that it reads. */
export function typeOf(body: Typed, of: (id: number) => ValueType): ValueType {
  switch (body.kind) {
    case 'map': return joined(body.args.map(of), 'number');
    case 'contract': {
      const both = joined([of(body.left), of(body.right)], 'number');
      return { ...both, axes: without(both.axes, body.axes), restricted: left(both.restricted, body.axes, of) };
    }
    case 'fold': {
      const x = of(body.arg);
      const tokens = body.silent.length > 0;
      return { ...x, axes: without(x.axes, body.axes), level: folded(x.level, body.silent),
        restricted: tokens ? [] : left(x.restricted, body.axes, of) };
    }
    case 'top': return { ...of(body.arg), kind: 'choice', restricted: [] };
    case 'compare': return joined([of(body.left), of(body.right)], 'choice');
    case 'logic': {
      const all = joined(body.args.map(of), 'choice');
      return body.op === 'not' ? all : { ...all, restricted: [] };
    }
    case 'mask': return { ...of(body.choice), kind: 'number', restricted: [] };
    case 'restrict': {
      const [x, c] = [of(body.arg), of(body.choice)];
      return { ...x, axes: union(x.axes, c.axes), level: highest(x.level, c.level), restricted: sorted([...x.restricted, body.choice]) };
    }
    case 'lift': return { ...of(body.arg), restricted: [] };
    case 'pick': {
      const [x, i] = [of(body.arg), of(body.index)];
      const restricted = sorted([...left(x.restricted, [body.axis], of), ...i.restricted]);
      return { ...x, axes: union(without(x.axes, [body.axis]), i.axes), level: highest(x.level, i.level), restricted };
    }
    case 'number': return { ...of(body.arg), kind: 'number', of: undefined };
    case 'past': {
      const x = of(body.arg);
      return { ...x, axes: [...x.axes, body.axis], level: 'token', restricted: [] };
    }
    case 'before': case 'conv': case 'rope': return { ...of(body.arg), level: 'token' };
    case 'softmax': case 'sinkhorn': case 'dropout': case 'stop': case 'f32': return of(body.arg);
  }
}

/** What several values give together: axes by first appearance, as many copies as that with most, present where all are. */
function joined(types: readonly ValueType[], kind: ValueType['kind']): ValueType {
  return {
    kind,
    axes: union(...types.map((type) => type.axes)),
    level: types.map((type) => type.level).reduce(highest, 'static'),
    restricted: sorted(types.flatMap((type) => type.restricted)),
    of: undefined,
  };
}

/** Restrictions that stay when axes are folded: folding an axis of a choice ends it. */
function left(restricted: readonly number[], gone: readonly Axis[], of: (id: number) => ValueType): readonly number[] {
  return restricted.filter((choice) => !of(choice).axes.some((axis) => includes(gone, axis)));
}

/** How often a value exists after silent axes are folded. */
export function folded(level: Level, silent: readonly Silent[]): Level {
  if (silent.includes('calls')) return 'step';
  if (silent.includes('tokens') || silent.includes('batch')) return 'call';
  if (silent.includes('time')) return 'sequence';
  return level;
}

export function highest(a: Level, b: Level): Level {
  return LEVELS.indexOf(a) >= LEVELS.indexOf(b) ? a : b;
}

export function includes(axes: readonly Axis[], axis: Axis): boolean {
  return axes.some((own) => own.name === axis.name);
}

export function union(...lists: readonly (readonly Axis[])[]): readonly Axis[] {
  const found: Axis[] = [];
  for (const axis of lists.flat()) if (!includes(found, axis)) found.push(axis);
  return found;
}

export function without(axes: readonly Axis[], gone: readonly Axis[]): readonly Axis[] {
  return axes.filter((axis) => !includes(gone, axis));
}

export function sameAxes(a: readonly Axis[], b: readonly Axis[]): boolean {
  return a.length === b.length && a.every((axis) => includes(b, axis));
}

/** Number of elements along named axes; those of the past count once. */
export function elements(axes: readonly Axis[]): number {
  return axes.reduce((n, axis) => (axis.past ? n : n * axis.size), 1);
}

function sorted(ids: readonly number[]): readonly number[] {
  return [...new Set(ids)].sort((a, b) => a - b);
}
