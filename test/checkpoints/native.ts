import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { exportCheckpoint, importCheckpoint, type Conversion, type Failure, type Request } from '../../src/driver/checkpoint/convert.js';
import { nodeHost } from '../../src/driver/host.js';
import { pickPart } from '../../src/driver/parts.js';
import { readSafetensors, type FileTensor } from '../../src/driver/run/safetensors.js';
import { isProblem, openSource, type Source } from '../../src/driver/session.js';
import type { Graph } from '../../src/ir/graph/graph.js';

const ROOT = join(import.meta.dirname, '../..');
export const host = nodeHost();

export interface Model {
  readonly file: string;
  readonly family: string;
  readonly settings: Readonly<Record<string, number | string>>;
}

export interface Opened {
  readonly source: Source;
  readonly graph: Graph;
  importing(from: string, out: string, more?: Partial<Request>): Promise<Conversion>;
  exporting(from: string, out: string, more?: Partial<Request>): Promise<Conversion>;
}

/** A model of the examples at settings of its own. */
export function open({ file, family, settings }: Model): Opened {
  const source = openSource(host, join(ROOT, file));
  if (isProblem(source)) throw new Error(source.title);
  const part = pickPart(source, undefined);
  if (source.failed || part === undefined || isProblem(part)) throw new Error(source.render(false));
  const given = new Map(Object.entries(settings));
  const { graph, diagnostics } = source.parts.elaborate(part.name, given);
  if (graph === undefined) throw new Error(source.renderThese(diagnostics, false));
  const request = { part, settings: given, family, dtype: undefined, shard: 5e9 };
  const done = (result: Conversion | Failure): Conversion => {
    if ('problems' in result) throw new Error(JSON.stringify(result.problems, null, 1));
    if ('diagnostics' in result) throw new Error(source.renderThese(result.diagnostics, false));
    return result;
  };
  return {
    source, graph,
    importing: async (from, out, more) => done(await importCheckpoint(host, source, { ...request, from, out, ...more }, () => undefined)),
    exporting: async (from, out, more) => done(await exportCheckpoint(host, source, { ...request, from, out, ...more }, () => undefined)),
  };
}

export function tensorsOf(path: string): ReadonlyMap<string, FileTensor> {
  const tensors = readSafetensors(new Uint8Array(readFileSync(path)), path);
  if (isProblem(tensors)) throw new Error(tensors.title);
  return tensors;
}
