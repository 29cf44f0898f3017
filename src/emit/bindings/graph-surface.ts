import type { Signature, SignatureTensor } from '../../ir/common/signature.js';
import { propertyKey, quoted } from '../typescript.js';
import { tensorType, typeName } from './names.js';
import type { FileSurface, InterfaceSurface } from './surface.js';

/** Types that the file uses besides its own. */
const USED = new Set(['OpenEvalKernels', 'OpenGraph', 'OpenKernels', 'Promise', 'ReadFile', 'Runtime', 'Tensor']);

/** Of a generated file. */
export interface Provenance {
  readonly compiler: string;
  readonly hash: string;
  readonly command: string;
}

type Property = InterfaceSurface['properties'][number];

/**
 * The typed binding of a layer, mixture or model that was made with these settings, which runs in the interpreter, and on devices where
 * there are `folders` of kernels; `evalOnly`: of none for training. Pure data in, pure data out.
 */
export function graphSurface(
  signature: Signature, made: ReadonlyMap<string, number | string>, { compiler, hash, command }: Provenance,
  folders: readonly string[] = [], evalOnly = false,
): FileSurface {
  const name = typeName(signature.name, USED, 'Graph');
  const kernels = folders.length > 0;
  const [opened, open] = evalOnly ? ['OpenEvalKernels', 'openEvalKernels'] : ['OpenKernels', 'openKernels'];
  const moves = kernels && !evalOnly && signature.params.some(({ buffer }) => buffer);
  const params = signature.params.map((tensor) => property(
    tensor, [], `${tensor.buffer ? 'Buffer' : 'Param'} ${sized(tensor, [])}${tensor.dtype === 'f32' ? ', read in f32' : ''}`,
  ));
  const inputs = (lead: readonly string[]) => signature.inputs.map((tensor) => {
    const { indices } = tensor;
    const shape = sized(tensor, lead);
    return property(
      tensor, lead, indices === undefined ? shape : `${shape}: numbers below ${indices.name} = ${indices.size}, negative for none`,
    );
  });
  const outputs = (lead: readonly string[]) => signature.outputs.map((tensor) => property(tensor, lead, sized(tensor, lead)));
  const losses = signature.losses.map(({ of: path }): Property => (
    { name: propertyKey(path), type: 'number', optional: false, doc: `The loss \`${path}\`.` }
  ));
  const groups: readonly (readonly [key: string, type: string, doc: string, properties: readonly Property[]])[] = [
    ['params', 'Params', 'Params and buffers by path; axes of families in front.', params],
    ['buffers', 'Buffers', 'Buffers by path.', params.filter((_, i) => signature.params[i].buffer)],
    ['inputs', 'Inputs', 'What a call takes, one value per token.', inputs(['B', 'T'])],
    ['outputs', 'Outputs', 'What a call gives.', outputs(['B', 'T'])],
    ['losses', 'Losses', 'Losses by path: each is part of what is minimised.', losses],
    ['stepInputs', 'StepInputs', 'Inputs of a single token of every sequence.', inputs(['B'])],
    ['stepOutputs', 'StepOutputs', 'Outputs of a single token.', outputs(['B'])],
  ];
  const interfaces = groups.map(
    ([, type, doc, properties]) : InterfaceSurface => ({ name: `${name}${type}`, doc, properties, methods: [] })
  );
  const types: InterfaceSurface = {
    name: `${name}Types`, doc: 'All of them together.', methods: [],
    properties: groups.map(([key, type, doc]): Property => ({ name: key, type: `${name}${type}`, optional: false, doc })),
  };
  const settings = [...made]
    .map(([key, value]) => `${propertyKey(key)}: ${typeof value === 'number' ? value : quoted(value)}`).join(', ');
  return {
    path: `${signature.name}.ts`,
    header: [`Made by lmoec ${compiler}; changes will be lost.`, `source: sha256 ${hash}`, `command: ${command}`],
    imports: [
      ...(kernels ? [{ from: 'lmoec/runtime', names: ['Runtime'], typeOnly: true }] : []),
      { from: 'lmoec/bindings', names: kernels ? [opened, 'ReadFile', 'Tensor'] : ['ReadFile', 'Tensor'], typeOnly: true },
      ...(kernels ? [{ from: 'lmoec/bindings', names: [open], typeOnly: false }] : []),
      { from: 'lmoec/files', names: ['filesBeside'], typeOnly: false },
      { from: 'lmoec/interpreter', names: ['OpenGraph'], typeOnly: true },
      { from: 'lmoec/interpreter', names: moves ? ['openGraph', 'openUpdate'] : ['openGraph'], typeOnly: false },
    ],
    constants: [{
      name: 'settings', doc: 'The sizes, other numbers, texts and parts that it was built with.', value: `{ ${settings} } as const`,
    }, ...(kernels ? [{
      name: 'plans', doc: 'Folders of the kernels that were built: target and dtype.',
      value: `[${folders.map(quoted).join(', ')}] as const`,
    }] : [])],
    interfaces: [...interfaces, types],
    functions: [{
      name: 'load',
      doc: `Opens \`${signature.name}\`${signature.doc === '' ? '' : `: ${signature.doc}`}\n\n`
        + `${kernels ? 'In the float64 interpreter, without kernels.' : 'It runs in the float64 interpreter.'} `
        + '`read` gives the files of this folder; by default they are read from beside this module.',
      parameters: [{ name: 'read', type: 'ReadFile', initializer: 'filesBeside(import.meta.url)' }],
      returns: `Promise<OpenGraph<${name}Types>>`,
      body: ['return openGraph(read);'],
    }, ...(kernels ? [{
      name: 'loadKernels',
      doc: `Loads the kernels of \`${signature.name}\` for the runtime's device: ${evalOnly
        ? '`eval` and single tokens. It was built with --eval: there is no `forward` of training and no `backward`; build it again without.'
        : `forward, backward${moves ? ', updates of buffers' : ''}, and single tokens.`}`,
      parameters: [{ name: 'runtime', type: 'Runtime' }, { name: 'read', type: 'ReadFile', initializer: 'filesBeside(import.meta.url)' }],
      returns: `Promise<${opened}<${name}Types>>`,
      body: [`return ${open}(runtime, read, plans${moves ? ', openUpdate' : ''});`],
    }] : [])],
  };
}

function property({ of: name, axes }: SignatureTensor, lead: readonly string[], doc: string): Property {
  return { name: propertyKey(name), type: tensorType([...lead, ...axes].join(' ')), optional: false, doc };
}

function sized({ axes, sizes }: SignatureTensor, lead: readonly string[]): string {
  return `[${[...lead, ...axes.map((axis, i) => `${axis} = ${sizes?.[i]}`)].join(', ')}]`;
}
