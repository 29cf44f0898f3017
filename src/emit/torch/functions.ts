import { isAny } from '../../ir/common/range.js';
import { className } from './names.js';
import { docstring } from './text.js';
import type { Member, Signature } from './signature.js';

/** What the text of a scan's module says besides its signature. */
export interface FunctionTexts {
  /** Comments. */
  readonly header: readonly string[];
  /** The declaration as written. */
  readonly formula: string;
  /** Sizes and dtypes that were built: `K = 64, V = 64 in bf16`. */
  readonly built: readonly string[];
  /** Are there none of gradients? */
  readonly evalOnly: boolean;
}

const indent = (
  lines: readonly string[], by = 4,
): readonly string[] => lines.map((line) => (line === '' ? '' : `${' '.repeat(by)}${line}`));
const names = (members: readonly Member[]): readonly string[] => members.map((member) => member.python);
const commas = (items: readonly string[]): string => items.join(', ');
const tuple = (items: readonly string[]): string => (items.length === 1 ? `(${items[0]},)` : `(${commas(items)})`);

/** The module of one scan: typed functions over the operators, and the autograd function. */
export function printFunctions(signature: Signature, texts: FunctionTexts): string {
  const { name } = signature;
  const lines = [
    ...texts.header,
    ...docstring([signature.doc === '' ? `The scan \`${name}\`.` : signature.doc]),
    '',
    'from __future__ import annotations',
    '',
    'from typing import Any, NamedTuple',
    '',
    'import torch',
    'from torch import Tensor',
    '',
    'from . import _ops, _reference, _transitions',
    'from ._calls import exact_dtype, io_dtype, no_gradient, once, packed, ready, traced',
    'from ._layout import laid',
    'from .cp import HeadShards, SequenceShards, sharded',
    '',
    `_op = _ops.${signature.module}.calls`,
    ...stateClass(signature),
    '', '',
    ...WAYS.flatMap((way) => [...autogradFunction(signature, way), '', '']),
    ...WAYS.map((way) => `_traced${wayName(way)} = traced(${wayClass(signature, way)}, _op.forward${wayName(way)})`),
    '', '',
    ...wholeFunction(signature, texts),
    '', '',
    ...stepFunction(signature, true),
    '', '',
    ...stepFunction(signature, false),
    '', '',
    ...referenceFunction(signature),
  ];
  return `${lines.join('\n')}\n`;
}

/** What autograd is asked for: the final state, too; to keep more than what the call was given. */
interface Way {
  readonly final: boolean;
  readonly keeps: boolean;
}

const WAYS: readonly Way[] = [false, true].flatMap((keeps) => [false, true].map((final) => ({ final, keeps })));
const wayName = ({ final, keeps }: Way): string => `${final ? '_final' : ''}${keeps ? '_kept' : ''}`;
const wayClass = ({ module }: Signature, { final, keeps }: Way): string => (
  `_${className(module)}${final ? 'Final' : ''}${keeps ? 'Kept' : ''}`
);

/** Names that a module exports. */
export function exportsOf(signature: Signature): readonly string[] {
  const { module } = signature;
  return [
    module, `${module}_step`, `${module}_step_functional`, `${module}_reference`, ...(oneState(signature) ? [] : [stateName(signature)]),
  ];
}

const oneState = ({ states }: Signature): boolean => states.length === 1;
const stateName = ({ module }: Signature): string => `${className(module)}State`;
const stateType = (signature: Signature): string => (oneState(signature) ? 'Tensor' : stateName(signature));
const shape = (lead: readonly string[], member: Member): string => `[${[...lead, ...member.axes].join(', ')}]`;

function stateClass(signature: Signature): readonly string[] {
  if (oneState(signature)) return [];
  return [
    '', '',
    `class ${stateName(signature)}(NamedTuple):`,
    '    """What the tokens so far have left behind."""',
    '',
    ...signature.states.map((state) => `    ${state.python}: Tensor${state.hidden ? ' | None = None' : ''}  # ${shape(['N', 'H'], state)}`),
  ];
}

/** The arguments of the operators, in their order. */
const operands = (signature: Signature): readonly string[] => [
  ...names(signature.inputs), ...names(signature.params), ...names(signature.states)
];

function autogradFunction(signature: Signature, way: Way): readonly string[] {
  const { final, keeps } = way;
  const args = operands(signature);
  const given = [...args, 'cu_seqlens'];
  const states = names(signature.states);
  const first = signature.inputs.length + signature.params.length;
  const cotangents = signature.outputs.map((_, i) => `d_out${i}`);
  const finals = states.map((_, i) => `d_final${i}`);
  const all = [...cotangents, ...(final ? finals : [])];
  const brought = [...signature.outputs.map((_, i) => `laid(d_out${i})`), ...finals.map((d) => (final ? `laid(${d})` : 'None'))];
  const none = commas(['known', ...given].map(() => 'None'));
  const call = commas([...given, ...brought, ...(keeps ? ['kept'] : [])]);
  const saved = commas([...given, ...(keeps ? ['kept'] : [])]);
  const kept = keeps ? '_kept' : '';
  const made = `_op.forward${wayName(way)}.by(known, (${commas(given)}))`;
  const one = signature.outputs.length === 1 && !(final && states.length > 0);
  const save = [`        ctx.save_for_backward(${saved})`, '        ctx.set_materialize_grads(False)'];
  const wantsInitial = states.map((state, i) => `${state} is not None and ctx.needs_input_grad[${1 + first + i}]`).join(' or ');
  const plain = `return (None, *_op.backward${kept}(${call}), ${commas([...states, 'cu_seqlens'].map(() => 'None'))})`;
  return [
    `class ${wayClass(signature, way)}(torch.autograd.Function):`,
    keeps ? '    """Keeps what the call was given, and what forward has made that backward would make again by products."""'
      : '    """Keeps what the call was given; backward computes the rest again."""',
    '',
    '    @staticmethod',
    `    def forward(ctx: Any, known: Any, ${commas(given)}) -> Any:`,
    ...(keeps ? [
      `        ${one ? 'result' : '*results'}, kept = ${made}`, ...save, `        return ${one ? 'result' : 'tuple(results)'}`,
    ] : [...save, `        return ${made}`]),
    '',
    '    @staticmethod',
    '    @once',
    `    def backward(ctx: Any, ${commas(all)}) -> Any:`,
    `        if ${all.map((d) => `${d} is None`).join(' and ')}:`,
    `            return ${none}`,
    `        ${saved} = ctx.saved_tensors`,
    ...(states.length === 0 ? [`        ${plain}`] : [
      `        if ${wantsInitial}:`,
      `            return (None, *_op.backward_initial${kept}(${call}), None)`,
      `        ${plain}`,
    ]),
  ];
}

function parameters(signature: Signature, token: boolean, reference = false): readonly string[] {
  const { inputs, params } = signature;
  const state = stateType(signature);
  const keyword = [
    ...names(params).map((name) => `${name}: Tensor`),
    ...(token ? [] : [
      `initial_state: ${state} | None = None`,
      'output_final_state: bool = False',
      'cu_seqlens: Tensor | None = None',
      'cu_seqlens_cpu: Tensor | None = None',
      ...(reference ? [] : ['keep: bool = False', 'shards: SequenceShards | HeadShards | None = None']),
    ]),
  ];
  return [
    ...names(inputs).map((name) => `${name}: Tensor`), ...(token ? [`state: ${state}`] : []),
    ...(keyword.length > 0 ? ['*', ...keyword] : []),
  ];
}

function define(name: string, parts: readonly string[], returns: string, body: readonly string[]): readonly string[] {
  return [`def ${name}(`, ...parts.map((part) => `    ${part},`), `) -> ${returns}:`, ...indent(body)];
}

/** Most calls bring what operators want; asking here spares a call for each tensor. */
const asIs = (x: string, dtype: string): string => `${x} if ${x}.dtype is ${dtype} and ${x}.is_contiguous()`;

/** Casts and lays out what was given, so that operators see what they want. */
function prepared(signature: Signature, withStates: boolean): readonly string[] {
  const { name, inputs, params } = signature;
  const io = inputs.find((input) => input.io);
  const exact = [...inputs.filter((input) => !input.io), ...params];
  const lines = io === undefined
    ? [`exact = exact_dtype(${inputs[0].python}.dtype)`]
    : [
      `dtype = io_dtype(${io.python})`,
      ...(exact.length > 0 || (withStates && signature.states.length > 0) ? ['exact = exact_dtype(dtype)'] : []),
    ];
  return [
    ...lines,
    ...[...inputs, ...params].map((x) => {
      const axes = inputs.includes(x) ? `, ${x.axes.length}` : '';
      const dtype = x.io ? 'dtype' : 'exact';
      return `${x.python} = ${asIs(x.python, dtype)} else ready(${x.python}, ${dtype}, "${name}: ${x.python}"${axes})`;
    }),
  ];
}

/** The states of a call as single tensors. */
function unpacked(signature: Signature, from: string, optional: boolean): readonly string[] {
  const { name, states } = signature;
  const own = names(states);
  const hidden = states.map((state) => state.hidden);
  const cast = own.map((state, i) => {
    const made = `${asIs(state, 'exact')} else ready(${state}, exact, "${name}: the state ${state}")`;
    return `${state} = ${optional || hidden[i] ? `None if ${state} is None else ${made}` : made}`;
  });
  if (own.length === 0) return [];
  const absent = optional ? `${tuple(own.map(() => 'None'))} if ${from} is None else ` : '';
  const source = oneState(signature) ? `${own[0]} = ${from}` : `${commas(own)} = ${absent}${from}`;
  return [source, ...cast];
}

function result(signature: Signature, from: string, final: boolean): readonly string[] {
  const { outputs, states } = signature;
  const count = outputs.length;
  if (!final) return [count === 1 ? `return ${from}, None` : `return (*${from}, None)`];
  const whole = oneState(signature) ? [] : [`${stateName(signature)}(*results[${count}:])`];
  const heads = outputs.map((_, i) => `results[${i}]`);
  const state = oneState(signature) ? [`results[${count}]`] : states.length === 0 ? ['None'] : whole;
  return [...(from === 'results' ? [] : [`results = ${from}`]), `return ${commas([...heads, ...state])}`];
}

/** Results of ranks that share a row. */
function sharedResult(signature: Signature): readonly string[] {
  const { outputs, states } = signature;
  const count = outputs.length;
  const final = oneState(signature) ? `results[${count}]` : `${stateName(signature)}(*results[${count}:])`;
  return [`return (*results[:${count}], ${states.length === 0 ? 'None' : `${final} if output_final_state else None`})`];
}

const resultType = (signature: Signature, end: string): string => `tuple[${commas([...signature.outputs.map(() => 'Tensor'), end])}]`;

function wholeFunction(signature: Signature, texts: FunctionTexts): readonly string[] {
  const { module, name } = signature;
  const given = commas([...operands(signature), 'cu_seqlens']);
  const call = (final: boolean): readonly string[] => {
    const end = final ? '_final' : '';
    const traced = `(_traced${end}_kept if keep else _traced${end})(${given})`;
    const plain = `_op.${final ? 'forward_final' : 'forward'}(${given})`;
    return [`results = ${traced} if wanted else ${plain}`, ...result(signature, 'results', final)];
  };
  return define(module, parameters(signature, false), resultType(signature, `${stateType(signature)} | None`), [
    ...docstring([
      ...(signature.doc === '' ? [`The scan \`${name}\`.`] : signature.doc.split('\n')),
      '',
      ...texts.formula.split('\n').map((line) => `    ${line}`.trimEnd()),
      '',
      ...arguments_(signature),
      '',
      'Returns:',
      `    ${returnsText(signature)}, and the state after the last token of every sequence where \`output_final_state\`, else None.`,
      '',
      'Raises:',
      '    ValueError: a shape, dtype, device or `cu_seqlens` that does not fit; the message names the tensor.',
      '    LmoecError: no kernels for the device, the dtype or the sizes; the message says what to do.',
      '',
      ...(texts.built.length === 0 ? [] : [`Kernels were built for ${texts.built.join('; ')}. Other sizes and float64 run on the CPU.`]),
      ...(texts.evalOnly ? ['They were built with --eval: on CUDA there are no gradients.'] : []),
      'Gradients come from the inputs alone: nothing else is kept, unless `keep`. '
      + 'There is no second derivative, no forward mode and no vmap.',
    ]),
    ...prepared(signature, true),
    ...unpacked(signature, 'initial_state', true),
    'if shards is not None:',
    `    rows = (_op, _reference.${module}.signature, _transitions.${module}, ${tuple(operands(signature))}, `
    + 'output_final_state, cu_seqlens)',
    `    results = sharded(${module}, shards, *rows)`,
    ...indent(sharedResult(signature)),
    'cu_seqlens = packed(cu_seqlens, cu_seqlens_cpu)',
    ...needsGradient(signature),
    ...(signature.states.length === 0 ? [] : ['if output_final_state:', ...indent(call(true))]),
    ...call(false),
  ]);
}

/** Without gradients the operator alone is called: the autograd function costs as much again. */
function needsGradient(signature: Signature): readonly string[] {
  const parts = [
    ...names([...signature.inputs, ...signature.params]).map((x) => `${x}.requires_grad`),
    ...names(signature.states).map((x) => `(${x} is not None and ${x}.requires_grad)`),
  ];
  const line = `wanted = torch.is_grad_enabled() and (${parts.join(' or ')})`;
  return line.length <= 130
    ? [line]
    : ['wanted = torch.is_grad_enabled() and (', ...parts.map((part, i) => `    ${i === 0 ? '' : 'or '}${part}`), ')'];
}

const returnsText = (signature: Signature): string => signature.outputs.map((x) => `${x.python} ${shape(['B', 'T', 'H'], x)}`).join(', ');

function arguments_(signature: Signature): readonly string[] {
  const io = signature.inputs.filter((x) => x.io);
  const first = io[0]?.python;
  const range = ({ range: { lo, hi } }: Member): string => (
    isAny({ lo, hi }) ? '' : `, in ${lo === -Infinity ? '-inf' : lo}..${hi === Infinity ? 'inf' : hi}`
  );
  const states = signature.states.map((x) => `${x.python} ${shape(['N', 'H'], x)}${range(x).replace(',', '')}`);
  const shared = '; one for each group of heads, H a multiple of G';
  const about = (x: Member): string => (!x.io ? 'float32' : x.python === first ? 'its dtype is that of the call' : `as ${first}`);
  return [
    'Args:',
    ...signature.inputs.map((x) => (
      `    ${x.python}: ${shape(['B', 'T', x.group ? 'G' : 'H'], x)}${range(x)}; ${about(x)}${x.group ? shared : ''}.`
    )),
    ...signature.params.map((x) => `    ${x.python}: ${shape(['H'], x)}${range(x)}; float32.`),
    `    initial_state: ${states.join(', ')} in float32, N = B or the number of packed sequences; zeros if None.`,
    '    output_final_state: gives the state after the last token, too.',
    '    cu_seqlens: int32 or int64 [N + 1] or [1, N + 1], on the device: offsets of packed sequences, which lie in one row (B = 1).',
    '    cu_seqlens_cpu: the same on the CPU, where a caller has it: saves work in eager mode.',
    '    keep: on CUDA, what forward has made that backward would make again by products (scores, solves, cumulated gates) waits for it in'
    + ' memory, if there is such: backward is faster, more is held between the two, gradients are the same. Of shards nothing is kept.',
    '    shards: the tokens are those of one rank out of a longer row (module `cp`).',
  ];
}

function stepFunction(signature: Signature, inPlace: boolean): readonly string[] {
  const { module, name, inputs, params, states } = signature;
  const call = commas([...names(inputs), ...names(params), ...names(states)]);
  const heads = signature.inputs.map((x) => `${x.python} ${shape(['B', x.group ? 'G' : 'H'], x)}`);
  const title = inPlace
    ? 'One token: the state is updated in place.'
    : 'One token: gives the next state and leaves the given one as it is.';
  const gives = signature.outputs.map((x) => `${x.python} ${shape(['B', 'H'], x)}`).join(', ');
  const own = inPlace
    ? [...(oneState(signature) ? [`${names(states)[0]} = state`] : states.length === 0 ? [] : [`${commas(names(states))} = state`])]
    : unpacked(signature, 'state', false);
  const tensors = commas([...names(inputs), ...names(params)]);
  const outputs = signature.outputs.map(() => 'Tensor');
  const returns = !inPlace ? resultType(signature, stateType(signature)) : outputs.length === 1 ? 'Tensor' : `tuple[${commas(outputs)}]`;
  return define(inPlace ? `${module}_step` : `${module}_step_functional`, parameters(signature, true), returns, [
    ...docstring([title, '', `Takes ${heads.join(', ')}; gives ${gives}${inPlace ? '' : ' and the state'}. Without gradients.`]),
    `no_gradient("${name}_step", ${tensors})`,
    ...prepared(signature, !inPlace),
    ...own,
    ...(inPlace ? [`return _op.step(${call})`] : result(signature, `_op.step_functional(${call})`, true)),
  ]);
}

function referenceFunction(signature: Signature): readonly string[] {
  const { module, outputs } = signature;
  const args = tuple(operands(signature));
  const count = outputs.length;
  return define(`${module}_reference`, parameters(signature, false, true), resultType(signature, `${stateType(signature)} | None`), [
    ...docstring([
      'The formula token by token in plain PyTorch: slow, on any device, in any floating dtype, '
      + 'differentiable by autograd as often as wanted.',
    ]),
    ...prepared(signature, true),
    ...unpacked(signature, 'initial_state', true),
    `results = _reference.${module}.loop(${args}, packed(cu_seqlens, cu_seqlens_cpu), output_final_state)`,
    ...(signature.states.length === 0 ? [`return ${commas([...outputs.map((_, i) => `results[${i}]`), 'None'])}`] : [
      `final = ${
        oneState(signature) ? `results[${count}]` : `${stateName(signature)}(*results[${count}:])`
      } if output_final_state else None`,
      `return ${commas([...outputs.map((_, i) => `results[${i}]`), 'final'])}`,
    ]),
  ]);
}
