import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Graph } from '../../../../src/ir/graph/graph.js';
import { frontend } from '../../../../src/passes/frontend.js';

const ROOT = join(import.meta.dirname, '../../../..');
const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');

export type Settings = Readonly<Record<string, number | string>>;

/** The meaning of a part of a text, with settings of one's own. */
export function graphOf(text: string, name: string, settings: Settings = {}, training = true, file = 'text.lmoe'): Graph {
  const { parts, diagnostics } = frontend(file, text, read);
  if (diagnostics.some(({ code }) => code.startsWith('E'))) throw new Error(diagnostics.map(({ code, title }) =>
    `${code} ${title}`).join('\n'));
  const made = parts.elaborate(name, new Map(Object.entries(settings)), training);
  if (made.graph === undefined) throw new Error(made.diagnostics.map(({ code, title }) => `${code} ${title}`).join('\n'));
  return made.graph;
}

/** The same of an example: `moe/softmax`. */
export function exampleGraph(file: string, name: string, settings: Settings = {}, training = true): Graph {
  const path = `examples/${file}.lmoe`;
  return graphOf(read(path), name, settings, training, path);
}
