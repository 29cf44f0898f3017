import type { PackageScan } from '../../emit/torch/package.js';
import { signatureOf as pythonSignature } from '../../emit/torch/signature.js';
import { signatureOf } from '../../ir/spec/signature.js';
import { adjoint } from '../../passes/adjoint/adjoint.js';
import { backwardToken, forwardToken } from '../../passes/adjoint/token.js';
import { normalize } from '../../passes/normalize/normalize.js';
import type { Host } from '../host.js';
import type { Declaration, PythonRequest } from '../kind.js';
import { formulaOf } from '../parts.js';
import { problem, type Failed } from '../problem.js';
import { isProblem } from '../session.js';
import { defaultDtype } from '../targets.js';
import { compileScan, ioDtypeOf, type Compiled } from './compile.js';
import { sizesFor } from './sizes.js';
import { numbersOf, sizesOf, specAt } from './spec.js';

/** What a Python package has of a scan: a set of plans for each set of sizes, and the reference, which holds for all. */
export async function packageScan(host: Host, declaration: Declaration, request: PythonRequest): Promise<PackageScan | Failed> {
  const { source, part } = declaration;
  const [numbers, ...others] = request.given.map((given) => numbersOf(declaration, given));
  const text = (some: ReadonlyMap<string, number | string>): string => JSON.stringify([...some]);
  if (others.some((other) => text(other) !== text(numbers))) return problem(
    'E403', `a package has one \`${part.name}\`, with the same ${[...numbers.keys()].join(', ') || 'numbers'} for all sizes`,
    'give the number in every --size, or write it in the header',
  );
  const spec = specAt(declaration, numbers);
  if (!('nodes' in spec)) return spec;
  const compiled: Compiled[] = [];
  for (const given of request.given) {
    const sized = specAt(declaration, given);
    if (!('nodes' in sized)) return sized;
    const sizes = sizesFor(sized, sizesOf(given));
    if (isProblem(sizes)) return sizes;
    for (const target of request.targets) {
      for (const dtype of request.dtypes ?? [defaultDtype(target)]) {
        const made = await compileScan(
          host, source, spec, { target, dtype, sizes, command: request.command, backward: !request.evalOnly, pieces: true },
        );
        if (!('plan' in made)) return made;
        compiled.push(made);
      }
    }
  }
  const token = forwardToken(spec);
  const forward = spec.mode === 'sequential' ? undefined : normalize(spec, true);
  return {
    spec,
    signature: pythonSignature(signatureOf(spec), ioDtypeOf(compiled[0].module)),
    programs: {
      token, tokenBackward: backwardToken(spec, token),
      chunked: forward === undefined ? undefined : { forward, backward: adjoint(spec, forward) },
    },
    formula: formulaOf(declaration),
    plans: compiled,
  };
}
