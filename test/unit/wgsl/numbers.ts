import { afterAll, describe, expect, it } from 'vitest';
import { DEFAULT_CAPABILITIES } from '../../../src/backends/wgsl/capabilities.js';
import { emitWgsl } from '../../../src/backends/wgsl/emit.js';
import type { Compiled } from '../../../src/driver/scan/compile.js';
import { nodeHost } from '../../../src/driver/host.js';
import { compare } from '../../../src/driver/run/compare.js';
import { runOnDevice } from '../../../src/driver/scan/run/device.js';
import { isProblem } from '../../../src/driver/session.js';
import { gradSpec } from '../../../src/interp/spec-gradient.js';
import { runSpec } from '../../../src/interp/spec.js';
import { finalName } from '../../../src/ir/spec/names.js';
import type { Spec } from '../../../src/ir/spec/spec.js';
import { lowerScan } from '../../../src/passes/pipeline.js';
import type { WebGpuRuntime } from '../../../src/runtime/webgpu/index.js';
import { distance } from '../../property/tiles.js';
import { openSoftwareGpu } from '../../webgpu/adapters.js';
import { END_SCANS, setEnds } from '../passes/end-scans.js';
import { missing, NAN_SCANS, spoilt } from '../passes/nan-scans.js';
import { setSteady, STEADY_SCANS } from '../passes/steady-scans.js';
import { draw, specOf, type Drawn } from '../passes/scans.js';
import { plain } from './templates.js';

/** h - e h + e x. */
const MIXED = 'an elementwise scan and what is forgotten';
const LENGTHS = [30, 7];
const TOKENS = 37;

async function run(runtime: WebGpuRuntime, compiled: Omit<Compiled, 'warnings'>, { call, given, cotangents }: Drawn) {
  const tokens = call.lengths.reduce((sum, length) => sum + length, 0);
  const shape = {
    batch: 1, tokens, heads: call.heads, groups: call.groups, lengths: call.lengths, cuSeqlens: undefined, sizes: call.sizes,
  };
  const found = await runOnDevice(nodeHost(), runtime, compiled, shape, new Map([...given, ...cotangents]), { step: true });
  if (isProblem(found)) throw new Error(found.title);
  return found;
}

function compiledOf(spec: Spec, sizes: ReadonlyMap<string, number>, capabilities = DEFAULT_CAPABILITIES) {
  const lowered = lowerScan(spec, sizes, { chunk: 16, exactGates: true });
  return { ...lowered, ...emitWgsl(lowered.module, { ...plain, dtype: 'f32', capabilities }) };
}

const sizesOf = (spec: Spec) => new Map(spec.axes.map((axis, i) => [axis.name, [8, 5][i % 2]]));

/** Infinities, zeros and NaN on one software adapter: WGSL promises none of them. */
export async function describeNumbers(name: 'swiftshader' | 'lavapipe'): Promise<void> {
  const runtime = await openSoftwareGpu(name);
  if ('why' in runtime) {
    it.skip(`ends of numbers on ${name}: ${runtime.why}`, () => undefined);
    return;
  }
  afterAll(() => runtime.release());

  describe(`formulas at the ends of their functions on ${name}`, () => {
    it.each(Object.entries(END_SCANS))('%s', async (_, scan) => {
      const spec = specOf(scan.text);
      const drawn = draw(spec, sizesOf(spec), LENGTHS, 3);
      setEnds(scan, drawn);
      const wanted = gradSpec(spec, drawn.call, drawn.given, drawn.cotangents);
      const { forward, backward, step } = await run(runtime, compiledOf(spec, drawn.call.sizes), drawn);
      const results = [forward, backward, step ?? new Map<string, Float64Array>()].flatMap((tensors) => [...tensors]);
      const judged = results.map(([tensor, data]) => compare(
        tensor, 'output', 'output', 'f32', data, wanted.get(tensor) ?? new Float64Array(),
      ));
      expect(judged.filter(({ passed }) => !passed)).toEqual([]);
      expect(judged.length).toBeGreaterThan(6);
    });
  });

  describe(`decays next to 1 stay exact for long on ${name}`, () => {
    it.each(Object.entries(STEADY_SCANS))('%s', async (title, [text, input, value]) => {
      const spec = specOf(text);
      const drawn = draw(spec, new Map(spec.axes.map((axis) => [axis.name, 4])), [16384], 3, { heads: 1, groups: 1 });
      setSteady(drawn, input, value);
      const wanted = runSpec(spec, drawn.call, drawn.given);
      const { forward, step } = await run(runtime, compiledOf(spec, drawn.call.sizes), { ...drawn, cotangents: new Map() });
      // Chunks of elementwise scans multiply decays, too.
      // (On lavapipe those of h - e h + e x are off by 2e-4: WGSL lets a driver sum in other ways, such as h (1 - e) + e x.)
      const chunked = title.startsWith('an elementwise') && !(name === 'lavapipe' && title === MIXED) ? forward : [];
      const errors = [...step ?? [], ...chunked].map(([tensor, data]) => [
        tensor, distance(data, wanted.get(tensor) ?? new Float64Array()),
      ] as const);
      expect(errors.filter(([, error]) => !(error < 1e-5))).toEqual([]);
      expect(errors.length).toBeGreaterThan(0);
    });
  });

  describe(`NaN in an input reaches what follows on ${name}`, () => {
    it.each(Object.entries(NAN_SCANS))('%s', async (_, text) => {
      const spec = specOf(text);
      const drawn = draw(spec, sizesOf(spec), LENGTHS, 3);
      const names = [...spec.outputs.map((output) => output.name), ...spec.states.map((state) => finalName(spec, state.name))];
      for (const capabilities of [DEFAULT_CAPABILITIES, runtime.capabilities]) {
        const compiled = compiledOf(spec, drawn.call.sizes, capabilities);
        for (const [input, given] of spoilt(drawn, spec.inputs.map((x) => x.name), TOKENS)) {
          const wanted = gradSpec(spec, drawn.call, given, new Map());
          const { forward, step } = await run(runtime, compiled, { ...drawn, given });
          expect(
            [...missing(wanted, (tensor) => forward.get(tensor), names), ...missing(wanted, (tensor) => step?.get(tensor), names)], input,
          ).toEqual([]);
        }
      }
    });
  });
}
