import { describe, expect, it } from 'vitest';
import { printGraph } from '../../../../src/ir/graph/print.js';
import { verifyGraph } from '../../../../src/ir/graph/verify.js';
import { FILES, graphOf, open, readText } from './files.js';

describe('examples', () => {
  it.each(FILES)('%s has no errors and no warnings', (file) => {
    const { diagnostics, parts } = open(file);
    expect(diagnostics).toEqual([]);
    const own = parts.list.filter((part) => part.file === file && part.kind !== 'scan');
    for (const { name, unsized } of own) {
      for (const training of [true, false]) {
        const graph = graphOf(open(file), name, training, Object.fromEntries(unsized.map((axis) => [axis, 8])));
        expect(verifyGraph(graph)).toEqual([]);
      }
    }
  });
});

describe('graphs as text', () => {
  const GOLDENS = [
    ['layers/attention', 'sink_gqa'], ['layers/memories', 'mom'], ['moe/groups', 'deepseek_v3'], ['moe/capacity', 'gshard'],
      ['moe/capacity', 'hunyuan'], ['models/tiny_linear_moe', 'tiny_linear_moe'],
  ] as const;
  it.each(GOLDENS.filter(([file]) => FILES.includes(`examples/${file}.lmoe`)))('%s %s', async (file, name) => {
    await expect(printGraph(graphOf(open(`examples/${file}.lmoe`), name, true))).toMatchFileSnapshot(`./golden/${name}.txt`);
  });
});

describe('the verifier', () => {
  const graph = graphOf(readText('layer f(x: [D]) -> y: [D] with D = 4 { param w: [D]   y = w * rmsnorm(x) }'), 'f');
  const broken = (change: Partial<typeof graph>): readonly string[] => verifyGraph({ ...graph, ...change });
  it('has nothing against a graph that was made', () => expect(verifyGraph(graph)).toEqual([]));
  it('sees a node that reads a later one', () => {
    expect(broken({ nodes: [...graph.nodes].reverse() }).join()).toContain('reads a node that is not before it');
  });
  it('sees a type that does not follow', () => {
    const nodes = graph.nodes.map((node) => (node.kind === 'fold'
      ? { ...node, type: { ...node.type, axes: graph.inputs[0].type.axes } } : node));
    expect(broken({ nodes }).join()).toContain('does not have the type that follows');
  });
  it('sees an output with other axes', () => {
    expect(broken({ outputs: graph.outputs.map((output) => ({ ...output, axes: [] })) }).join()).toContain('output y');
  });
});
