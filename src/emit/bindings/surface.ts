import { isAny, type Range } from '../../ir/common/range.js';
import { extentsOf, type Signature, type SignatureTensor } from '../../ir/common/signature.js';
import { hasKept } from '../../ir/plan/kept.js';
import type { Plan } from '../../ir/plan/plan.js';
import { propertyKey, quoted } from '../typescript.js';
import { tensorType, typeName } from './names.js';

/** One generated TypeScript file as plain data; project.ts prints it. */
export interface FileSurface {
  readonly path: string;
  /** Comment lines at the top, without slashes. */
  readonly header: readonly string[];
  readonly imports: readonly { readonly from: string; readonly names: readonly string[]; readonly typeOnly: boolean }[];
  readonly constants: readonly { readonly name: string; readonly doc: string; readonly value: string }[];
  readonly interfaces: readonly InterfaceSurface[];
  readonly functions: readonly FunctionSurface[];
}

export interface InterfaceSurface {
  readonly name: string;
  readonly doc: string;
  readonly properties: readonly { readonly name: string; readonly type: string; readonly optional: boolean; readonly doc: string }[];
  readonly methods: readonly {
    readonly name: string; readonly parameters: readonly Parameter[]; readonly returns: string; readonly doc: string;
  }[];
}

export interface FunctionSurface {
  readonly name: string;
  readonly doc: string;
  readonly parameters: readonly Parameter[];
  readonly returns: string;
  /** Statements, one per line; nesting is written as it should appear. */
  readonly body: readonly string[];
}

export interface Parameter {
  readonly name: string;
  readonly type: string;
  readonly initializer?: string;
}

interface Member {
  readonly name: string;
  readonly optional: boolean;
  readonly axes: string;
  readonly doc: string;
}

const RANGE = /, in .*$/;

/** Types that the file uses besides its own. */
const USED = new Set([
  'ArrayLike', 'ElementType', 'Keeping', 'Keeps', 'Kept', 'Partial', 'Promise', 'ReadFile', 'Readonly', 'Record', 'Runtime', 'Tensor',
]);

const member = (tensor: SignatureTensor, doc: (extents: string) => string = (extents) => extents): Member => ({
  name: tensor.of,
  optional: tensor.hidden,
  axes: extentsOf(tensor).join(' '),
  doc: doc(`[${extentsOf(tensor).join(', ')}]`) + rangeText(tensor.range),
});

function members({ inputs, params, initial, outputs }: Signature) {
  return {
    inputs: inputs.map((tensor) => member(tensor)),
    params: params.map((tensor) => member(tensor, (extents) => `Parameter ${extents}`)),
    states: initial.map((tensor): Member => {
      const state = member(tensor, (extents) => `${extents} in f32`);
      return { ...state, doc: `${state.doc}${tensor.hidden ? ': an input of the token before; zeros if left out' : ''}` };
    }),
    outputs: outputs.map((tensor) => member(tensor)),
  };
}

function rangeText({ lo, hi }: Range): string {
  if (isAny({ lo, hi })) return '';
  return `, in ${lo === -Infinity ? '-inf' : lo}..${hi === Infinity ? 'inf' : hi}`;
}

/**
 * The typed binding of one scan. `plans`: the variants that were built, with the folder of each relative to the file
 * (`webgpu.f32`). `gradients`: they have `backward`. Pure data in, pure data out.
 */
export function bindingSurface(
  signature: Signature, plans: readonly { readonly folder: string; readonly plan: Plan }[], gradients = true,
): FileSurface {
  const name = typeName(signature.name, USED, 'Scan');
  const { inputs, params, states, outputs } = members(signature);
  const [{ plan }] = plans;
  // Kernels of another target may leave nothing: then nothing is kept, and backward computes it again.
  const keeps = gradients && plans.some((one) => hasKept(one.plan));
  const property = (
    member: Member, optional = member.optional,
  ) => ({ name: member.name, type: tensorType(member.axes), optional, doc: member.doc });
  const shapes = [...inputs, ...params, ...states, ...outputs.filter((output) => !states.some((state) => state.name === output.name))];
  const stepAxes = (axes: string): string => axes.replace(/^B T /, 'B ');
  const step = (member: Member) => ({
    ...property(member), type: tensorType(stepAxes(member.axes)), doc: member.doc.replace('[B, T, ', '[B, '),
  });
  const about = signature.doc === '' ? `The scan \`${signature.name}\`` : signature.doc;

  const interfaces: InterfaceSurface[] = [
    { name: `${name}Inputs`, doc: 'What a call takes: inputs, one value per token, and parameters.', properties: [
      ...[...inputs, ...params].map((member) => property(member)),
    ], methods: [] },
    { name: `${name}State`, doc: 'The memory after the last token of every sequence.', properties: [
      ...states.map((member) => property(member)),
    ], methods: [] },
    { name: `${name}Options`, doc: 'What a call may be given besides.', properties: [
      { name: 'state', type: `Partial<${name}State>`, optional: true, doc: 'Initial states; zeros if left out.' },
      {
        name: 'cuSeqlens', type: 'ArrayLike<number>', optional: true,
        doc: 'Packed sequences: N + 1 offsets of tokens; the batch is 1 then.',
      },
    ], methods: [] },
    { name: `${name}Result`, doc: 'What `forward` gives.', properties: [
      ...outputs.map((member) => property(member)),
      { name: 'state', type: `${name}State`, optional: false, doc: 'States after the last token.' },
      ...(keeps ? [{
        name: 'kept', type: 'Kept | undefined', optional: false,
        doc: 'With `keep`, what `backward` may take instead of computing it again; undefined where kernels leave nothing.',
      }] : []),
    ], methods: [] },
    ...(gradients ? [
      { name: `${name}Grads`, doc: 'Cotangents of what `forward` gives; zeros where left out.', properties: [
        ...outputs.map((member) => property(member, true)),
        { name: 'state', type: `Partial<${name}State>`, optional: true, doc: 'Cotangents of the final states.' },
      ], methods: [] },
      { name: `${name}Gradients`, doc: 'What `backward` gives: the gradient of every input, parameter and initial state.', properties: [
        ...[...inputs, ...params].map((member) => ({ ...property(member), doc: member.doc.replace(RANGE, '') })),
        { name: 'state', type: `${name}State`, optional: false, doc: 'Gradients of the initial states.' },
      ], methods: [] },
    ] : []),
    { name: `${name}StepInputs`, doc: 'Inputs of a single token.', properties: [
      ...inputs.map(step), ...params.map((member) => property(member)),
    ], methods: [] },
    { name: `${name}StepResult`, doc: 'What `step` gives.', properties: [
      ...outputs.map(step), { name: 'state', type: `${name}State`, optional: false, doc: 'The next state.' },
    ], methods: [] },
    { name: name, doc: `${about}\n\nResults stay on the device until \`readFloats\` fetches them.`, properties: [
      { name: 'shapes', type: 'typeof shapes', optional: false, doc: 'The axes of every tensor.' },
      {
        name: 'dtypes', type: 'Readonly<Record<string, ElementType>>', optional: false,
        doc: 'The element types that the loaded kernels read, for `upload`.',
      },
    ], methods: [
      { name: 'forward', parameters: [
        { name: 'inputs', type: `${name}Inputs` }, { name: 'options?', type: `${name}Options${keeps ? ' & Keeping' : ''}` },
      ], returns: `Promise<${name}Result>`, doc: 'Runs the scan over all tokens.' },
      ...(gradients ? [
        { name: 'backward', parameters: [
          { name: 'inputs', type: `${name}Inputs` }, { name: 'grads', type: `${name}Grads` },
          { name: 'options?', type: `${name}Options${keeps ? ' & Keeps' : ''}` },
        ], returns: `Promise<${name}Gradients>`, doc: `Gradients, from the inputs alone: what forward computed is computed again${
          keeps ? ', but for what it is given as `kept`' : ''}.` },
      ] : []),
      { name: 'step', parameters: [
        { name: 'state', type: `${name}State` }, { name: 'inputs', type: `${name}StepInputs` },
      ], returns: `Promise<${name}StepResult>`, doc: 'One token for every sequence: decoding.' },
      { name: 'release', parameters: [], returns: 'void', doc: 'Gives the kernels and their workspace back.' },
    ] },
  ];

  const finalOf = (state: string): string => signature.finals.find((tensor) => tensor.of === state)?.name ?? state;
  const got = (
    member: Member, tensor = member.name,
  ): string => `${propertyKey(member.name)}: results.take(${quoted(tensor)}, ${quoted(member.axes)})`;
  const stateOf = (
    list: readonly Member[], tensor: (state: string) => string,
  ): string => `state: { ${list.map((member) => got(member, tensor(member.name))).join(', ')} }`;
  const gotResult = [...outputs.map((member) => got(member)), stateOf(states, finalOf), ...(keeps ? ['kept: results.kept'] : [])];
  const gotGradients = [
    ...[...inputs, ...params].map((member) => got(member, `d_${member.name}`)), stateOf(states, (state) => `d_${state}`),
  ];
  const gotStep = [
    ...outputs.map((member) => (
      `${propertyKey(member.name)}: results.take(${quoted(member.name)}, ${quoted(stepAxes(member.axes))})`
    )),
    stateOf(states, finalOf),
  ];
  const body = [
    `const scan = await openScan(runtime, read, plans, sizes);`,
    'return {',
    '  shapes,',
    '  dtypes: scan.dtypes,',
    '  async forward(inputs, options) {',
    '    const results = await scan.forward(inputs, options);',
    `    return { ${gotResult.join(', ')} };`,
    '  },',
    ...(gradients ? [
      '  async backward(inputs, grads, options) {',
      '    const results = await scan.backward(inputs, grads, options);',
      `    return { ${gotGradients.join(', ')} };`,
      '  },',
    ] : []),
    '  async step(state, inputs) {',
    '    const results = await scan.step(state, inputs);',
    `    return { ${gotStep.join(', ')} };`,
    '  },',
    '  release: () => scan.release(),',
    '};',
  ];

  return {
    path: `${signature.name}.ts`,
    header: [
      `Made by lmoec ${plan.source.compiler}; changes will be lost.`,
      `source: sha256 ${plan.source.hash}`,
      `command: ${plan.source.command}`,
    ],
    imports: [
      { from: 'lmoec/runtime', names: ['ElementType', 'Runtime'], typeOnly: true },
      { from: 'lmoec/bindings', names: [...(keeps ? ['Keeping', 'Keeps', 'Kept'] : []), 'ReadFile', 'Tensor'], typeOnly: true },
      { from: 'lmoec/bindings', names: ['openScan'], typeOnly: false },
      { from: 'lmoec/files', names: ['filesBeside'], typeOnly: false },
    ],
    constants: [
      {
        name: 'plans', doc: 'Folders of what was built: target and dtype.',
        value: `[${plans.map(({ folder }) => quoted(folder)).join(', ')}] as const`,
      },
      {
        name: 'sizes', doc: 'The sizes of axes that the kernels are made for.',
        value: `{ ${Object.entries(plan.sizes).map(([axis, size]) => `${axis}: ${size}`).join(', ')} } as const`,
      },
      {
        name: 'shapes', doc: 'The axes of every tensor, in memory order.',
        value: `{ ${shapes.map((member) => `${propertyKey(member.name)}: ${quoted(member.axes)}`).join(', ')} } as const`,
      },
    ],
    interfaces,
    functions: [{
      name: 'load',
      doc: `Loads the kernels of \`${signature.name}\` for the runtime's device. `
        + '`read` gives the files of this folder; by default they are read from beside this module.'
        + (gradients ? '' : '\n\nIt was built with --eval: there is no `backward`; build it again without.'),
      parameters: [{ name: 'runtime', type: 'Runtime' }, { name: 'read', type: 'ReadFile', initializer: 'filesBeside(import.meta.url)' }],
      returns: `Promise<${name}>`,
      body,
    }],
  };
}
