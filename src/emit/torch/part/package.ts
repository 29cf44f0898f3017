import type { Plan } from '../../../ir/plan/plan.js';
import { ALGEBRA_FUNCTIONS } from '../math.js';
import { printPart, type Mode, type PartSignature } from './part.js';

/** One layer or mixture of a package. */
export interface PackagePart {
  readonly signature: PartSignature;
  /** The declaration as written. */
  readonly formula: string;
  /** Two for each target and dtype. */
  readonly plans: readonly { readonly mode: Mode; readonly plan: Plan; readonly files: ReadonlyMap<string, string> }[];
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

/** The operators of all parts, as lines of `_ops.py`. */
export function printPartOperators(parts: readonly PackagePart[], identity: string): readonly string[] {
  return parts.flatMap(({ signature: { module } }) => (['train', 'eval'] as const).flatMap((mode) => [
    `${module}_${mode}_kernels = Kernels(PLANS / "${module}", "${mode}", _parts.${module}_${mode})`,
    `${module}_${mode} = register_part(`,
    `    "lmoec_${module}_${identity.slice(0, 8)}", "${mode}", _parts.${module}_${mode}, ${module}_${mode}_kernels)`,
  ]));
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
      ...(['train', 'eval'] as const).map((mode) => (
        `${signature.module}_${mode}_ops = register("lmoec_${signature.module}_${identity.slice(0, 8)}_small", "${mode}", ${
          signature.module}_${mode})`
      )),
    ]),
    '', '',
    '#: By the name of the part: the function, its program in training and outside, and what its params are.',
    'SMALL = {',
    ...small.map(({ small: { name: part, module } }) => (
      `    "${part}": ("${module}", ${module}_train_ops, ${module}_eval_ops, ${module}_stored),`
    )),
    '}',
  ];
}
