import { docstring } from '../text.js';
import { dividedExports, dividedFunctions } from './divided-functions.js';
import type { PartSignature } from './part.js';
import { resultsOf, type PartField } from './program.js';
import { attribute, CHECK, definition, indent, leadOf, OPTIONS, partClass, shape, sizesText } from './text.js';

/** What the text of a part's module says besides its signature. */
export interface PartTexts {
  /** Comments. */
  readonly header: readonly string[];
  /** The declaration as written. */
  readonly formula: string;
  /** Dtypes and devices that were built: `bf16 on sm90`. */
  readonly built: readonly string[];
  /** Are there none of training, and none of gradients? */
  readonly evalOnly: boolean;
}

/** Attributes that every module of torch has, and ours. */
const ATTRIBUTES = new Set([
  'add_module', 'apply', 'bfloat16', 'buffers', 'children', 'compile', 'cpu', 'cuda', 'double', 'dump_patches', 'eval', 'extra_repr',
  'float', 'forward', 'half', 'ipu', 'modules', 'mtia', 'named_buffers', 'named_children', 'named_modules', 'named_parameters',
  'parameters', 'register_buffer', 'register_module', 'register_parameter', 'requires_grad_', 'share_memory', 'state_dict', 'stored',
  'to', 'to_empty', 'train', 'training', 'type', 'update', 'xpu', 'zero_grad', 'reset_parameters', 'load_state_dict', 'call_super_init',
  'by_id', 'first_expert', 'load_whole',
]);

/** The name of a param that no module can have. */
export function forbiddenParam(names: readonly string[]): string | undefined {
  return names.find((name) => ATTRIBUTES.has(name.split('.')[0]));
}

/** Names that a module exports. */
export function partExports(signature: PartSignature): readonly string[] {
  const { module } = signature;
  return [module, `${module}_reference`, partClass(module), `${partClass(module)}Result`, ...dividedExports(signature)];
}

/** The module of one layer or mixture: a typed function with gradients, and a module that has its params. */
export function printPartFunctions(signature: PartSignature, texts: PartTexts): string {
  const { module, name, kind } = signature;
  const result = `${partClass(module)}Result`;
  const lines = [
    ...texts.header,
    ...docstring([signature.doc === '' ? `The ${kind} \`${name}\`.` : signature.doc]),
    '',
    'from __future__ import annotations',
    '',
    'from typing import NamedTuple',
    '',
    'from torch import Tensor',
    '',
    'from . import _ops, _parts',
    ...(typeof signature.divided === 'string' ? [] : ['from ._experts import by_counts, by_ids, chosen']),
    `from ._module import ${typeof signature.divided === 'string' ? '' : 'LocalExperts, '}PartModule`,
    '',
    '',
    `class ${result}(NamedTuple):`,
    `    """What a call gives.${resultsOf(signature.programs.eval).length < resultsOf(signature.programs.train).length
      ? ' None: only in training.' : ''}"""`,
    '',
    ...fieldsOf(signature),
    '', '',
    ...wholeFunction(signature, texts, result),
    '', '',
    ...referenceFunction(signature, result),
    '', '',
    ...moduleClass(signature, result),
    ...(typeof signature.divided === 'string'
      ? [
        '', '', `# There are no functions for experts on several ranks: ${signature.divided}.`,
      ] : ['', '', ...dividedFunctions(signature)]),
  ];
  return `${lines.join('\n')}\n`;
}

/** All results of training; those that a call outside of it lacks may be None. */
function fieldsOf(signature: PartSignature): readonly string[] {
  const outside = new Set(resultsOf(signature.programs.eval).map(({ name }) => name));
  return resultsOf(signature.programs.train).map((field) => (
    `    ${field.python}: Tensor${outside.has(field.name) ? '' : ' | None'}  # ${shape(leadOf(field), field)}`
  ));
}

function parameters({ inputs, params }: PartSignature, own: readonly string[]): readonly string[] {
  return [
    ...inputs.map(({ python }) => `${python}: Tensor`), '*', ...params.map(({ python }) => `${python}: Tensor`), ...own,
  ];
}

/** The results of a program in the places of the tuple. */
function gathered(signature: PartSignature, result: string, mode: 'train' | 'eval'): string {
  const names = new Map(resultsOf(signature.programs[mode]).map(({ name }, i) => [name, i]));
  const items = resultsOf(signature.programs.train).map(({ name }) => (names.has(name) ? `results[${names.get(name)}]` : 'None'));
  return items.every((item, i) => item === `results[${i}]`) ? `${result}(*results)` : `${result}(${items.join(', ')})`;
}

function body(signature: PartSignature, result: string, call: string): readonly string[] {
  const { module, inputs, params } = signature;
  const args = [...inputs, ...params].map(({ python }) => python);
  const tuple = `(${args.join(', ')}${args.length === 1 ? ',' : ''})`;
  const last = call === '' ? ', check' : '';
  const run = (mode: string): string => `results = _ops.${module}_${mode}${call}(${tuple}, cu_seqlens, seed, step${last})`;
  const [train, other] = [gathered(signature, result, 'train'), gathered(signature, result, 'eval')];
  return ['if training:', `    ${run('train')}`, `    return ${train}`, run('eval'), `return ${other}`];
}

function wholeFunction(signature: PartSignature, texts: PartTexts, result: string): readonly string[] {
  const { name, module, kind, inputs, params, programs } = signature;
  const about = (field: PartField): string => {
    const dtype = field.index ? 'whole numbers, negative ones none' : field.io ? 'the dtype of the call' : 'float32';
    return `    ${field.python}: ${shape(leadOf(field), field)}${sizesText(field)}; ${dtype}${field.buffer ? '; a buffer' : ''}.`;
  };
  const { train } = programs;
  const draws = [train, programs.eval].some(({ flow }) => flow.values.some((value) => value.kind === 'draw'));
  return [
    ...definition(module, parameters(signature, [...OPTIONS, CHECK]), result),
    ...indent(docstring([
      ...(signature.doc === '' ? [`The ${kind} \`${name}\`.`] : signature.doc.split('\n')),
      '',
      ...texts.formula.split('\n').map((line) => `    ${line}`.trimEnd()),
      '',
      'Args:',
      ...[...inputs, ...params].map(about),
      '    training: in training, or outside of it.',
      '    cu_seqlens: int32 or int64 [N + 1], on the device: offsets of packed sequences, which lie in one row (B = 1).',
      draws ? '    seed: of draws; a tensor of keys, or None for keys from torch\'s generator. A traced call has an int as a constant.'
        : '    seed: of draws, of which there are none.',
      '    step: of the optimiser: the same seed draws other numbers at every step.',
      '    check: raises where something is chosen by scores that are no numbers, for which the call waits for the device.',
      '',
      'Returns:',
      ...resultsOf(train).map((field) => `    ${field.python}: ${shape(leadOf(field), field)}, ${meaning(signature, field)}.`),
      '',
      'Raises:',
      '    ValueError: a shape, dtype, device or `cu_seqlens` that does not fit; the message names the tensor. What `check` finds.',
      '    LmoecError: no kernels for the device or the dtype; the message says what to do.',
      '',
      ...(texts.built.length === 0 ? [] : [`Kernels were built for ${texts.built.join('; ')}. float64 runs on the CPU.`]),
      ...(texts.evalOnly ? [`They were built with --eval: on CUDA \`training\` must be False, and there are no gradients.`] : []),
      'There is no second derivative, no forward mode and no vmap.',
    ])),
    ...indent(body(signature, result, '')),
  ];
}

function meaning({ programs: { train } }: PartSignature, field: PartField): string {
  if (train.outputs.includes(field)) return 'as declared';
  if (train.losses.includes(field)) return 'a loss as declared';
  return train.counts.includes(field) ? 'tokens of each index, without a gradient' : 'what the update of buffers takes, without a gradient';
}

function referenceFunction(signature: PartSignature, result: string): readonly string[] {
  return [
    ...definition(`${signature.module}_reference`, parameters(signature, OPTIONS), result),
    ...indent(docstring([
      'The formula in plain PyTorch: slow, on any device, in any floating dtype, differentiable by autograd as often as wanted.',
    ])),
    ...indent(body(signature, result, '.by_autograd')),
  ];
}

function moduleClass(signature: PartSignature, result: string): readonly string[] {
  const { name, module, inputs, params, programs: { train } } = signature;
  const given = [...inputs.map(({ python }) => `${python}: Tensor`), '*', ...OPTIONS.slice(1), CHECK];
  const updates = train.flow.update.results.map((one) => `\`${one.name}\``);
  return [
    `class ${partClass(module)}(PartModule):`,
    ...indent(docstring([
      `\`${name}\` with its params, by the names of the formula: ${params.map((one) => `\`${one.name}\``).join(', ') || 'none'}.`,
      ...(updates.length === 0 ? [] : ['',
        `After a step of the optimiser \`update(results)\` moves ${updates.join(', ')}; \`results\`: what the calls of the step gave.`]),
    ])),
    '',
    `    stored = _parts.${module}_stored`,
    '',
    ...indent([
      ...definition('forward', ['self', ...given], result),
      `    return ${module}(`,
      ...inputs.map(({ python }) => `        ${python},`),
      ...params.map((one) => `        ${one.python}=${attribute(one.name)},`),
      '        training=self.training, cu_seqlens=cu_seqlens, seed=seed, step=step, check=check,',
      '    )',
    ]),
  ];
}
