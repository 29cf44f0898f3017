import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { WgslCapabilities } from '../../src/backends/wgsl/capabilities.js';
import { compileScan, ioDtypeOf, type Compiled } from '../../src/driver/scan/compile.js';
import { nodeHost } from '../../src/driver/host.js';
import { errorClasses } from '../../src/driver/scan/run/classes.js';
import { compare } from '../../src/driver/run/compare.js';
import { runOnDevice } from '../../src/driver/scan/run/device.js';
import { drawTensors } from '../../src/driver/scan/run/draw.js';
import { rounded } from '../../src/driver/run/elements.js';
import { runOracle } from '../../src/driver/scan/run/oracle.js';
import { signatureOf } from '../../src/ir/spec/signature.js';
import type { CallShape } from '../../src/driver/run/validate.js';
import { isProblem, openSource } from '../../src/driver/session.js';
import type { IoDtype } from '../../src/ir/common/dtype.js';
import type { Runtime } from '../../src/runtime/runtime.js';
import { EXAMPLES_FOLDER, NO_EXAMPLES } from '../examples.js';
import { openSoftwareGpu } from '../webgpu/adapters.js';

const host = nodeHost();

/** Tokens of each sequence; one sequence is [1, T], several are packed. */
const CALLS = [[1], [17], [100], [33, 0, 1, 16]] as const;

export interface ConformanceOptions {
  /** What kernels are written for; what the adapter has if not given. */
  readonly capabilities?: WgslCapabilities;
  readonly dtype: IoDtype;
  readonly names: readonly string[];
  readonly calls?: readonly (readonly number[])[];
}

/** Outputs, final states, gradients and the one-token program of examples on one software adapter, against the float64 oracle. */
export async function describeConformance(adapter: 'swiftshader' | 'lavapipe', suites: readonly ConformanceOptions[]): Promise<void> {
  const runtime = await openSoftwareGpu(adapter);
  if ('why' in runtime) {
    it.skip(`examples on ${adapter}: ${runtime.why}`, () => undefined);
    return;
  }
  afterAll(() => runtime.release());
  describe.skipIf(NO_EXAMPLES).each(suites)(`examples on ${adapter}, $dtype`, (options) => {
    it.each(options.names)('%s', async (name) => {
      const compiled = await compileExample(name, options.dtype, options.capabilities ?? runtime.capabilities);
      const loaded = await runtime.load(compiled.plan, compiled.files);
      // Kernels are compiled once for all calls.
      const kept: Runtime = { ...runtime, load: async () => ({ ...loaded, release: () => undefined }) };
      for (const lengths of options.calls ?? CALLS) {
        expect(await failures(kept, compiled, lengths, options.dtype), `tokens ${lengths.join(', ')}`).toEqual([]);
      }
      loaded.release();
    });
  });
}

async function compileExample(name: string, dtype: IoDtype, capabilities: WgslCapabilities): Promise<Compiled> {
  const source = openSource(host, join(EXAMPLES_FOLDER, `${name}.lmoe`));
  if (isProblem(source)) throw new Error(source.title);
  const [spec] = source.specs;
  const sizes = new Map(spec.axes.map((axis) => [axis.name, 64]));
  const compiled = await compileScan(host, source, spec, { target: 'webgpu', dtype, sizes, command: 'a test', capabilities });
  if (!('plan' in compiled)) throw new Error(`${name} does not compile`);
  return compiled;
}

/** Every tensor that is further from the oracle than the dtype allows. */
export async function failures(
  runtime: Runtime, compiled: Compiled, lengths: readonly number[], dtype: IoDtype,
): Promise<readonly string[]> {
  const { spec, module: { sizes } } = compiled;
  const tokens = lengths.reduce((sum, length) => sum + length, 0);
  const grouped = spec.inputs.some((input) => input.scope === 'group');
  const call: CallShape = { batch: 1, tokens, heads: 2, groups: grouped ? 1 : 2, lengths, cuSeqlens: undefined, sizes };
  const isIo = ioDtypeOf(compiled.module);
  const drawn = drawTensors(spec, { B: 1, T: tokens, H: 2, G: call.groups, N: lengths.length }, sizes, { seed: 3 });
  const values = new Map([...drawn].map(([name, { data }]) => [
    name, rounded(Float64Array.from(data), isIo(name) ? dtype : 'f32'),
  ] as const));
  const found = await runOnDevice(host, runtime, compiled, call, values, { step: true });
  if (isProblem(found)) throw new Error(found.title);
  const expected = runOracle(spec, call, values);
  const signature = signatureOf(spec);
  const classOf = errorClasses(spec, compiled.scan);
  const results = new Map([...found.forward, ...found.backward]);
  const comparisons = [...signature.results, ...signature.gradients].map((tensor) => {
    const role = tensor.role === 'gradient' ? 'gradient' : tensor.role === 'final' ? 'final' : 'output';
    return compare(tensor.name, role, classOf(tensor), dtype, results.get(tensor.name), expected.get(tensor.name) ?? []);
  });
  const steps = signature.results.map((tensor) => compare(
    tensor.name, 'step', classOf(tensor), dtype, found.step?.get(tensor.name), expected.get(tensor.name) ?? [],
  ));
  return [...comparisons, ...steps].filter(({ passed }) => !passed)
    .map(({ name, role, error, allowed }) => `${role} ${name}: ${error.toExponential(1)} > ${allowed}`);
}
