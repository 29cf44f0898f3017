/** Axes of a value, in no particular order. */
export type Shape = readonly string[];

/** An expression that is well typed by construction, as a tree: what is printed, and what can be made smaller. */
export type Term =
  /** A name, a number, or a name at `[t-1]`. */
  | { readonly kind: 'leaf'; readonly text: string; readonly name: string | undefined; readonly shape: Shape }
  | { readonly kind: 'infix'; readonly sign: '+' | '-' | '*' | '/' | '@' | '^';
      readonly args: readonly [Term, Term]; readonly shape: Shape }
  | { readonly kind: 'negated'; readonly args: readonly [Term]; readonly shape: Shape }
  /** `fn[axes](args)`. */
  | { readonly kind: 'call'; readonly fn: string; readonly axes: Shape; readonly args: readonly Term[]; readonly shape: Shape };

export interface Tensor {
  readonly role: 'input' | 'param' | 'state';
  readonly name: string;
  readonly shape: Shape;
  readonly range?: string;
  readonly group?: boolean;
}

export interface Line {
  readonly kind: 'let' | 'assign';
  readonly name: string;
  readonly value: Term;
}

export interface Program {
  readonly name: string;
  readonly sequential: boolean;
  readonly sizes: ReadonlyMap<string, number>;
  /** In the order of their declaration. */
  readonly tensors: readonly Tensor[];
  /** May have the names of states. */
  readonly outputs: readonly { readonly name: string; readonly shape: Shape }[];
  readonly lines: readonly Line[];
}

const LEVELS = { '+': 1, '-': 1, '*': 2, '/': 2, '@': 3, '^': 5 } as const;

export function printTerm(term: Term, level = 0): string {
  const held = (text: string, own: number) => (level > own ? `(${text})` : text);
  switch (term.kind) {
    case 'leaf': return term.text.startsWith('-') ? held(term.text, 3) : term.text;
    case 'negated': return held(`-${printTerm(term.args[0], 5)}`, 3);
    case 'call':
      return `${term.fn}${term.axes.length === 0 ? '' : `[${term.axes.join(', ')}]`}(${term.args.map((arg) => printTerm(arg)).join(', ')})`;
    case 'infix': {
      const own = LEVELS[term.sign];
      // A power has nothing but atoms beside it, and a contraction holds its right side together.
      const [left, right] = term.sign === '^' ? [6, 6] : [own, own + 1];
      return held(`${printTerm(term.args[0], left)}${term.sign === '^' ? '^' : ` ${term.sign} `}${printTerm(term.args[1], right)}`, own);
    }
  }
}

export function argumentsOf(term: Term): readonly Term[] {
  return term.kind === 'leaf' ? [] : term.args;
}

/** Names in a term. */
export function namesIn(term: Term): readonly string[] {
  if (term.kind === 'leaf') return term.name === undefined ? [] : [term.name];
  return term.args.flatMap(namesIn);
}

/** The program without what no output needs. */
export function pruned(program: Program): Program {
  const needed = new Set(program.outputs.map((output) => output.name));
  for (let size = -1; size !== needed.size;) {
    size = needed.size;
    for (const line of program.lines) if (needed.has(line.name)) namesIn(line.value).forEach((name) => needed.add(name));
  }
  const kept = new Set(program.tensors.filter((tensor) => needed.has(tensor.name)));
  for (const axis of program.sizes.keys()) {
    if (!needed.has(axis) || [...kept].some(({ shape }) => shape.includes(axis))) continue;
    const bringer = program.tensors.find(({ shape, role }) => shape.includes(axis) && role !== 'state');
    if (bringer !== undefined) kept.add(bringer);
  }
  // Something has to say how many tokens and heads there are.
  const first = program.tensors.find(
    ({ role, group, name }) => role === 'input' && group !== true && needed.has(name)
  ) ?? program.tensors.find(({ role, group }) => role === 'input' && group !== true);
  return {
    ...program,
    tensors: program.tensors.filter((tensor) => kept.has(tensor) || tensor === first),
    lines: program.lines.filter((line) => needed.has(line.name)),
  };
}

/** The text. `sizes` in place of the program's own. */
export function printProgram({ name, sequential, sizes, tensors, outputs, lines }: Program): string {
  const shape = (axes: Shape) => `[${axes.join(', ')}]`;
  const declared = (
    { name: own, shape: axes, range, group } : Tensor
  ) => `${own}: ${shape(axes)}${range === undefined ? '' : ` in ${range}`}${group === true ? ' per group' : ''}`;
  const all = (role: Tensor['role']) => tensors.filter((tensor) => tensor.role === role).map(declared);
  const used = new Set([...tensors, ...outputs].flatMap((tensor) => tensor.shape));
  const given = [...sizes].filter(([axis]) => used.has(axis)).map(([axis, size]) => `${axis} = ${size}`).join(', ');
  return [
    `scan ${name}(${all('input').join(', ')}) -> ${outputs.map((output) => `${output.name}: ${shape(output.shape)}`).join(', ')}`
      + `${sequential ? ' sequential' : ''}${given === '' ? '' : ` with ${given}`} {`,
    ...all('param').map((text) => `  param ${text}`),
    ...(all('state').length === 0 ? [] : [`  state ${all('state').join(', ')}`]),
    ...lines.map((line) => `  ${line.kind === 'let' ? 'let ' : ''}${line.name} = ${printTerm(line.value)}`),
    '}', '',
  ].join('\n');
}
