import type { SpecCall, Tensors } from '../../src/interp/spec-machine.js';
import { runTiles, type TileDims } from '../../src/interp/tile.js';
import type { Spec } from '../../src/ir/spec/spec.js';
import { lowerScan } from '../../src/passes/pipeline.js';
import { runKernels } from '../unit/cuda/emulate.js';
import { bufferName } from '../property/tiles.js';
import { grossFault } from './gross.js';

const PROGRAMS = ['forward', 'backward', 'step'] as const;

/**
 * What CUDA kernels in f32, compiled for the CPU, make grossly different from their tiles; undefined for nothing. `given` by names of
 * the formula: of a state and an output of one name it is the state.
 */
export function emulationFault(spec: Spec, call: SpecCall, given: Tensors, sm80: boolean): string | undefined {
  const { module } = lowerScan(spec, call.sizes, { chunk: 16, exactGates: true, inlineScores: 'diagonal' });
  let start = 0;
  const sequences = call.lengths.map((length): readonly [number, number] => {
    start += length;
    return [start - length, length];
  });
  const dims: TileDims = { heads: call.heads, groups: call.groups, runs: { token: sequences }, longest: 1 };
  const faults: string[] = [];
  const read = [...given].flatMap(([name, data]) => (['input', 'param', 'initial'] as const).flatMap((role) => {
    const buffer = bufferName(module, role, name);
    return buffer === undefined ? [] : [[buffer, data] as const];
  }));
  const options = {
    dtype: 'f32', plain: false, call, longest: 1, programs: PROGRAMS, orders: ['1'], given: new Map(read),
    target: sm80 ? 'cuda.sm80' : 'cuda.sm90',
  } as const;
  runKernels(module, options, (program, drawn, results) => {
    const buffers = new Map(drawn);
    runTiles(module, program, dims, buffers);
    const wanted = new Map([...buffers].filter(([name]) => !drawn.has(name)));
    const odd = grossFault(`CUDA, ${program}`, new Map([...wanted.keys()].map((name) => [name, results.get(name) ?? []])), wanted);
    if (odd !== undefined) faults.push(odd);
  });
  return faults[0];
}
