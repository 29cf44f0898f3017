import { TOKEN, type Flow, type FlowResult } from '../../../ir/flow/flow.js';
import { fieldName } from '../names.js';
import { drawsOf, printFlow, type PartNames, type PrintedResult } from './reference.js';

/** A tensor of a layer or mixture as Python sees it. */
export interface PartField {
  readonly name: string;
  readonly python: string;
  readonly axes: readonly string[];
  readonly sizes: readonly (number | string)[];
  readonly io: boolean;
  readonly index: boolean;
  readonly buffer: boolean;
  /** [B, T, ...] */
  readonly token: boolean;
  /** A result that no gradient comes back from. */
  readonly fixed: boolean;
}

/** What operators run: a Flow with its gradients, what it takes and gives. */
export interface PartProgram {
  readonly flow: Flow;
  readonly inputs: readonly PartField[];
  readonly params: readonly PartField[];
  readonly outputs: readonly PartField[];
  readonly losses: readonly PartField[];
  readonly counts: readonly PartField[];
  readonly takes: readonly PartField[];
  /** Names of axes whose extents a call brings, by what it calls these. */
  readonly open: ReadonlyMap<string, string>;
}

export type Mode = 'train' | 'eval';
export const MODES = ['train', 'eval'] as const;

/** Names that printed functions have for something else. */
const OWN = new Set([
  'rows', 'given', 'keys', 'kept', 'seed', 'step', 'training', 'Rows', 'masked', 'pick', 'place', 'by_groups', 'results', 'part', 'args',
]);

/** Python names of results; programs of one part that give the same call it the same. */
export interface ResultNames {
  readonly taken: Set<string>;
  readonly known: Map<string, string>;
}

/** What a Flow gives, by the names of the file contract. `isIo`: results that have the dtype of a build. */
export function programOf(
  flow: Flow, given: Pick<PartProgram, 'inputs' | 'params' | 'open'>, isIo: (name: string) => boolean, { taken, known }: ResultNames,
): PartProgram {
  const list = (results: readonly FlowResult[], prefix: string): readonly PartField[] => (
    [...new Map(results.map((one) => [one.name, one])).values()].map(({ name, axes, value }) => {
      const key = `${prefix}${name}`;
      const python = known.get(key) ?? free(taken, key, fieldName);
      known.set(key, python);
      return {
        name: key, python, axes: axes.map((axis) => axis.name), sizes: axes.map(({ size }) => size), io: prefix === '' && isIo(name),
        index: false, buffer: false, token: flow.values[value].type.domain === TOKEN, fixed: !isRead(flow, `d_${key}`),
      };
    })
  );
  return {
    flow, ...given, outputs: list(flow.outputs, ''), losses: list(flow.losses, 'loss.'), counts: list(flow.counts, 'count.'),
    takes: list(flow.update.takes, 'take.'),
  };
}

/** Does backward ask for it? */
function isRead({ values, inputs }: Flow, name: string): boolean {
  return values.some((value) => value.kind === 'input' && inputs[value.input].name === name);
}

export function free(taken: Set<string>, name: string, python: (name: string) => string): string {
  let found = python(name.replace(/\W/g, '_'));
  while (taken.has(found) || OWN.has(found) || /^v\d+$/.test(found)) found = `${found}_`;
  taken.add(found);
  return found;
}

/** Results in the order in which functions give them. */
export function resultsOf({ outputs, losses, counts, takes }: PartProgram): readonly PartField[] {
  return [...outputs, ...losses, ...counts, ...takes];
}

/** Python names of all that a Flow takes. */
export function namesOf({ flow, inputs, params: own, outputs, losses, takes }: PartProgram): PartNames {
  const names = new Map([
    ...inputs.map(({ name, python }) => [name, python] as const),
    ...[...outputs, ...losses].map(({ name, python }) => [`d_${name}`, `d_${python}`] as const),
    ...takes.map(({ name, python }) => [name.slice('take.'.length), python] as const),
  ]);
  const params = new Map(own.map(({ name, python }) => [name, python]));
  return {
    inputs: flow.inputs.map(({ name }) => names.get(name) ?? name), params: flow.params.map(({ path }) => params.get(path) ?? path),
  };
}

export function printed(results: readonly FlowResult[]): readonly PrintedResult[] {
  const all = new Map<string, PrintedResult>();
  for (const { name, axes, value } of results) all.set(name, { values: [...all.get(name)?.values ?? [], value], axes });
  return [...all.values()];
}

/** The functions of a program; `about`: of what. */
export function printProgram(program: PartProgram, title: string, about: string): readonly string[] {
  const { flow, inputs, params, open } = program;
  const names = namesOf(program);
  return [
    ...printFlow(
      flow, names, printed([...flow.outputs, ...flow.losses].map(prefixed(flow))).concat(
        printed(flow.counts), printed(flow.update.takes),
      ),
      title, `What ${about}.`, open,
    ),
    '', '',
    ...printFlow(flow, names, printed(inOrder(flow.backward?.gradients ?? [], [...inputs, ...params])), `${title}_backward`,
      `Gradients of what ${about}.`, open),
  ];
}

/** The data by which they are called. */
export function printData(
  { flow, inputs, params, outputs, losses, counts, takes }: PartProgram, variable: string, name: string,
): readonly string[] {
  const field = (one: PartField): string => `${fieldText(one)},`;
  return [
    `${variable} = Program(`,
    `    name="${name}",`,
    ...tuple('inputs', inputs.map(field)), ...tuple('params', params.map(field)),
    ...tuple('outputs', [...outputs, ...losses].map(field)), ...tuple('counts', [...counts, ...takes].map(field)),
    `    forward=_${variable},`,
    `    backward=_${variable}_backward,`,
    ...tuple('sites', drawsOf(flow).map(({ path, number: place }) => `("${path}", ${place}),`)),
    ')',
  ];
}

/** Gradients in the order of what functions take. */
function inOrder(gradients: readonly FlowResult[], given: readonly PartField[]): readonly FlowResult[] {
  return given.flatMap(({ name }) => gradients.filter((one) => one.name === `d_${name}`));
}

/** Losses and outputs may have the same name. */
function prefixed({ losses }: Flow): (one: FlowResult) => FlowResult {
  return (one) => (losses.includes(one) ? { ...one, name: `loss.${one.name}` } : one);
}

export function tuple(name: string, items: readonly string[]): readonly string[] {
  return items.length === 0 ? [`    ${name}=(),`] : [`    ${name}=(`, ...items.map((item) => `        ${item}`), '    ),'];
}

export function fieldText({ name, python, axes, sizes, io, index, buffer, token, fixed }: PartField): string {
  const list = (items: readonly (number | string)[]): string => (
    `(${items.map((item) => (typeof item === 'string' ? `"${item}",` : `${item},`)).join(' ')})`
  );
  const flags = Object.entries({ io, index, buffer, token, fixed }).flatMap(([flag, set]) => (set ? [`${flag}=True`] : []));
  return `Field(${[`"${name}"`, `"${python}"`, list(axes.map(lastName)), list(sizes), ...flags].join(', ')})`;
}

/** Axes of a call have its path in front. */
export const lastName = (name: string): string => name.slice(name.lastIndexOf('.') + 1);
