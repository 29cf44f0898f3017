import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { errorClasses } from '../../src/driver/scan/run/classes.js';
import { drawTensors } from '../../src/driver/scan/run/draw.js';
import type { SignatureTensor } from '../../src/ir/common/signature.js';
import { signatureOf } from '../../src/ir/spec/signature.js';
import { tolerance } from '../../src/driver/tolerance.js';
import { gradSpec } from '../../src/interp/spec-gradient.js';
import type { IoDtype } from '../../src/ir/common/dtype.js';
import { elements } from '../../src/ir/common/axes.js';
import { planName } from '../../src/runtime/names.js';
import { halfBits, halfValue } from '../../src/support/float.js';
import { NO_EXAMPLES } from '../examples.js';
import { compileExample } from '../unit/cuda/compiled.js';
import { compiler } from '../unit/cuda/emulate.js';
import { NO_TORCH, PYTHON } from './python.js';
import { buildRecorder, buildStandIn, copyRuntime } from './stand-in.js';

interface Shape {
  readonly name: string;
  /** Of the sequences: packed in one row of tokens, or as many rows of the same length. */
  readonly lengths: readonly number[];
  readonly packed: boolean;
  readonly groups: number;
  readonly states: boolean;
}

const SHAPES: readonly Shape[] = [
  { name: 'batch', lengths: [70, 70], packed: false, groups: 1, states: true },
  { name: 'batch without states', lengths: [70, 70], packed: false, groups: 2, states: false },
  { name: 'packed', lengths: [33, 0, 90, 1], packed: true, groups: 1, states: true },
  { name: 'one token', lengths: [1, 1, 1], packed: false, groups: 2, states: true },
];
const HEADS = 2;

async function check(example: string, size: number, dtype: IoDtype): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'lmoec-torch-'));
  try {
    const made = await compileExample(example, size, dtype, 'cuda.sm90', true);
    copyRuntime(folder);
    const plan = buildStandIn(folder, made.module, dtype, { programs: 4, least: 1 });
    const { spec, scan } = made;
    if (scan === undefined) throw new Error(`${example} has no chunks`);
    const sizeOf = new Map(spec.axes.map((axis) => [axis.name, size]));
    const signature = signatureOf(spec);
    const classOf = errorClasses(spec, scan);
    let files = 0;
    const save = (declared: SignatureTensor, values: Float64Array, { lengths, packed, groups }: Shape, step = false) => {
      const file = `${files++}.bin`;
      writeFileSync(join(folder, file), values);
      const extents = {
        B: packed ? 1 : lengths.length, T: packed ? lengths.reduce((a, b) => a + b, 0) : lengths[0], H: HEADS, G: groups, N: lengths.length,
      };
      const shape = [
        ...declared.leading.filter((name) => !(step && name === 'T')).map((name) => extents[name]),
        ...declared.axes.map((axis) => elements([axis], sizeOf))
      ];
      return {
        file, shape, count: values.length,
        dtype: plan.tensors.find((tensor) => tensor.name === planName(plan, declared.role, declared.name))?.dtype ?? 'f32',
      };
    };
    const cases = SHAPES.flatMap((shape) => {
      const { lengths, groups } = shape;
      const tokens = lengths.reduce((a, b) => a + b, 0);
      const drawn = drawTensors(spec, { B: 1, T: tokens, H: HEADS, G: groups, N: lengths.length }, sizeOf, { seed: 5 });
      const rounded = (declared: SignatureTensor): Float64Array => {
        const half = plan.tensors.find((tensor) => tensor.name === planName(plan, declared.role, declared.name))?.dtype !== 'f32';
        const zero = !shape.states && (
          declared.role === 'initial' || signature.results.find(({ name }) => `d_${name}` === declared.name)?.role === 'final'
        );
        return Float64Array.from(
          drawn.get(declared.name)?.data ?? [], (x) => (zero ? 0 : half && dtype !== 'f32' ? halfValue(dtype, halfBits(dtype, x)) : x),
        );
      };
      const args = [...signature.required, ...signature.initial];
      const values = (list: readonly SignatureTensor[]) => new Map(list.map((declared) => [declared.name, rounded(declared)]));
      const expected = gradSpec(spec, { sizes: sizeOf, heads: HEADS, groups, lengths }, values(args), values(signature.cotangents));
      const hidden = (declared: SignatureTensor): boolean => !shape.states && (
        declared.role === 'initial' || signature.results.some(({ name, role }) => role === 'final' && `d_${name}` === declared.name)
      );
      const one = (program: 'forward' | 'backward' | 'step' | 'ends' | 'reverse_ends') => {
        // States that come from nowhere are wanted by nobody.
        const step = program === 'step';
        const wanted = ((): readonly SignatureTensor[] => {
          switch (program) {
            case 'backward': return signature.gradients;
            case 'reverse_ends': return signature.gradients.filter(
              ({ name }) => signature.initial.some((state) => name === `d_${state.name}`),
            );
            case 'ends': return signature.finals;
            case 'forward': case 'step': return signature.results.filter(({ role }) => shape.states || step || role === 'output');
          }
        })();
        return {
          name: shape.name, program, final: shape.states, offsets: shape.packed ? lengths.reduce<number[]>(
            (list, length) => [...list, list[list.length - 1] + length], [0],
          ) : null,
          args: args.map((declared) => (hidden(declared) ? null : save(declared, rounded(declared), shape, step))),
          cotangents: signature.cotangents.map((declared) => (hidden(declared) ? null : save(declared, rounded(declared), shape))),
          names: wanted.map(({ name }) => name),
          expected: wanted.map((declared) => save(declared, expected.get(declared.name) ?? new Float64Array(), shape, step)),
          allowed: Object.fromEntries(wanted.map((declared) => [declared.name, tolerance(dtype, classOf(declared))])),
        };
      };
      return [
        one('forward'), one('backward'), one('ends'), one('reverse_ends'),
        ...(lengths.every((length) => length === 1) ? [one('step')] : []),
      ];
    });
    writeFileSync(join(folder, 'cases.json'), JSON.stringify({ scan: plan.scan, cases }));
    return python('values.py', folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** What a script prints when it fails; nothing when all is well. */
function python(script: string, folder: string, environment: Readonly<Record<string, string>> = {}): string {
  const done = spawnSync(PYTHON ?? 'python3', [join(import.meta.dirname, script), folder], {
    encoding: 'utf8', env: {
      ...process.env, LD_LIBRARY_PATH: join(folder, 'lib'), OMP_NUM_THREADS: '1', PYTHONDONTWRITEBYTECODE: '1', ...environment,
    },
  });
  return done.status === 0 ? '' : `${done.stdout}\n${done.stderr}`;
}

const skip = NO_TORCH !== undefined || !compiler || NO_EXAMPLES;
describe.skipIf(skip)(`the runtime of PyTorch packages on emulated kernels (skipped: ${NO_TORCH ?? 'no g++ or no examples'})`, () => {
  it.each([
    ['gla', 64, 'bf16'], ['gated_delta', 16, 'f32'], ['gsa', 16, 'f32'], ['mamba2', 16, 'bf16'], ['rg_lru', 64, 'bf16'],
  ] as const)('%s, size %i, %s', async (example, size, dtype) => {
    expect(await check(example, size, dtype)).toBe('');
  });
  it('launches, memory, messages', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'lmoec-torch-'));
    try {
      copyRuntime(folder);
      buildRecorder(folder);
      const { plan, files } = await compileExample('gla', 64, 'bf16', 'cuda.sm90', true);
      const at = join(folder, 'plans/gla/K64_V64/cuda.sm90.bf16');
      mkdirSync(at, { recursive: true });
      writeFileSync(join(at, 'plan.json'), JSON.stringify(plan));
      for (const [name, text] of files) writeFileSync(join(at, name), text);
      for (const { file } of plan.kernels) writeFileSync(join(at, file.replace('.cu', '.cubin')), 'machine code');
      mkdirSync(join(folder, 'more'));
      for (const name of ['comba', 'gated_delta', 'gsa', 'mamba2', 'mlstm', 'rwkv6']) {
        writeFileSync(
          join(folder, 'more', `${name}.json`), JSON.stringify((await compileExample(name, 64, 'bf16', 'cuda.sm90', true)).plan),
        );
      }
      expect(python('launches.py', folder)).toBe('');
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
