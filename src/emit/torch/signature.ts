import type { Axis } from '../../ir/common/axes.js';
import { ANY, type Range } from '../../ir/common/range.js';
import type { Spec } from '../../ir/spec/spec.js';
import { fieldName, moduleName, pythonName } from './names.js';

/** A tensor of a scan as Python sees it. */
export interface Member {
  readonly name: string;
  readonly python: string;
  readonly axes: readonly Axis[];
  /** Has the dtype of a call; others are f32. */
  readonly io: boolean;
  readonly group: boolean;
  /** A state that the compiler made; calls may leave it out. */
  readonly hidden: boolean;
  readonly range: Range;
}

/** What the printers of a package read of a scan. */
export interface Signature {
  readonly name: string;
  readonly module: string;
  readonly doc: string;
  readonly inputs: readonly Member[];
  readonly params: readonly Member[];
  readonly states: readonly Member[];
  readonly outputs: readonly Member[];
}

/** `isIo`: the tensors of the file contract that are rounded to the dtype of a build; `d_NAME` stands for an output, too. */
export function signatureOf(spec: Spec, isIo: (name: string) => boolean): Signature {
  const member = (taken: Set<string>, name: string, { field, ...part }: Partial<Member> & Pick<Member, 'axes' | 'io'> & { readonly field?: boolean }): Member => {
    let python = field === true ? fieldName(name) : pythonName(name);
    while (taken.has(python)) python = `${python}_`;
    taken.add(python);
    return { name, python, group: false, hidden: false, range: ANY, ...part };
  };
  const given = new Set<string>();
  const made = new Set<string>();
  const inputs = spec.inputs.map((x) => member(given, x.name, { axes: x.axes, io: isIo(x.name), group: x.scope === 'group', range: x.range }));
  const params = spec.params.map((x) => member(given, x.name, { axes: x.axes, io: false, range: x.range }));
  const states = spec.states.map((x) => member(given, x.name, { field: true, axes: x.axes, io: false, hidden: x.hidden, range: x.range }));
  const outputs = spec.outputs.map((x) => member(made, x.name, { axes: x.axes, io: isIo(`d_${x.name}`) }));
  return { name: spec.name, module: moduleName(spec.name), doc: spec.doc, inputs, params, states, outputs };
}

const float = (x: number): string => (x === Infinity ? 'math.inf' : x === -Infinity ? '-math.inf' : String(x));

/** The signature as Python data (templates/torch/_signature.py). */
export function printSignature(signature: Signature): readonly string[] {
  const named = ({ python, axes, io, group, range }: Member): string => {
    const parts = [
      `"${python}"`, `(${axes.map((axis) => `"${axis}",`).join(' ')})`,
      ...(io ? ['io=True'] : []), ...(group ? ['group=True'] : []),
      ...(range.lo === -Infinity ? [] : [`low=${float(range.lo)}`]), ...(range.hi === Infinity ? [] : [`high=${float(range.hi)}`]),
    ];
    return `        Named(${parts.join(', ')}),`;
  };
  const list = (name: string, members: readonly Member[]): readonly string[] => (members.length === 0 ? [`    ${name}=(),`] : [`    ${name}=(`, ...members.map(named), '    ),']);
  return [
    'Signature(',
    `    name="${signature.name}",`,
    ...list('inputs', signature.inputs), ...list('params', signature.params), ...list('states', signature.states), ...list('outputs', signature.outputs),
    ')',
  ];
}
