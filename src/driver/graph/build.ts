import { hasErrors } from '../../diagnostics/diagnostic.js';
import { graphSurface } from '../../emit/bindings/graph-surface.js';
import { printSurfaces } from '../../emit/bindings/project.js';
import type { Graph } from '../../ir/graph/graph.js';
import { graphJson } from '../../ir/graph/json.js';
import type { Host } from '../host.js';
import { ownParts, withUnsaid, type PartInfo } from '../parts.js';
import type { Source } from '../session.js';
import type { Settings } from './settings.js';
import { compilerVersion } from '../installed.js';
import type { Failed } from '../problem.js';

/** A layer, mixture or model with the graphs of its programs. */
export interface BuiltPart {
  readonly source: Source;
  readonly part: PartInfo;
  readonly training: Graph;
  readonly other: Graph;
}

/** Elaborates what the files declare besides scans, or the one that is named. */
export function buildParts(
  sources: readonly Source[], name: string | undefined, settings: Settings,
): readonly BuiltPart[] | { readonly failures: readonly { readonly source: Source; readonly failed: Failed }[] } {
  const built: BuiltPart[] = [];
  const failures: { readonly source: Source; readonly failed: Failed }[] = [];
  for (const source of sources) {
    for (const part of ownParts(source).filter((own) => own.kind !== 'scan' && (name === undefined || own.name === name))) {
      const given = withUnsaid(part, [...settings].filter(([key]) => part.settings.includes(key)));
      const [training, other] = [true, false].map((mode) => source.parts.elaborate(part.name, given, mode));
      const diagnostics = [...training.diagnostics, ...other.diagnostics];
      if (training.graph === undefined || other.graph === undefined || hasErrors(diagnostics)) failures.push({
        source, failed: { diagnostics },
      });
      else built.push({ source, part, training: training.graph, other: other.graph });
    }
  }
  return failures.length > 0 ? { failures } : built;
}

/** Files of their folders: the binding, and the graphs that the interpreter runs. */
export async function partFiles(
  host: Host, parts: readonly BuiltPart[], commandOf: (source: Source) => string,
): Promise<ReadonlyMap<string, Map<string, string>>> {
  if (parts.length === 0) return new Map();
  const surfaces = parts.map(({ source, other }) => graphSurface(
    other, { compiler: compilerVersion(host), hash: source.hash, command: commandOf(source) },
  ));
  const texts = await printSurfaces(surfaces);
  return new Map(parts.map(({ part, training, other }, i) => [part.name, new Map([
    [surfaces[i].path, texts.get(surfaces[i].path) ?? ''], [
      'train.json', `${graphJson(training)}\n`,
    ], ['eval.json', `${graphJson(other)}\n`],
  ])]));
}
