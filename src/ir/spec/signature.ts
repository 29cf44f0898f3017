import type { Axis } from '../common/axes.js';
import { ANY, type Range } from '../common/range.js';
import { makeSignature, type Extent, type Signature, type SignatureRole, type SignatureTensor } from '../common/signature.js';
import { finalName } from './names.js';
import type { Spec } from './spec.js';

/** Of a scan. A state named like an output gives the output; its last value is `final.NAME`. */
export function signatureOf(spec: Spec): Signature {
  const inputs = spec.inputs.map((input) => ({
    ...tensor('input', input, ['B', 'T', input.scope === 'group' ? 'G' : 'H']), dtype: inputDtype(input),
  }));
  const params = spec.params.map((param) => tensor('param', param, ['H']));
  const initial = spec.states.map((state) => tensor('initial', state, ['N', 'H']));
  return makeSignature({
    name: spec.name,
    doc: spec.doc,
    axes: spec.axes,
    inputs,
    params,
    initial,
    outputs: spec.outputs.map((output) => ({
      ...tensor('output', { ...output, range: ANY }, ['B', 'T', 'H']), dtype: outputDtype(output),
    })),
    finals: initial.map((state) => ({ ...state, role: 'final', name: finalName(spec, state.of), range: ANY })),
    losses: [],
    countsHeads: spec.nodes.some(({ kind }) => kind === 'head' || kind === 'heads'),
  });
}

/** Of an input: scalars per token are f32, unless they are said to be rounded. */
export function inputDtype({ axes, rounded }: Pick<Spec['inputs'][number], 'axes' | 'rounded'>): SignatureTensor['dtype'] {
  return rounded ? 'io' : axes.length === 0 ? 'f32' : undefined;
}

export function outputDtype({ axes }: Pick<Spec['outputs'][number], 'axes'>): 'f32' | 'io' {
  return axes.length === 0 ? 'f32' : 'io';
}

interface Declared {
  readonly name: string;
  readonly axes: readonly Axis[];
  readonly range: Range;
  readonly hidden?: boolean;
}

function tensor(role: SignatureRole, { name, axes, range, hidden }: Declared, leading: readonly Extent[]): SignatureTensor {
  return {
    name, of: name, role, leading, axes, sizes: undefined, dtype: 'f32', indices: undefined, range, buffer: false, hidden: hidden === true,
  };
}
