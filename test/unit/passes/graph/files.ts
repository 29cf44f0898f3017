import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join, normalize } from 'node:path';
import { renderAll } from '../../../../src/diagnostics/render.js';
import type { Graph } from '../../../../src/ir/graph/graph.js';
import { frontend, type Frontend } from '../../../../src/passes/frontend.js';

const ROOT = join(import.meta.dirname, '../../../..');

/** Example files of layers, mixtures and models. */
export const FILES: readonly string[] = ['layers', 'moe', 'models'].flatMap((folder) => (
  existsSync(join(ROOT, 'examples', folder))
    ? readdirSync(join(ROOT, 'examples', folder)).filter((name) => name.endsWith('.lmoe')).map((name) => `examples/${folder}/${name}`) : []
));

const read = (path: string): string | undefined => {
  const full = join(ROOT, normalize(path));
  return existsSync(full) ? readFileSync(full, 'utf8') : undefined;
};

const opened = new Map<string, Frontend>();

export function open(file: string): Frontend {
  const made = opened.get(file) ?? frontend(file, read(file) ?? '', read);
  opened.set(file, made);
  return made;
}

export function readText(text: string): Frontend {
  return frontend('test.lmoe', text);
}

/** The meaning of a part; an exception with all messages if it has errors. */
export function graphOf({ parts }: Frontend, name: string, training = false, settings: Readonly<Record<string,
  number | string>> = {}): Graph {
  const { graph, diagnostics } = parts.elaborate(name, new Map(Object.entries(settings)), training);
  if (graph === undefined) throw new Error(renderAll(diagnostics, { source: read, colour: false }));
  return graph;
}
