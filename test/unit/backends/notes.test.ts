import { describe, expect, it } from 'vitest';
import { emitCuda } from '../../../src/backends/cuda/emit.js';
import { emitWgsl } from '../../../src/backends/wgsl/emit.js';
import { operandsOf } from '../../../src/ir/tile/facts.js';
import { printLet, printStore } from '../../../src/ir/tile/print.js';
import type { TileId, TileKernel, TileModule, TileOp, TileStmt } from '../../../src/ir/tile/tile.js';
import { lowerScan } from '../../../src/passes/pipeline.js';
import { EXAMPLES } from '../../examples.js';
import { compileExample } from '../cuda/compiled.js';
import { templates as cudaTemplates } from '../cuda/templates.js';
import { specOf } from '../passes/scans.js';
import { templates as wgslTemplates } from '../wgsl/templates.js';

const SOURCE = { hash: '', compiler: '', command: '' };

/** Statements of a kernel as their comments say them. */
interface Said {
  readonly all: ReadonlySet<string>;
  /** Without those that nothing reads: a lowering may leave them out. */
  readonly live: readonly string[];
}

function statements(kernel: TileKernel): Said {
  const lets = new Map<TileId, TileOp>();
  const stores: string[] = [];
  const roots: TileId[] = [];
  const collect = (body: readonly TileStmt[]): void => {
    for (const stmt of body) {
      switch (stmt.kind) {
        case 'let': lets.set(stmt.tile, stmt.op); break;
        case 'store':
          stores.push(printStore(stmt));
          roots.push(stmt.value);
          break;
        case 'loop':
          roots.push(...stmt.carry.flatMap((carry) => [carry.init, carry.next]));
          collect(stmt.body);
          break;
        default: stmt satisfies never;
      }
    }
  };
  collect(kernel.body);
  const read = new Set<TileId>();
  for (let tile = roots.pop(); tile !== undefined; tile = roots.pop()) {
    const op = lets.get(tile);
    if (!read.has(tile) && op !== undefined) roots.push(...operandsOf(op));
    read.add(tile);
  }
  const printed = [...lets].map(([tile, op]) => ({ tile, text: printLet(kernel, tile, op) }));
  return {
    all: new Set([...printed.map(({ text }) => text), ...stores]),
    live: [...printed.filter(({ tile }) => read.has(tile)).map(({ text }) => text), ...stores],
  };
}

/** Are the comments of a kernel its statements, each once and none that is read left out? */
function expectSaid(found: readonly string[], { all, live }: Said, kernel: string): void {
  expect(found.length, kernel).toBe(new Set(found).size);
  expect(found.filter((text) => !all.has(text)), kernel).toEqual([]);
  expect(live.filter((text) => !found.includes(text)), kernel).toEqual([]);
}

/** Comments of a text that are statements of Tile. */
const commented = (text: string): readonly string[] =>
  [...text.matchAll(/^ +\/\/ ((?:%\d+ \[|store ).*)$/gm)].map(([, statement]) => statement).sort();

/** The text of one kernel of a file of several. */
function kernelText(text: string, entry: string): string {
  const from = text.search(new RegExp(`__global__ [^\\n]* ${entry}\\(`));
  expect(from, entry).toBeGreaterThanOrEqual(0);
  return text.slice(from, text.indexOf('\n}\n', from));
}

function cudaText(module: TileModule, plain: boolean): string {
  const { files } = emitCuda(module, { target: 'cuda.sm90', dtype: 'bf16', source: SOURCE, doc: '', templates: cudaTemplates, plain });
  return [...files.values()].join('\n');
}

describe.each(EXAMPLES)('kernels of %s say each statement of Tile once, above its lines', (name) => {
  it('in plain CUDA', async () => {
    const { module } = await compileExample(name, 64, 'bf16', 'cuda.sm90');
    const text = cudaText(module, true);
    for (const kernel of module.kernels) expectSaid(commented(kernelText(text, kernel.name)), statements(kernel), kernel.name);
  });

  it('and in CUDA for tensor cores and registers, which may write operands in another way: stores', async () => {
    const { module } = await compileExample(name, 64, 'bf16', 'cuda.sm90');
    const text = cudaText(module, false);
    for (const kernel of module.kernels) {
      const stores = (list: readonly string[]) => list.filter((text) => text.startsWith('store ')).map((text) => text.replace(/,.*/, ''));
      const found = commented(kernelText(text, kernel.name));
      expect(new Set(found).size, kernel.name).toBe(found.length);
      expect(stores(found), kernel.name).toEqual(stores(statements(kernel).live).sort());
    }
  });
});

describe('kernels of a shader', () => {
  it('say each statement of Tile once, and name where its tile lies', () => {
    const spec = specOf('scan one(q, k: [K], v: [V], g: [] in -inf..0) -> o: [V] { '
      + 'state S: [K, V] S = exp(g) * S[t-1] + outer(k, v) o = q @ S }');
    const { module } = lowerScan(spec, new Map([['K', 16], ['V', 16]]), { chunk: 16 });
    const { files } = emitWgsl(module, { dtype: 'f32', source: SOURCE, doc: '', templates: wgslTemplates });
    for (const kernel of module.kernels) {
      const text = files.get(`${kernel.name}.wgsl`);
      if (text === undefined) return expect.fail(`${kernel.name} has no file`);
      // Kernels that touch more tensors than an adapter binds read copies of them.
      const unstaged = (statement: string) => statement.replace(/(load|store) [^ ,]+/, '$1');
      const { all, live } = statements(kernel);
      const said = commented(text);
      expect(new Set(said).size, kernel.name).toBe(said.length);
      expectSaid([...new Set(said.map(unstaged))], { all: new Set([...all].map(unstaged)), live: live.map(unstaged) }, kernel.name);
      const places = [...text.matchAll(/^ +const (near\d+) = \d+u;$/gm)].map(([, place]) => place);
      for (const [, place] of text.matchAll(/near\[(\w+)/g)) expect(places).toContain(place);
    }
  });
});
