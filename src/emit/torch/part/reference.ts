import { ONCE, type Along, type Flow, type FlowValue, type ValueId } from '../../../ir/flow/flow.js';
import { needsOf, readsOf } from '../../../ir/flow/operands.js';
import { groupsOf } from '../../../ir/flow/typing.js';
import { includes, union, without } from '../../../ir/graph/typing.js';
import type { Axis } from '../../../ir/graph/types.js';
import { LEVEL } from '../../../math/arithmetic.js';
import { math } from '../../../math/index.js';

type Of<K extends FlowValue['kind']> = Extract<FlowValue, { kind: K }>;

/** What a printed function takes: names of inputs (cotangents too) and of params, by their place in the Flow. */
export interface PartNames {
  readonly inputs: readonly string[];
  readonly params: readonly string[];
}

/** Results of a function: a value, with its axes in the order in which users see them. */
export interface PrintedResult {
  /** They add up. */
  readonly values: readonly ValueId[];
  readonly axes: readonly Axis[];
}

/** Where keys of draws come from: one for each place of the program that draws, in this order. */
export function drawsOf(flow: Flow): readonly { readonly path: string; readonly number: number }[] {
  const all = flow.values.flatMap((value) => (value.kind === 'draw' ? [{ path: value.path, number: value.number }] : []));
  return [...new Map(all.map((one) => [`${one.path} ${one.number}`, one])).values()];
}

/**
 * A function of PyTorch that computes some values of a Flow from inputs and params alone. Tensors are [rows, ...axes], numbers once have
 * one row; what a choice leaves out may be anything, and folds are told what is there (templates/torch/_rows.py). `open`: names of axes
 * whose extents a call brings, by what it calls these.
 */
export function printFlow(
  flow: Flow, names: PartNames, results: readonly PrintedResult[], title: string, doc: string, open: ReadonlyMap<string, string>,
): readonly string[] {
  const ids = neededBy(flow, results.flatMap(({ values }) => values));
  const printer = new Printer(flow, names, open);
  for (const id of ids) printer.write(id);
  return [
    `def ${title}(rows: Rows, given: dict[str, Tensor], keys: Tensor | None) -> tuple[Tensor, ...]:`,
    `    """${doc}"""`,
    ...printer.lines.map((line) => `    ${line}`),
    '    return (',
    ...results.map((one) => `        ${printer.result(one)},`),
    '    )',
  ];
}

/** What values need, in order. */
function neededBy(flow: Flow, roots: readonly ValueId[]): readonly ValueId[] {
  const needed = new Set<ValueId>();
  const open = [...roots];
  for (let id = open.pop(); id !== undefined; id = open.pop()) {
    if (needed.has(id)) continue;
    needed.add(id);
    const value = flow.values[id];
    const over = 'along' in value && 'arg' in value ? [flow.values[value.arg].type.domain] : [];
    open.push(...readsOf(value, flow.values), ...needsOf(value, flow.domains), ...over.flatMap((at) => {
      const domain = flow.domains[at];
      return domain.kind === 'slot' ? [domain.choice] : [];
    }));
  }
  return [...needed].sort((a, b) => a - b);
}

/** A value in an expression. */
interface Operand {
  readonly text: string;
  readonly level: number;
}

const VARIABLE = /^-?[\w.]+$/;

class Printer {
  readonly lines: string[] = [];
  private readonly places: ReadonlyMap<string, number>;

  constructor(private readonly flow: Flow, private readonly names: PartNames, private readonly open: ReadonlyMap<string, string>) {
    this.places = new Map(drawsOf(flow).map(({ path, number }, i) => [`${path} ${number}`, i]));
  }

  write(id: ValueId): void {
    const value = this.flow.values[id];
    if (value.kind === 'gather' && this.weight(id) !== undefined && this.onlyProducts(id)) return;
    this.lines.push(`v${id} = ${this.text(id, value)}`);
    this.flow.domains.forEach((domain, at) => {
      if (domain.kind !== 'slot' || domain.choice !== id) return;
      const dims = domain.groups.map((axis) => this.dim(value.type.axes, axis));
      this.lines.push(`rows.open(${at}, v${id}, ${list(dims)}, ${this.sizes(domain.groups)})`);
    });
  }

  /** A result as users see it: without the row of what there is once, axes in their order. */
  result({ values, axes }: PrintedResult): string {
    return values.map((value) => {
      const { domain } = this.flow.values[value].type;
      const x = this.whole(value, domain, axes);
      return domain === ONCE ? `${x}[0]` : x;
    }).join(' + ');
  }

  private sizes(axes: readonly Axis[]): string {
    return list(axes.map(({ name, size }) => (this.open.has(name) ? `rows.sizes["${this.open.get(name)}"]` : size)));
  }

  private type(id: ValueId): FlowValue['type'] {
    return this.flow.values[id].type;
  }

  /** The number of an axis among those of a tensor with rows; -1 if it has none such. */
  private dim(axes: readonly Axis[], axis: Axis): number {
    const at = axes.findIndex(({ name }) => name === axis.name);
    return at < 0 ? -1 : at + 1;
  }

  /** A value along axes in this order; those that it lacks have length 1, and so have rows of what there is once. */
  private along(id: ValueId, axes: readonly Axis[]): string {
    return this.reached(`v${id}`, this.type(id).axes, axes);
  }

  private reached(text: string, own: readonly Axis[], axes: readonly Axis[]): string {
    const order = axes.filter((axis) => includes(own, axis)).map((axis) => this.dim(own, axis));
    const permuted = order.some((dim, i) => dim !== i + 1) ? `${text}.permute(0, ${order.join(', ')})` : text;
    if (axes.every((axis) => includes(own, axis))) return permuted;
    const picks = axes.map((axis) => (includes(own, axis) ? ':' : 'None'));
    return `${permuted}[:, ${picks.join(', ')}]`;
  }

  /** The same with all rows of a domain and all elements of the axes. */
  private whole(id: ValueId, domain: number, axes: readonly Axis[]): string {
    const { type } = this.flow.values[id];
    const full = type.domain === domain && axes.every((axis) => includes(type.axes, axis));
    return full ? this.along(id, axes) : `rows.wide(${this.along(id, axes)}, ${domain}, ${this.sizes(axes)})`;
  }

  /** Where all of these choices hold, along axes; None: everywhere. */
  private there(where: readonly ValueId[], axes: readonly Axis[]): string {
    const all = this.conditions(where, axes);
    return all.length === 0 ? 'None' : all.join(' & ');
  }

  private conditions(where: readonly ValueId[], axes: readonly Axis[]): readonly string[] {
    return [...new Set(where.flatMap((choice) => [this.along(choice, axes), ...this.conditions(this.type(choice).where, axes)]))];
  }

  private text(id: ValueId, value: FlowValue): string {
    const { axes, domain } = value.type;
    switch (value.kind) {
      case 'literal': return `rows.full(${number(value.value)}${axes.length === 0 ? '' : `, ${this.sizes(axes)}`})`;
      case 'input': return `given["${this.names.inputs[value.input]}"]`;
      case 'param': return `given["${this.names.params[value.param]}"][None]`;
      case 'count': return `rows.count("${value.of}")`;
      case 'index': return `rows.index(${domain}, ${value.over === undefined ? 'None' : `"${value.over}"`}, ${this.sizes(axes)})`;
      case 'draw': return this.drawn(value);
      case 'map': return this.map(value);
      case 'contract': return this.contract(value);
      case 'fold': {
        const { axes: own } = this.type(value.arg);
        const there = this.there(this.type(value.arg).where, own);
        return `rows.${value.op === 'sum' ? 'sum' : `fold_${value.op}`}(v${value.arg}, ${there}, ${this.group(value.arg, value.along)})`;
      }
      case 'softmax': {
        const { axes: own, where } = this.type(value.arg);
        const sink = value.sink === undefined ? 'None' : this.along(value.sink, [...value.along.kept, ...without(own, value.along.axes)]);
        return `rows.softmax(v${value.arg}, ${sink}, ${this.there(where, own)}, ${this.group(value.arg, value.along)})`;
      }
      case 'top': {
        const { axes: own, where } = this.type(value.arg);
        const count = this.along(value.count, [...value.along.kept, ...without(own, value.along.axes)]);
        return `rows.top(v${value.arg}, ${count}, ${this.there(where, own)}, ${this.group(value.arg, value.along)})`;
      }
      case 'first': case 'others': {
        const { axes: own, where } = this.type(value.arg);
        const name = value.kind === 'first' ? `first_${value.op}` : 'others';
        return `rows.${name}(v${value.arg}, ${this.there(where, own)}, ${this.group(value.arg, value.along)})`;
      }
      case 'gather': {
        const { axes: own, domain: from } = this.type(value.arg);
        const dims = groupsOf(this.flow.domains[value.to]).map((axis) => this.dim(own, axis));
        return `rows.gather(v${value.arg}, ${from}, ${value.to}, ${list(dims)})`;
      }
      case 'restrict': return this.whole(value.arg, domain, axes);
      case 'stop': return `v${value.arg}.detach()`;
      case 'f32': case 'rounded': return `v${value.arg}`;
      case 'lift': {
        const there = this.there(this.type(value.arg).where, axes);
        return there === 'None' ? `v${value.arg}` : this.type(value.arg).kind === 'choice'
          ? `v${value.arg} & ${there}` : `masked(v${value.arg}, ${there})`;
      }
      case 'mask': {
        const there = this.conditions(this.type(value.choice).where, axes);
        return `rows.number(${[`v${value.choice}`, ...there].join(' & ')})`;
      }
      case 'compare': return `${this.along(value.left, axes)} ${value.op} ${this.along(value.right, axes)}`;
      case 'logic': {
        if (value.op === 'not') return `~${this.along(value.args[0], axes)}`;
        const all = value.args.map((arg) => {
          const there = this.conditions(this.type(arg).where, axes);
          const both = [this.along(arg, axes), ...there].join(' & ');
          return there.length > 0 && value.op === 'or' ? `(${both})` : both;
        });
        return all.join(value.op === 'and' ? ' & ' : ' | ');
      }
      case 'pick': return `pick(${this.along(value.arg, [...axes, value.axis])}, ${this.along(value.index, axes)})`;
      case 'place': {
        const lead = axes.slice(0, -1);
        return `place(${this.along(value.arg, lead)}, ${this.along(value.index, lead)}, ${value.axis.size})`;
      }
      case 'sinkhorn': {
        const { axes: own, where } = this.type(value.arg);
        return `rows.sinkhorn(v${value.arg}, ${this.there(where, own)}, ${this.dim(own, value.axis)}, ${number(value.tolerance)})`;
      }
      case 'taps': case 'untap': case 'rope': case 'scan': case 'unscan':
        throw new Error(`${this.flow.name}: value ${id} is a ${value.kind}, which has no kernels either`);
    }
  }

  /** From which domain to which, over which axes of the tensor; which groups stay apart. */
  private group(arg: ValueId, along: Along): string {
    const { domain, axes } = this.type(arg);
    const dims = along.axes.flatMap((axis) => (includes(axes, axis) ? [this.dim(axes, axis)] : []));
    return `${domain}, ${along.to}, ${list(dims.sort((a, b) => a - b))}${this.kept(domain, along)}`;
  }

  private kept(domain: number, { kept }: Along): string {
    const groups = groupsOf(this.flow.domains[domain]);
    return kept.length === 0 ? '' : `, ${list(kept.map((axis) => groups.findIndex(({ name }) => name === axis.name)))}`;
  }

  private drawn({ law, path, number: place, axes, lanes, domain, type }: Of<'draw'>): string {
    const groups = groupsOf(this.flow.domains[domain]);
    const steps = (order: readonly Axis[], box: readonly Axis[]): string => list(box.map((axis) => {
      const at = order.findIndex(({ name }) => name === axis.name);
      return at < 0 ? 0 : order.slice(at + 1).reduce((n, { size }) => n * size, 1);
    }));
    const box = [
      this.sizes(type.axes), steps(axes, type.axes), steps(axes, groups), steps(lanes, type.axes), steps(lanes, groups),
    ].join(', ');
    return `rows.draw("${law}", keys, ${this.places.get(`${path} ${place}`) ?? 0}, ${domain}, ${box})`;
  }

  private map({ fn, args, type }: Of<'map'>): string {
    const tensors = args.filter((arg) => this.flow.values[arg].kind !== 'literal' || this.type(arg).axes.length > 0);
    const operand = (arg: ValueId, needsTensor: boolean): Operand => {
      const value = this.flow.values[arg];
      if (value.kind === 'literal' && tensors.length > 0 && value.axes.length === 0 && !needsTensor) {
        return { text: number(value.value), level: value.value < 0 ? LEVEL.sign : LEVEL.atom };
      }
      return { text: this.along(arg, type.axes), level: LEVEL.atom };
    };
    if (fn === '%') {
      const [x, y] = args.map((arg) => operand(arg, true).text);
      return `torch.remainder(${x}, ${y})`;
    }
    const { torch } = math[fn];
    switch (torch.kind) {
      case 'infix': {
        const [x, y] = args.map((arg) => operand(arg, false));
        return `${bracketed(x, LEVEL.power)} ${torch.operator} ${bracketed(y, LEVEL.power)}`;
      }
      case 'sign': return `-${operand(args[0], false).text}`;
      case 'call': return `${torch.name}(${args.map((arg) => operand(arg, true).text).join(', ')})`;
    }
  }

  /** The weight of an index that a slot reads, [groups, ...]: products with it go group by group. */
  private weight(id: ValueId): string | undefined {
    const value = this.flow.values[id];
    if (value.kind !== 'gather' || this.type(value.arg).domain !== ONCE || value.type.axes.length === 0) return undefined;
    const groups = groupsOf(this.flow.domains[value.to]);
    const own = this.type(value.arg).axes;
    if (groups.length === 0 || !groups.every((axis) => includes(own, axis))) return undefined;
    return `by_groups(${this.along(value.arg, [...groups, ...value.type.axes])}, ${groups.length})`;
  }

  /** Is a weight read by products of its own rows only? */
  private onlyProducts(id: ValueId): boolean {
    return this.flow.values.every((value) => {
      if (!needsOf(value, this.flow.domains).includes(id)) return true;
      return value.kind === 'contract' && this.groupedSide(value) === id;
    });
  }

  /** The operand that is a weight of each group, where the other one has rows of these slots. */
  private groupedSide({ left, right, along }: Of<'contract'>): ValueId | undefined {
    if (along.to === ONCE || left === right) return undefined;
    const domain = Math.max(this.type(left).domain, this.type(right).domain);
    return [right, left].find((id, i) => (
      this.type(id).domain === domain && this.type([left, right][i]).domain === domain && this.weight(id) !== undefined
      && this.weight([left, right][i]) === undefined && this.type(id).where.length === 0
    ));
  }

  private contract(value: Of<'contract'>): string {
    const { left, right, along } = value;
    const domain = Math.max(this.type(left).domain, this.type(right).domain);
    const groups = groupsOf(this.flow.domains[domain]);
    const rest = without(union(this.type(left).axes, this.type(right).axes), along.axes);
    const letter = lettersOf(union(this.type(left).axes, this.type(right).axes));
    const spell = (axes: readonly Axis[]): string => axes.map(({ name }) => letter.get(name) ?? '').join('');
    const grouped = this.groupedSide(value);
    const side = (id: ValueId): readonly [string, string] => {
      const { axes, where, domain: own } = this.type(id);
      const there = this.there(where, axes);
      const text = there === 'None' ? `v${id}` : `masked(v${id}, ${there})`;
      return own === ONCE && domain !== ONCE ? [`${text}[0]`, spell(axes)] : [text, `r${spell(axes)}`];
    };
    if (grouped !== undefined) {
      const [x, letters] = side(grouped === left ? right : left);
      const rowwise = `rows.by_group(${domain}, "${letters},${spell(this.type(grouped).axes)}->r${spell(rest)}", ${x}, ${
        this.weight(grouped) ?? ''})`;
      return along.to === domain ? rowwise : `rows.add(${rowwise}, ${domain}, ${along.to}${this.kept(domain, along)})`;
    }
    const [[l, lLetters], [r, rLetters]] = [side(left), side(right)];
    if (along.to === domain) return `torch.einsum("${lLetters},${rLetters}->r${spell(rest)}", ${l}, ${r})`;
    if (along.to === ONCE && along.kept.length === 0) return `torch.einsum("${lLetters},${rLetters}->${spell(rest)}", ${l}, ${r})[None]`;
    const inOrder = along.kept.length === groups.length && along.kept.every(({ name }, i) => groups[i].name === name);
    const slots = this.type(left).domain === domain && this.type(right).domain === domain;
    if (along.to === ONCE && inOrder && slots) return `rows.sum_by_group(${domain}, "${lLetters},${rLetters}->${spell(rest)}", ${l}, ${r})`;
    const product = `torch.einsum("${lLetters},${rLetters}->r${spell(rest)}", ${l}, ${r})`;
    return `rows.add(${product}, ${domain}, ${along.to}${this.kept(domain, along)})`;
  }
}

/** Letters for the axes of one product; r is for rows. */
function lettersOf(axes: readonly Axis[]): ReadonlyMap<string, string> {
  const free = [...'abcdefghijklmnopqstuvwxyzABCDEFGHIJKLMNOPQSTUVWXYZ'];
  const letters = new Map<string, string>();
  for (const { name } of axes) {
    const own = [...name.slice(name.lastIndexOf('.') + 1)].find((letter) => free.includes(letter)) ?? free[0];
    free.splice(free.indexOf(own), 1);
    letters.set(name, own);
  }
  return letters;
}

function bracketed({ text, level }: Operand, least: number): string {
  return level >= least || (level === LEVEL.atom && VARIABLE.test(text)) ? text : `(${text})`;
}

export function number(value: number): string {
  if (value === Infinity) return 'math.inf';
  if (value === -Infinity) return '-math.inf';
  return Number.isNaN(value) ? 'math.nan' : String(value);
}

function list(items: readonly (number | string)[]): string {
  return items.length === 1 ? `(${items[0]},)` : `(${items.join(', ')})`;
}
