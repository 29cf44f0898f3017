import { hasErrors } from '../../diagnostics/diagnostic.js';
import { graphSurface } from '../../emit/bindings/graph-surface.js';
import { graphJson } from '../../ir/graph/json.js';
import { signatureOf } from '../../ir/graph/signature.js';
import type { Host } from '../host.js';
import { compilerVersion } from '../installed.js';
import type { BuildRequest, Built, Declaration } from '../kind.js';
import { settingsFor, withUnsaid } from '../parts.js';
import type { Failed } from '../problem.js';

/** The graphs of a layer, mixture or model, in training and outside, which the interpreter runs. */
export function buildGraph(host: Host, declaration: Declaration, { given, command }: BuildRequest): Built | Failed {
  const { source, part } = declaration;
  const own = withUnsaid(part, settingsFor(part, given));
  const [training, other] = [true, false].map((mode) => source.parts.elaborate(part.name, own, mode));
  const diagnostics = [...training.diagnostics, ...other.diagnostics];
  if (training.graph === undefined || other.graph === undefined || hasErrors(diagnostics)) return { diagnostics };
  return {
    ...declaration,
    files: new Map([['train.json', `${graphJson(training.graph)}\n`], ['eval.json', `${graphJson(other.graph)}\n`]]),
    binding: graphSurface(signatureOf(other.graph), other.graph.settings, { compiler: compilerVersion(host), hash: source.hash, command }),
    jobs: [],
    identity: [part.name, source.hash, [...other.graph.settings]],
    summary: `${part.kind}, in the interpreter: there are no kernels for it yet`,
    text: '',
  };
}
