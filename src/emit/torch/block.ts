import type { Axis } from '../../ir/common/axes.js';
import { withoutAxes } from '../../ir/common/axes.js';
import { nodeArguments, type NodeId, type ScanNode } from '../../ir/scan/scan.js';
import { LEVEL } from '../../math/arithmetic.js';
import { math } from '../../math/index.js';

/**
 * A value in printed Python. A tensor has any axes before its own: [H], [B, H] or [B, C, H]; from the right they broadcast. A number is a
 * Python number, or a tensor without axes.
 */
export interface Value {
  readonly text: string;
  readonly level: number;
  readonly axes: readonly Axis[];
  /** A Python number: functions of tensors want it wrapped. */
  readonly number: boolean;
  /** Has the axis of heads, at least. */
  readonly tensor: boolean;
}

/** Longer expressions become variables. */
const MOST_CHARACTERS = 100;

/** Statements of one function, written as values are asked for. */
export interface Block {
  readonly lines: readonly string[];
  write(line: string): void;
  /** A name that nothing has yet. */
  fresh(stem: string): string;
  value(id: NodeId): Value;
  /** A tensor along exactly these axes, in their order; those that it lacks have length 1. */
  along(id: NodeId, axes: readonly Axis[]): string;
  /** The same as something that a method can be called of. */
  whole(id: NodeId, axes: readonly Axis[]): string;
}

export interface BlockParts {
  readonly nodes: readonly ScanNode[];
  /** Nodes that are read from elsewhere, as often as they are. */
  readonly roots: readonly NodeId[];
  /** What a leaf is. */
  readonly leaf: (node: ScanNode) => Value;
  /** The size of an axis, as Python. */
  readonly sizeOf: (axis: Axis) => string;
  /** Names that stand for something else. */
  readonly taken: readonly string[];
}

export function openBlock({ nodes, roots, leaf, sizeOf, taken }: BlockParts): Block {
  const lines: string[] = [];
  const known = new Map<NodeId, Value>();
  const names = new Set(taken);
  const uses = countUses(nodes, roots);
  let variables = 0;

  const fresh = (stem: string): string => {
    let name = stem;
    for (let i = 1; names.has(name); i++) name = `${stem}_${i}`;
    names.add(name);
    return name;
  };

  const variable = (made: Value): Value => {
    variables++;
    const name = fresh(`x${variables}`);
    lines.push(`${name} = ${made.text}`);
    return { ...made, text: name, level: LEVEL.atom };
  };

  const value = (id: NodeId): Value => {
    const found = known.get(id);
    if (found !== undefined) return found;
    const made = make(id);
    const node = nodes[id];
    const again = uses[id] > 1 && (node.kind === 'map' || node.kind === 'reduce' || node.kind === 'head') && !made.number;
    const kept = again || made.text.length > MOST_CHARACTERS ? variable(made) : made;
    known.set(id, kept);
    return kept;
  };

  const make = (id: NodeId): Value => {
    const node = nodes[id];
    switch (node.kind) {
      case 'literal': return numberValue(literalText(node.value));
      case 'size': return numberValue(sizeOf(node.axis));
      case 'map': return map(node);
      case 'reduce': return (node.op === 'sum' ? contraction(node) : undefined) ?? reduce(node);
      case 'head': case 'heads': case 'input': case 'param': case 'cotangent': case 'result': case 'past': case 'ahead':
      case 'last': return leaf(node);
    }
  };

  const map = (node: NodeOf<'map'>): Value => {
    const text = math[node.fn].torch;
    const args = node.args.map((arg) => value(arg));
    const operands = args.map((arg) => aligned(arg, node.axes));
    const number = args.every((arg) => arg.number);
    const result = (printed: string, level: number, isNumber: boolean): Value => (
      { text: printed, level, axes: node.axes, number: isNumber, tensor: args.some((arg) => arg.tensor) }
    );
    switch (text.kind) {
      case 'infix': {
        const [x, y] = operands;
        const power = text.operator === '**';
        // a - (b - c), a / (b * c) and (a ** b) ** c keep their brackets.
        const right = power ? LEVEL.atom : text.operator === '+' ? text.level : text.level + 1;
        return result(`${bracketed(x, power ? LEVEL.atom : text.level)} ${text.operator} ${bracketed(y, right)}`, text.level, number);
      }
      case 'sign': return result(`-${bracketed(operands[0], LEVEL.sign)}`, LEVEL.sign, number);
      case 'call': return result(
        `${text.name}(${operands.map((x) => (x.number ? `number(${x.text})` : x.text)).join(', ')})`, LEVEL.atom, false,
      );
    }
  };

  const reduce = (node: NodeOf<'reduce'>): Value => {
    const arg = value(node.arg);
    const method = { sum: 'sum', max: 'amax', min: 'amin' }[node.op];
    const text = `${bracketed(arg, LEVEL.atom)}.${method}(${arg.axes.indexOf(node.axis) - arg.axes.length})`;
    return tensorValue(text, withoutAxes(arg.axes, [node.axis]));
  };

  /** A sum of products. */
  const contraction = (node: NodeOf<'reduce'>): Value | undefined => {
    const product = nodes[node.arg];
    if (product.kind !== 'map' || product.fn !== 'mul' || uses[node.arg] > 1) return undefined;
    const [x, y] = product.args.map((arg) => value(arg));
    if (!x.axes.includes(node.axis) || !y.axes.includes(node.axis)) return undefined;
    const letters = lettersOf([...x.axes, ...y.axes]);
    const spell = (axes: readonly Axis[]): string => `...${axes.map((axis) => letters.get(axis) ?? '').join('')}`;
    const axes = withoutAxes(product.axes, [node.axis]);
    return tensorValue(`torch.einsum("${spell(x.axes)},${spell(y.axes)}->${spell(axes)}", ${x.text}, ${y.text})`, axes);
  };

  return {
    lines,
    write: (line) => { lines.push(line); },
    fresh,
    value,
    along: (id, axes) => asTensor(aligned(value(id), axes)).text,
    whole: (id, axes) => bracketed(asTensor(aligned(value(id), axes)), LEVEL.atom),
  };
}

const asTensor = (value: Value): Value => (value.number ? tensorValue(`number(${value.text})`, []) : value);

type NodeOf<K extends ScanNode['kind']> = Extract<ScanNode, { kind: K }>;

/** How often each node is read by what the roots need. */
function countUses(nodes: readonly ScanNode[], roots: readonly NodeId[]): readonly number[] {
  const uses = nodes.map(() => 0);
  for (const root of roots) uses[root]++;
  for (let id = nodes.length - 1; id >= 0; id--) if (uses[id] > 0) for (const arg of nodeArguments(nodes[id])) uses[arg]++;
  return uses;
}

export function tensorValue(text: string, axes: readonly Axis[]): Value {
  return { text, level: LEVEL.atom, axes, number: false, tensor: true };
}

/** A letter for every axis: its own first letter where that is free. */
function lettersOf(axes: readonly Axis[]): ReadonlyMap<Axis, string> {
  const letters = new Map<Axis, string>();
  const alphabet = [...'abcdefghijklmnopqrstuvwxyz'];
  for (const axis of axes) {
    if (letters.has(axis)) continue;
    const used = new Set(letters.values());
    const letter = [axis[0].toLowerCase(), ...alphabet].find((candidate) => !used.has(candidate) && /[a-z]/.test(candidate));
    if (letter === undefined) throw new Error(`more than ${alphabet.length} axes`);
    letters.set(axis, letter);
  }
  return letters;
}

export function numberValue(text: string): Value {
  return { text, level: text.startsWith('-') ? LEVEL.sign : LEVEL.atom, axes: [], number: true, tensor: false };
}

function literalText(value: number): string {
  if (!Number.isFinite(value)) return value > 0 ? 'float("inf")' : value < 0 ? 'float("-inf")' : 'float("nan")';
  return Number.isInteger(value) && Math.abs(value) < 1e15 ? `${Object.is(value, -0) ? '-0' : value}.0` : String(value);
}

function bracketed(value: Value, level: number): string {
  return value.level < level ? `(${value.text})` : value.text;
}

/** A value with a place for each of `axes`, so that values with other axes before these broadcast with it. */
function aligned(value: Value, axes: readonly Axis[]): Value {
  if (!value.tensor) return value;
  let { text, level } = value;
  const order = axes.filter((axis) => value.axes.includes(axis));
  if (order.some((axis, i) => axis !== value.axes[i])) {
    text = `permuted(${text}, ${order.map((axis) => value.axes.indexOf(axis)).join(', ')})`;
    level = LEVEL.atom;
  }
  if (order.length < axes.length) {
    text = `${level < LEVEL.atom ? `(${text})` : text}[..., ${axes.map((axis) => (order.includes(axis) ? ':' : 'None')).join(', ')}]`;
    level = LEVEL.atom;
  }
  return { ...value, text, level, axes };
}
