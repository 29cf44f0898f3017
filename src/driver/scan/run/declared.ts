import { problem } from '../../problem.js';
import { failedBy, type Declaration } from '../../kind.js';
import type { Host } from '../../host.js';
import type { Failed } from '../../problem.js';
import type { PreparedRun, RunReport, RunRequest } from '../../run/report.js';
import { specAt } from '../spec.js';
import { prepareRun, type ScanReport } from './run.js';

/** A run of a scan as `lmoec run` asks for it. */
export function prepareDeclared(
  host: Host, declaration: Declaration, request: RunRequest,
): PreparedRun | { readonly failures: readonly Failed[] } {
  const { from, sizes, settings, seed } = request;
  const { part, source } = declaration;
  const stranger = [...settings.keys()].find((name) => !part.settings.includes(name));
  if (stranger !== undefined) return failedBy(
    problem('E201', `\`${part.name}\` has no \`${stranger}\` to set`, `it has ${part.settings.join(', ')}`),
  );
  const spec = specAt(declaration, new Map<string, number | string>([...sizes, ...settings]));
  if (!('nodes' in spec)) return { failures: [spec] };
  const axes = new Map([...sizes].filter(([name]) => spec.axes.some((axis) => axis.name === name) || !part.settings.includes(name)));
  const prepared = prepareRun(host, source, spec, 'file' in from ? from : { ...from, sizes: axes, seed });
  if ('problems' in prepared) return failedBy(...prepared.problems);
  return {
    warnings: prepared.warnings,
    async run(runtime) {
      const report = await prepared.run(runtime, request);
      return 'results' in report ? told(report) : report;
    },
  };
}

function told(report: ScanReport): RunReport {
  const { scan, backend, device, dtype, call, comparisons, meaningless } = report;
  return {
    title: `${scan} on ${device === undefined ? backend : `${backend} (${device})`}, ${dtype}: ${call}`,
    tables: [],
    comparisons,
    comparable: 'the oracle is held against tensors named `expect.NAME` in the inputs, in f32',
    meaningless,
    dtype,
    note: undefined,
    json: { scan, backend, device, dtype, call },
    file: () => report.file(),
  };
}
