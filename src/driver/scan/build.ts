import { bindingSurface } from '../../emit/bindings/surface.js';
import { signatureOf } from '../../ir/spec/signature.js';
import type { BuildRequest, Built, Declaration } from '../kind.js';
import type { Host } from '../host.js';
import { cudaJobs, type CudaJob } from '../nvcc.js';
import type { Failed } from '../problem.js';
import { isProblem } from '../session.js';
import { defaultDtype, variantFolder } from '../targets.js';
import { jsonText } from '../../support/text.js';
import { compileScan, type Compiled } from './compile.js';
import { emitLevels, isLevel, levelFiles } from './levels.js';
import { sizesFor } from './sizes.js';
import { sizesOf, specAt } from './spec.js';

/** Plans and kernels of a scan, one folder for each target and dtype. */
export async function buildScan(host: Host, declaration: Declaration, request: BuildRequest): Promise<Built | Failed> {
  const { source } = declaration;
  const { targets, dtypes, given, command, evalOnly } = request;
  const spec = specAt(declaration, given);
  if (!('nodes' in spec)) return spec;
  const sizes = sizesFor(spec, sizesOf(given));
  if (isProblem(sizes)) return sizes;
  const variants: Compiled[] = [];
  for (const target of targets) {
    for (const dtype of dtypes ?? [defaultDtype(target)]) {
      const compiled = await compileScan(host, source, spec, { target, dtype, sizes, command, backward: !evalOnly });
      if (!('plan' in compiled)) return compiled;
      variants.push(compiled);
    }
  }
  const levels = request.levels.filter(isLevel);
  const files = new Map<string, string | Uint8Array>(levelFiles(spec, variants, levels));
  const jobs: CudaJob[] = [];
  for (const { plan, files: kernels } of variants) {
    const folder = variantFolder(plan);
    files.set(`${folder}/plan.json`, `${jsonText(plan, 1)}\n`);
    for (const [name, text] of kernels) files.set(`${folder}/${name}`, text);
    jobs.push(...cudaJobs(`${spec.name}/${folder}/`, plan, kernels));
  }
  return {
    ...declaration,
    files,
    binding: bindingSurface(signatureOf(spec), variants.map(({ plan }) => ({ folder: variantFolder(plan), plan })), !evalOnly),
    jobs,
    identity: [spec.name, variants.map(({ plan }) => [variantFolder(plan), plan.sizes, plan.source])],
    summary: variants.map(({ plan }) => `${plan.target} ${plan.dtype}`).join(', '),
    text: levels.length === 0 ? '' : emitLevels(spec, variants, levels),
  };
}
