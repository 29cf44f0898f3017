import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { graphSurface } from '../../../src/emit/bindings/graph-surface.js';
import { signatureOf } from '../../../src/ir/graph/signature.js';
import { printSurfaces } from '../../../src/emit/bindings/project.js';
import { frontend } from '../../../src/passes/frontend.js';

const ROOT = join(import.meta.dirname, '../../..');
let folder = '';

/** A type of the file, a type that it uses, a word that no type may be. */
const NAMES = ['two_words', 'tensor', 'open_graph', '_'];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'lmoec-graph-types-'));
  for (const name of NAMES) {
    const { parts } = frontend('t.lmoe', `
      layer part(x: [D]) -> y: [D] with D = 4 {
        param w: [D] = 1   buffer b: [] = 0   y = w * x + b
        loss size = mean[tokens](mean[D](y^2))   update b = mean[tokens, calls](mean[D](x))
      }
      model ${name}(ids, labels: one of W) -> logits: [W] with D = 4, W = 7 {
        param embed: [W, D] = normal(1)
        let x = embed[ids]
        repeat i in 0..1 { use la = part   x += la(x) }
        logits = x @ embed
        loss lm = mean[tokens](logsumexp[W](logits) - logits[labels])
      }`);
    const { graph } = parts.elaborate(name, new Map(), false);
    if (graph === undefined) throw new Error(name);
    const surface = graphSurface(signatureOf(graph), graph.settings, { compiler: '1', hash: '2', command: '3' });
    writeFileSync(join(folder, `${name}.ts`), (await printSurfaces([surface])).get(surface.path) ?? '');
  }
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({
    compilerOptions: {
      target: 'ES2022', module: 'NodeNext', moduleResolution: 'NodeNext', strict: true, noEmit: true, skipLibCheck: true, lib: ['ES2023'],
      types: ['node'], typeRoots: [join(ROOT, 'node_modules/@types')],
      paths: { 'lmoec/interpreter': [join(ROOT, 'src/runtime/interpreter/index.ts')], 'lmoec/*': [join(ROOT, 'src/runtime/*.ts')] },
    },
    include: ['*.ts'],
  }));
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Compiler messages for a program that uses the binding. */
function messages(body: string): string {
  writeFileSync(join(folder, 'main.ts'), `
    import { tensor, type Tensor } from 'lmoec/bindings';
    import { load } from './two_words.js';
    const ids = tensor('B T', [1, 3], Int32Array.of(0, 1, 2));
    const model = await load();
    const params = model.init(1);
    ${body}
    export { ids };
  `);
  const done = spawnSync(
    process.execPath, [join(ROOT, 'node_modules/typescript/bin/tsc'), '-p', folder], { encoding: 'utf8', cwd: folder },
  );
  return done.stdout + done.stderr;
}

describe('types of the binding of a model', () => {
  it('accept what is right', () => {
    expect(messages(`
      const { outputs: { logits }, state } = await model.eval(params, { ids });
      const made = await model.train({ ...params, 'la.1.w': tensor('D', [4], new Float32Array(4)) }, { ids, labels: ids }, { seed: 1 });
      const loss: number = made.losses.lm + made.losses['la.0.size'];
      const { params: of } = made.gradients({ logits }, { lm: 2 });
      const d: Tensor<'D'> = of['la.0.w'];
      const b: Tensor<''> = made.update()['la.1.b'];
      const next = await model.step(params, state, { ids: tensor('B', [1], Int32Array.of(3)) });
      const row: Tensor<'B W'> = next.outputs.logits;
      export { loss, d, b, row };
    `)).toBe('');
  });

  it('refuse what is wrong: a path, an axis, a gradient of a buffer, a forgotten label', () => {
    expect(messages("export const x = params['la.2.w'];")).toMatch(/'la\.2\.w'/);
    expect(messages("await model.eval({ ...params, embed: tensor('D W', [4, 7], new Float32Array(28)) }, { ids });")).toMatch(/TS2322/);
    expect(messages("export const x = (await model.train(params, { ids, labels: ids })).gradients().params['la.0.b'];"))
      .toMatch(/'la\.0\.b'/);
    expect(messages('await model.train(params, { ids });')).toMatch(/'labels' is missing/);
  });
});
