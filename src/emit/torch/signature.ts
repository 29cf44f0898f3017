import type { Axis } from '../../ir/common/axes.js';
import type { Range } from '../../ir/common/range.js';
import type { Signature as Contract, SignatureTensor } from '../../ir/common/signature.js';
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
  readonly countsHeads: boolean;
}

/** `isIo`: the tensors of the file contract that are rounded to the dtype of a build; `d_NAME` stands for an output, too. */
export function signatureOf(contract: Contract, isIo: (name: string) => boolean): Signature {
  const members = (
    tensors: readonly SignatureTensor[], taken: Set<string>, io: (name: string) => boolean, python = pythonName,
  ): Member[] => (
    tensors.map(({ of: name, axes, leading, hidden, range }) => {
      let free = python(name);
      while (taken.has(free)) free = `${free}_`;
      taken.add(free);
      return { name, python: free, axes, io: io(name), group: leading.includes('G'), hidden, range };
    })
  );
  const given = new Set<string>();
  return {
    name: contract.name,
    module: moduleName(contract.name),
    doc: contract.doc,
    inputs: members(contract.inputs, given, isIo),
    params: members(contract.params, given, () => false),
    states: members(contract.initial, given, () => false, fieldName),
    outputs: members(contract.outputs, new Set(), (name) => isIo(`d_${name}`)),
    countsHeads: contract.countsHeads,
  };
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
  const list = (
    name: string, members: readonly Member[],
  ): readonly string[] => (members.length === 0 ? [`    ${name}=(),`] : [`    ${name}=(`, ...members.map(named), '    ),']);
  return [
    'Signature(',
    `    name="${signature.name}",`,
    ...list('inputs', signature.inputs), ...list('params', signature.params),
    ...list('states', signature.states), ...list('outputs', signature.outputs),
    ...(signature.countsHeads ? ['    counts_heads=True,'] : []),
    ')',
  ];
}
