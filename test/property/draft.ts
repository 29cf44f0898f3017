import { randomSource } from '../../src/support/random.js';

/** A scan that is being written: declarations and statements gathered so far, and the dice. */
export interface Draft {
  readonly features: Set<string>;
  /** Values at and near the ends of what an input or param may be, by its name. */
  readonly ends: Map<string, readonly number[]>;
  /** Statements between the declarations and the outputs, in order. */
  readonly lines: string[];
  /** True with this probability. */
  chance(p: number): boolean;
  pick<T>(choices: readonly T[]): T;
  /** One of the words, as often as its weight says. Every choice made this way is a feature. */
  choose<const W extends string>(what: string, weights: readonly (readonly [word: W, weight: number])[]): W;
  /** A name that nothing else has: k, k2, k3 ... */
  fresh(name: string): string;
  /** Declares something and gives its name. */
  input(
    name: string, axes: readonly string[],
    options?: { readonly range?: string; readonly group?: boolean; readonly ends?: readonly number[] },
  ): string;
  param(name: string, axes: readonly string[], options?: { readonly range?: string; readonly ends?: readonly number[] }): string;
  state(name: string, axes: readonly string[]): string;
  constant(name: string, value: string): string;
  bind(name: string, value: string): string;
  /** `value` is undefined where a state of that name is the output. */
  output(name: string, axes: readonly string[], value: string | undefined): void;
  /** The text of the scan. */
  print(name: string): string;
}

export function newDraft(seed: number): Draft {
  const random = randomSource(seed, 'recurrence');
  const used = new Set<string>();
  const features = new Set<string>();
  const ends = new Map<string, readonly number[]>();
  const inputs: string[] = [];
  const params: string[] = [];
  const states: string[] = [];
  const constants: string[] = [];
  const lines: string[] = [];
  const outputs: string[] = [];
  const assigned: string[] = [];
  const shape = (axes: readonly string[]) => `[${axes.join(', ')}]`;

  const draft: Draft = {
    features, ends, lines,
    chance: (p) => random.uniform() < p,
    pick: (choices) => choices[random.below(choices.length)],
    choose(what, weights) {
      let at = random.uniform() * weights.reduce((sum, [, weight]) => sum + weight, 0);
      const [word] = weights.find(([, weight]) => (at -= weight) < 0) ?? weights[0];
      features.add(`${what}: ${word}`);
      return word;
    },
    fresh(name) {
      let free = name;
      for (let n = 2; used.has(free); n++) free = `${name}${n}`;
      used.add(free);
      return free;
    },
    input(name, axes, { range, group, ends: values = [] } = {}) {
      const own = draft.fresh(name);
      if (values.length > 0) ends.set(own, values);
      if (group === true) features.add('per group');
      inputs.push(`${own}: ${shape(axes)}${range === undefined ? '' : ` in ${range}`}${group === true ? ' per group' : ''}`);
      return own;
    },
    param(name, axes, { range, ends: values = [] } = {}) {
      const own = draft.fresh(name);
      if (values.length > 0) ends.set(own, values);
      features.add('param');
      params.push(`${own}: ${shape(axes)}${range === undefined ? '' : ` in ${range}`}`);
      return own;
    },
    state(name, axes) {
      const own = draft.fresh(name);
      states.push(`${own}: ${shape(axes)}`);
      return own;
    },
    constant(name, value) {
      const own = draft.fresh(name);
      constants.push(`const ${own} = ${value}`);
      return own;
    },
    bind(name, value) {
      const own = draft.fresh(name);
      lines.push(`let ${own} = ${value}`);
      return own;
    },
    output(name, axes, value) {
      outputs.push(`${name}: ${shape(axes)}`);
      if (value !== undefined) assigned.push(`${name} = ${value}`);
    },
    print(name) {
      const body = [
        ...constants,
        ...(params.length === 0 ? [] : [`param ${params.join(', ')}`]),
        ...(states.length === 0 ? [] : [`state ${states.join(', ')}`]),
        '',
        ...lines,
        ...assigned,
      ];
      const indented = body.map((line) => (line === '' ? '' : `  ${line}`)).join('\n');
      return `scan ${name}(${inputs.join(', ')}) -> ${outputs.join(', ')} {\n${indented}\n}\n`;
    },
  };
  return draft;
}
