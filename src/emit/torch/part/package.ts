import type { Plan } from '../../../ir/plan/plan.js';
import { ALGEBRA_FUNCTIONS } from '../math.js';
import { portionsOf } from './divided.js';
import { printPart, type PartSignature } from './part.js';
import { MODES } from './program.js';

/** One layer or mixture of a package. */
export interface PackagePart {
  readonly signature: PartSignature;
  /** The declaration as written. */
  readonly formula: string;
  /** Of each target and dtype those of `train` and `eval`; those of portions, by their keys, where somebody asked for them. */
  readonly plans: readonly { readonly mode: string; readonly plan: Plan; readonly files: ReadonlyMap<string, string> }[];
  /** The same at sizes for tests; undefined: there are none. */
  readonly small: PartSignature | undefined;
}

/** What printed references of parts name besides scalar functions. */
const ROWS = ['Rows', 'by_groups', 'masked', 'pick', 'place'];

function imports(from: (module: string) => string): readonly string[] {
  return [
    'from __future__ import annotations',
    '',
    'import math',
    '',
    'import torch',
    'from torch import Tensor',
    '',
    `from ${from('_math')} import ${[...ALGEBRA_FUNCTIONS].sort().join(', ')}`,
    `from ${from('_module')} import Stored, Update, counted, orthogonal`,
    `from ${from('_part')} import Field, Program`,
    `from ${from('_rows')} import ${ROWS.join(', ')}`,
  ];
}

/** `_parts.py`: the references of all parts. */
export function printParts(parts: readonly PackagePart[], header: readonly string[]): readonly string[] {
  return [
    ...header,
    '"""Layers and mixtures in PyTorch, with their gradients, as lmoec derives them. Tensors are [rows, ...axes] (_rows.py)."""',
    '',
    ...imports((module) => `.${module}`),
    ...parts.flatMap(({ signature }) => ['', '', ...printPart(signature)]),
  ];
}

/** Programs of a part, by what its operators are called. */
function keysOf(signature: PartSignature): readonly string[] {
  return [...MODES, ...portionsOf(signature).map(({ key }) => key)];
}

/** Folders of plans of a program: those of work say for how many indices they are. */
export function planKey(key: string, local: number): string {
  return key.startsWith('experts') ? `${key}-${local}` : key;
}

/** The operators of all parts, as lines of `_ops.py`. */
export function printPartOperators(parts: readonly PackagePart[], identity: string): readonly string[] {
  return parts.flatMap(({ signature }) => keysOf(signature).flatMap((key) => {
    const operators = `${signature.module}_${key}`;
    const folder = key.startsWith('experts') ? `${key}-*` : key;
    return [
      `${operators}_kernels = Kernels(PLANS / "${signature.module}", "${folder}", _parts.${operators})`,
      `${operators} = register_part(`,
      `    "lmoec_${signature.module}_${identity.slice(0, 8)}", "${key}", _parts.${operators}, ${operators}_kernels)`,
    ];
  }));
}

/** Variables of `_ops.py` that hold the kernels that were built. */
export function builtKernels({ signature, plans }: PackagePart): readonly string[] {
  const built = new Set(plans.map(({ mode }) => mode.replace(/-\d+$/, '')));
  return keysOf(signature).flatMap((key) => (built.has(key) ? [`${signature.module}_${key}_kernels`] : []));
}

/** Forward operators of a part. */
export function forwardOperators({ signature }: PackagePart): readonly string[] {
  return keysOf(signature).map((key) => `_ops.${signature.module}_${key}.forward`);
}

/** tests/small.py: the parts at sizes that a test can differentiate by finite differences. */
export function printSmall(name: string, parts: readonly PackagePart[], header: readonly string[], identity: string): readonly string[] {
  const small = parts.flatMap((part) => (part.small === undefined ? [] : [{ ...part, small: part.small }]));
  return [
    ...header,
    '"""The layers and mixtures of the package at small sizes, for tests: the same formulas, by the same printer."""',
    '',
    ...imports((module) => `${name}.${module}`),
    `from ${name}._part_ops import register`,
    ...small.flatMap(({ small: signature }) => [
      '', '', ...printPart(signature), '',
      ...keysOf(signature).map((key) => (
        `${signature.module}_${key}_ops = register("lmoec_${signature.module}_${identity.slice(0, 8)}_small", "${key}", ${
          signature.module}_${key})`
      )),
    ]),
    '', '',
    '#: By the name of the part: the function, its program in training and outside, and what its params are.',
    'SMALL = {',
    ...small.map(({ small: { name: part, module } }) => (
      `    "${part}": ("${module}", ${module}_train_ops, ${module}_eval_ops, ${module}_stored),`
    )),
    '}',
    '#: Programs of mixtures in parts.',
    'PORTIONS = {',
    ...small.flatMap(({ small: signature }) => {
      const { name: part, module } = signature;
      const portions = portionsOf(signature).map(({ key }) => `"${key}": ${module}_${key}_ops`);
      return portions.length === 0 ? [] : [`    "${part}": {${portions.join(', ')}},`];
    }),
    '}',
    '#: Params of the experts that a rank has.',
    'LOCAL = {',
    ...small.flatMap(({ small: { name: part, module, divided } }) => (
      typeof divided === 'string' ? [] : [`    "${part}": ${module}_experts_stored,`]
    )),
    '}',
  ];
}
