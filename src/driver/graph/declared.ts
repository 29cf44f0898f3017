import type { Code } from '../../diagnostics/codes.js';
import type { Host } from '../host.js';
import type { Declaration } from '../kind.js';
import { problem, type Failed } from '../problem.js';
import type { PreparedRun, RunReport, RunRequest } from '../run/report.js';
import type { Source } from '../session.js';
import { prepareGraph, type PreparedGraph } from './prepare.js';
import { runKernels } from './on-device.js';
import type { GraphReport } from './run.js';

/** Batch and tokens of a random call. */
const CALL = { B: 2, T: 64 };

/** A run of a layer, mixture or model as `lmoec run` asks for it. */
export function prepareDeclared(
  host: Host, declaration: Declaration, request: RunRequest,
): PreparedRun | { readonly failures: readonly Failed[] } {
  const { source, part } = declaration;
  const { from, sizes, settings, training, seed } = request;
  const own = [...sizes].filter(([name]) => !(name in CALL));
  const prepared = prepareGraph(host, source, part, {
    settings: new Map<string, number | string>([...own, ...settings]),
    training,
    seed,
    from: 'file' in from ? from : {
      batch: sizes.get('B') ?? CALL.B, tokens: sizes.get('T') ?? CALL.T, lengths: from.lengths,
      // Gradients of mixtures without losses are those of outputs.
      cotangents: request.backend !== 'oracle' && part.kind !== 'model',
    },
  });
  if ('problems' in prepared) return { failures: prepared.problems };
  if ('diagnostics' in prepared) return { failures: [prepared] };
  return {
    warnings: prepared.warnings,
    async run(runtime) {
      try {
        const report = runtime === undefined ? prepared.run() : await runKernels(host, declaration, prepared, runtime, request);
        if ('results' in report) return told(report);
        const why = isAsked(request) ? undefined : lackOf(source, report, prepared);
        const instead = why === undefined ? report : prepared.run();
        return 'results' in instead ? told(instead, why) : instead;
      } catch (error) {
        if (isAllocation(error)) return problem('E509', `\`${part.name}\` has values that no array holds`, 'run fewer tokens: --size T=64');
        throw error;
      }
    },
  };
}

const NO_KERNELS: readonly Code[] = ['E812', 'E813', 'E815'];

/** Are kernels asked for, or something that only they have? */
function isAsked({ backend, target, dtype }: RunRequest): boolean {
  return backend !== undefined || target !== undefined || dtype !== 'f32';
}

/** Why there are no kernels for a call; undefined: it is something else that fails. */
function lackOf(source: Source, failed: Failed, { call }: PreparedGraph): string | undefined {
  if (call.positions !== undefined) return 'positions are given';
  if (!('diagnostics' in failed) || !failed.diagnostics.every(({ code }) => NO_KERNELS.includes(code))) return undefined;
  const [first] = source.located(failed.diagnostics);
  return `it has no kernels: ${first.label}, in line ${first.line}`;
}

/** What an engine says of arrays that it cannot make. */
function isAllocation(error: unknown): boolean {
  return error instanceof RangeError && /array buffer allocation|typed array length|array length/i.test(error.message);
}

/** `why`: why in the interpreter, where a device was there. */
function told(report: GraphReport, why?: string): RunReport {
  const { name, kind, call, training, losses, counts, comparisons, backend, device, dtype } = report;
  const interpreted = backend === 'interpreter';
  const place = interpreted ? `in the interpreter, float64${why === undefined ? '' : ` (${why})`}` : `on ${backend} (${device}), ${dtype}`;
  return {
    title: `${kind} ${name} ${place}${training ? ', training' : ''}: ${call}`,
    tables: [
      ...(losses.size === 0 ? [] : [[['loss', ''], ...[...losses].map(([path, value]) => [path, value.toPrecision(8)])]]),
      ...(counts.size === 0 ? [] : [[
        ['tokens of', 'least', 'mean', 'most'], ...[...counts].map(([path, { data }]) => [path, ...spreadOf(Array.from(data))]),
      ]]),
    ],
    comparisons,
    comparable: 'results are held against tensors named `expect.NAME` in the inputs',
    meaningless: undefined,
    dtype,
    note: interpreted ? '--out FILE keeps the results' : undefined,
    json: {
      name, kind, backend, why, device, dtype, call, training, losses: Object.fromEntries(losses),
      counts: Object.fromEntries([...counts].map(([path, { data }]) => [path, Array.from(data)])),
    },
    file: () => report.file(),
  };
}

function spreadOf(counts: readonly number[]): readonly string[] {
  const mean = counts.reduce((sum, n) => sum + n, 0) / counts.length;
  return [Math.min(...counts), mean, Math.max(...counts)].map((n) => String(Math.round(10 * n) / 10));
}
