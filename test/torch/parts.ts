import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { graphsAt, partOf, smallSettings } from '../../src/driver/graph/torch.js';
import { drawnTensors } from '../../src/driver/graph/draw.js';
import { givenCall } from '../../src/driver/graph/given.js';
import { meaningOf } from '../../src/driver/graph/run.js';
import { nodeHost } from '../../src/driver/host.js';
import { ownParts } from '../../src/driver/parts.js';
import { writeSafetensors, type WritableTensor } from '../../src/driver/run/safetensors.js';
import { isProblem, openSource } from '../../src/driver/session.js';
import { printParts } from '../../src/emit/torch/part/package.js';
import type { PartSignature } from '../../src/emit/torch/part/part.js';
import { signatureOf } from '../../src/ir/graph/signature.js';
import type { Graph } from '../../src/ir/graph/graph.js';

const TEMPLATES = join(import.meta.dirname, '../../templates/torch');

export interface SmallPart {
  readonly name: string;
  readonly signature: PartSignature;
  readonly graphs: Readonly<Record<'train' | 'eval', Graph>>;
}

/** The layers and mixtures of a file that have a reference in PyTorch, at small sizes. */
export function smallParts(file: string): readonly SmallPart[] {
  const source = openSource(nodeHost(), file);
  if (isProblem(source)) throw new Error(source.title);
  return ownParts(source).flatMap((part) => {
    if (part.kind !== 'layer' && part.kind !== 'moe') return [];
    const declaration = { source, part };
    const whole = graphsAt(declaration, new Map());
    if ('diagnostics' in whole) return [];
    const graphs = graphsAt(declaration, smallSettings(declaration, whole.train, new Map()));
    if ('diagnostics' in graphs) return [];
    const signature = partOf(declaration, graphs, () => true);
    return signature === undefined ? [] : [{ name: part.name, signature, graphs }];
  });
}

/** A package of references alone, called `pkg`. */
export function referencesIn(folder: string, parts: readonly SmallPart[]): void {
  mkdirSync(join(folder, 'pkg'), { recursive: true });
  for (const name of readdirSync(TEMPLATES)) {
    if (name.endsWith('.py') && !/^_backend|^cp/.test(name)) {
      writeFileSync(join(folder, 'pkg', name), readFileSync(join(TEMPLATES, name)));
    }
  }
  writeFileSync(join(folder, 'pkg/__init__.py'), '');
  const printed = parts.map(({ signature }) => ({ signature, formula: '', plans: [], small: undefined }));
  writeFileSync(join(folder, 'pkg/_parts.py'), `${printParts(printed, []).join('\n')}\n`);
}

/** What the oracle is given and gives for packed sequences, by the names that parts_oracle.py looks up. */
export function vectorsOf(graph: Graph, lengths: readonly number[], seed: number): Uint8Array {
  const tokens = lengths.reduce((a, b) => a + b, 0);
  const tensors = drawnTensors(graph, { batch: 1, tokens, lengths, seed, cotangents: true });
  const call = givenCall(signatureOf(graph), tensors, new Set());
  if ('problems' in call) throw new Error(call.problems.map(({ title }) => title).join('\n'));
  const results = meaningOf(graph, call, seed);
  if ('diagnostics' in results) throw new Error(results.diagnostics.map(({ title }) => title).join('\n'));
  return writeSafetensors(new Map([
    ...[...tensors].map(([name, { dtype, shape, data }]): [string, WritableTensor] => [
      name, { dtype: dtype === 'i32' || dtype === 'i64' ? 'i64' : 'f64', shape, data },
    ]),
    ...[...results].map(([name, tensor]): [string, WritableTensor] => [`expect.${name}`, tensor]),
  ]));
}
