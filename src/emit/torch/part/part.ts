import type { Signature as Contract, SignatureTensor } from '../../../ir/common/signature.js';
import { TOKEN, type Flow, type FlowResult } from '../../../ir/flow/flow.js';
import type { LawNode } from '../../../ir/graph/graph.js';
import type { PathParam } from '../../../ir/graph/paths.js';
import type { Axis } from '../../../ir/graph/types.js';
import { math } from '../../../math/index.js';
import { fieldName, moduleName, pythonName } from '../names.js';
import { drawsOf, number, printFlow, type PartNames, type PrintedResult } from './reference.js';

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

/** What a layer or mixture gives in training, or outside. */
export interface PartProgram {
  readonly flow: Flow;
  readonly outputs: readonly PartField[];
  readonly losses: readonly PartField[];
  readonly counts: readonly PartField[];
  readonly takes: readonly PartField[];
}

export type Mode = 'train' | 'eval';

export interface PartSignature {
  readonly name: string;
  readonly module: string;
  readonly kind: string;
  readonly doc: string;
  readonly inputs: readonly PartField[];
  readonly params: readonly PartField[];
  readonly programs: Readonly<Record<Mode, PartProgram>>;
  /** How params start, in the order of `params`. */
  readonly starts: readonly PathParam[];
}

/** Names that printed functions have for something else. */
const OWN = new Set([
  'rows', 'given', 'keys', 'kept', 'seed', 'step', 'training', 'Rows', 'masked', 'pick', 'place', 'by_groups', 'results', 'part', 'args',
]);

/** `isIo`: tensors by the names of the file contract that have the dtype of a build. */
export function partSignature(
  kind: string, contract: Contract, flows: Readonly<Record<Mode, Flow>>, starts: readonly PathParam[], isIo: (name: string) => boolean,
): PartSignature {
  const given = new Set<string>(contract.outputs.map(({ name }) => `d_${name}`));
  const field = (tensor: SignatureTensor): PartField => ({
    name: tensor.name, python: free(given, tensor.name, pythonName), axes: tensor.axes, sizes: tensor.sizes ?? [],
    io: tensor.indices === undefined && isIo(tensor.name), index: tensor.indices !== undefined, buffer: tensor.buffer,
    token: tensor.leading.length > 0, fixed: false,
  });
  const inputs = contract.inputs.map(field);
  const params = contract.params.map(field);
  const taken = new Set<string>();
  const known = new Map<string, string>();
  const program = (flow: Flow): PartProgram => {
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
      flow, outputs: list(flow.outputs, ''), losses: list(flow.losses, 'loss.'), counts: list(flow.counts, 'count.'),
      takes: list(flow.update.takes, 'take.'),
    };
  };
  const { train } = flows;
  return {
    name: contract.name, module: moduleName(contract.name), kind, doc: contract.doc, inputs, params,
    programs: { train: program(train), eval: program(flows.eval) }, starts,
  };
}

/** Does backward ask for it? */
function isRead({ values, inputs }: Flow, name: string): boolean {
  return values.some((value) => value.kind === 'input' && inputs[value.input].name === name);
}

function free(taken: Set<string>, name: string, python: (name: string) => string): string {
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
function namesOf({ flow, outputs, losses, takes }: PartProgram, signature: Pick<PartSignature, 'inputs' | 'params'>): PartNames {
  const names = new Map([
    ...signature.inputs.map(({ name, python }) => [name, python] as const),
    ...[...outputs, ...losses].map(({ name, python }) => [`d_${name}`, `d_${python}`] as const),
    ...takes.map(({ name, python }) => [name.slice('take.'.length), python] as const),
  ]);
  const params = new Map(signature.params.map(({ name, python }) => [name, python]));
  return {
    inputs: flow.inputs.map(({ name }) => names.get(name) ?? name), params: flow.params.map(({ path }) => params.get(path) ?? path),
  };
}

function printed(results: readonly FlowResult[]): readonly PrintedResult[] {
  const all = new Map<string, PrintedResult>();
  for (const { name, axes, value } of results) all.set(name, { values: [...all.get(name)?.values ?? [], value], axes });
  return [...all.values()];
}

/** The reference of a part: its functions, and the data by which they are called. */
export function printPart(signature: PartSignature): readonly string[] {
  const { module, inputs, params, programs } = signature;
  const field = (one: PartField): string => `${fieldText(one)},`;
  const blocks = (['train', 'eval'] as const).flatMap((mode) => {
    const program = programs[mode];
    const { flow } = program;
    const names = namesOf(program, signature);
    const title = `_${module}_${mode}`;
    const where = mode === 'train' ? 'in training' : 'outside of training';
    return [
      ...printFlow(
        flow, names, printed([...flow.outputs, ...flow.losses].map(prefixed(flow))).concat(
          printed(flow.counts), printed(flow.update.takes),
        ),
        title, `What \`${signature.name}\` gives ${where}.`,
      ),
      '', '',
      ...printFlow(flow, names, printed(inOrder(flow.backward?.gradients ?? [], [...inputs, ...params])), `${title}_backward`,
        `Its gradients ${where}.`),
      '', '',
    ];
  });
  const program = (mode: Mode): readonly string[] => {
    const { flow, outputs, losses, counts, takes } = programs[mode];
    return [
      `${module}_${mode} = Program(`,
      `    name="${signature.name}",`,
      ...tuple('inputs', inputs.map(field)), ...tuple('params', params.map(field)),
      ...tuple('outputs', [...outputs, ...losses].map(field)), ...tuple('counts', [...counts, ...takes].map(field)),
      `    forward=_${module}_${mode},`,
      `    backward=_${module}_${mode}_backward,`,
      ...tuple('sites', drawsOf(flow).map(({ path, number: place }) => `("${path}", ${place}),`)),
      ')',
    ];
  };
  return [...blocks, ...program('train'), '', ...program('eval'), ...printStored(signature)];
}

/** Gradients in the order of what functions take. */
function inOrder(gradients: readonly FlowResult[], given: readonly PartField[]): readonly FlowResult[] {
  return given.flatMap(({ name }) => gradients.filter((one) => one.name === `d_${name}`));
}

/** Losses and outputs may have the same name. */
function prefixed({ losses }: Flow): (one: FlowResult) => FlowResult {
  return (one) => (losses.includes(one) ? { ...one, name: `loss.${one.name}` } : one);
}

function tuple(name: string, items: readonly string[]): readonly string[] {
  return items.length === 0 ? [`    ${name}=(),`] : [`    ${name}=(`, ...items.map((item) => `        ${item}`), '    ),'];
}

function fieldText({ name, python, axes, sizes, io, index, buffer, token, fixed }: PartField): string {
  const list = (items: readonly (number | string)[]): string => (
    `(${items.map((item) => (typeof item === 'string' ? `"${item}",` : `${item},`)).join(' ')})`
  );
  const flags = Object.entries({ io, index, buffer, token, fixed }).flatMap(([flag, set]) => (set ? [`${flag}=True`] : []));
  return `Field(${[`"${name}"`, `"${python}"`, list(axes.map(lastName)), list(sizes), ...flags].join(', ')})`;
}

/** Axes of a call have its path in front. */
export const lastName = (name: string): string => name.slice(name.lastIndexOf('.') + 1);

function printStored(signature: PartSignature): readonly string[] {
  const { module, params, starts, programs: { train } } = signature;
  const { flow } = train;
  const updates = flow.update.results;
  return [
    ...(updates.length === 0 ? [] : ['', '', ...printFlow(
      flow, namesOf(train, signature), printed(updates), `_${module}_update`,
      `Buffers of \`${signature.name}\` after a step of the optimiser.`,
    )]),
    ...starts.flatMap((start, i) => [
      '', '', `def _${module}_start_${params[i].python}(x: Tensor) -> None:`, `    x.copy_(${startText(start)})`,
    ]),
    '', '',
    `${module}_stored = Stored(`,
    ...tuple('fields', params.map((one) => `${fieldText(one)},`)),
    ...tuple('starts', params.map(({ python }) => `_${module}_start_${python},`)),
    ...(updates.length === 0 ? [] : [
      '    update=Update(',
      `        takes=(${
        train.takes.map(({ python }, i) => `("${python}", ${flow.update.takes[i].over === 'sum' ? 'True' : 'False'}),`).join(' ')
      }),`,
      `        buffers=(${updates.map(({ name }) => `"${name}",`).join(' ')}),`,
      `        run=_${module}_update,`,
      '    ),',
    ]),
    ')',
  ];
}

/** The law of a param as an expression; every draw is one of torch's generator. */
function startText({ axes, family, law }: PathParam): string {
  if (law === undefined) return '0.02 * torch.randn_like(x)';
  const text = (id: number, tensor: boolean): string => {
    const node: LawNode = law.nodes[id];
    switch (node.kind) {
      case 'literal': return tensor ? `torch.full_like(x, ${number(node.value)})` : number(node.value);
      case 'normal': return `${number(node.std)} * torch.randn_like(x)`;
      case 'uniform': return `torch.empty_like(x).uniform_(${number(node.lo)}, ${number(node.hi)})`;
      case 'orthogonal': return `orthogonal(x, ${family.length}, ${number(node.gain)})`;
      case 'index': return `counted(x, (${stepsOf(axes, node.axes).map((step) => `${step},`).join(' ')}))`;
      case 'map': {
        const { torch } = math[node.fn];
        const args = node.args.map((arg) => text(arg, true));
        switch (torch.kind) {
          case 'infix': return `(${args[0]}) ${torch.operator} (${args[1]})`;
          case 'sign': return `-(${args[0]})`;
          case 'call': return `${torch.name}(${args.join(', ')})`;
        }
      }
    }
  };
  return text(law.value, true);
}

/** What a step along each axis adds to the number of an element among `order`. */
function stepsOf(axes: readonly Axis[], order: readonly Axis[]): readonly number[] {
  return axes.map((axis) => {
    const at = order.findIndex(({ name }) => name === axis.name);
    return at < 0 ? 0 : order.slice(at + 1).reduce((n, { size }) => n * size, 1);
  });
}
