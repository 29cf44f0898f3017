import type { Signature as Contract, SignatureTensor } from '../../../ir/common/signature.js';
import type { Flow } from '../../../ir/flow/flow.js';
import type { LawNode } from '../../../ir/graph/graph.js';
import type { PathParam } from '../../../ir/graph/paths.js';
import type { Axis } from '../../../ir/graph/types.js';
import { math } from '../../../math/index.js';
import { moduleName, pythonName } from '../names.js';
import { dividedSignature, portionsOf, type DividedFlows, type DividedSignature } from './divided.js';
import {
  fieldText, free, MODES, namesOf, printData, printed, printProgram, programOf, tuple, type Mode, type PartField, type PartProgram,
  type ResultNames,
} from './program.js';
import { number, printFlow } from './reference.js';

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
  /** The same in parts that may run on different ranks; a text says why there are none. */
  readonly divided: DividedSignature | string;
}

/** `isIo`: tensors by the names of the file contract that have the dtype of a build. */
export function partSignature(
  kind: string, contract: Contract, flows: Readonly<Record<Mode, Flow>>, starts: readonly PathParam[], isIo: (name: string) => boolean,
  divided: DividedFlows | string,
): PartSignature {
  const given = new Set<string>(contract.outputs.map(({ name }) => `d_${name}`));
  const field = (tensor: SignatureTensor): PartField => ({
    name: tensor.name, python: free(given, tensor.name, pythonName), axes: tensor.axes, sizes: tensor.sizes ?? [],
    io: tensor.indices === undefined && isIo(tensor.name), index: tensor.indices !== undefined, buffer: tensor.buffer,
    token: tensor.leading.length > 0, fixed: false,
  });
  const inputs = contract.inputs.map(field);
  const params = contract.params.map(field);
  const names: ResultNames = { taken: new Set(), known: new Map() };
  const program = (mode: Mode): PartProgram => programOf(flows[mode], { inputs, params, open: new Map() }, isIo, names);
  return {
    name: contract.name, module: moduleName(contract.name), kind, doc: contract.doc, inputs, params,
    programs: { train: program('train'), eval: program('eval') }, starts,
    divided: typeof divided === 'string' ? divided : dividedSignature(divided, { inputs, params, given }),
  };
}

/** The reference of a part: its functions, and the data by which they are called. */
export function printPart(signature: PartSignature): readonly string[] {
  const { module, name, programs } = signature;
  const all = [
    ...MODES.map((mode) => ({
      key: mode, title: name, program: programs[mode],
      about: `\`${name}\` gives ${mode === 'train' ? 'in training' : 'outside of training'}`,
    })),
    ...portionsOf(signature),
  ];
  return [
    ...all.flatMap(({ key, program, about }) => [...printProgram(program, `_${module}_${key}`, about), '', '']),
    ...all.flatMap(({ key, title, program }, i) => [...(i > 0 ? [''] : []), ...printData(program, `${module}_${key}`, title)]),
    ...printStored(signature),
    ...printLocal(signature),
  ];
}

/** The params of those experts that a rank has; where a family has several axes, theirs is one. */
function printLocal({ module, params, starts, divided }: PartSignature): readonly string[] {
  if (typeof divided === 'string') return [];
  const fields = divided.experts.params;
  const all = fields.map((field) => {
    const at = params.findIndex(({ name }) => name === field.name);
    const { axes, family, law } = starts[at];
    const merged = axes.length - field.axes.length;
    return merged === 0 ? { start: `_${module}_start_${params[at].python}`, lines: [] } : {
      start: `_${module}_experts_start_${params[at].python}`,
      lines: startLines(`_${module}_experts_start_${params[at].python}`, { axes: axes.slice(merged), family: family.slice(merged), law }),
    };
  });
  return [
    ...all.flatMap(({ lines }) => lines),
    '', '',
    `${module}_experts_stored = Stored(`,
    ...tuple('fields', fields.map((one) => `${fieldText(one)},`)),
    ...tuple('starts', all.map(({ start }) => `${start},`)),
    ')',
  ];
}

type Start = Pick<PathParam, 'axes' | 'family' | 'law'>;

function startLines(name: string, start: Start): readonly string[] {
  return ['', '', `def ${name}(x: Tensor) -> None:`, `    x.copy_(${startText(start)})`];
}

function printStored(signature: PartSignature): readonly string[] {
  const { module, params, starts, programs: { train } } = signature;
  const { flow } = train;
  const updates = flow.update.results;
  return [
    ...(updates.length === 0 ? [] : ['', '', ...printFlow(
      flow, namesOf(train), printed(updates), `_${module}_update`,
      `Buffers of \`${signature.name}\` after a step of the optimiser.`, new Map(),
    )]),
    ...starts.flatMap((start, i) => startLines(`_${module}_start_${params[i].python}`, start)),
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
function startText({ axes, family, law }: Start): string {
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
