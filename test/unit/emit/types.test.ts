import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { signatureOf } from '../../../src/ir/spec/signature.js';
import { bindingSurface } from '../../../src/emit/bindings/surface.js';
import { printSurfaces } from '../../../src/emit/bindings/project.js';
import { plan, spec } from './sample.js';

const ROOT = join(import.meta.dirname, '../../..');
let folder = '';

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'lmoec-types-'));
  const texts = await printSurfaces([bindingSurface(signatureOf(spec), [{ folder: 'webgpu.f32', plan }])]);
  writeFileSync(join(folder, 'two_faced.ts'), texts.get('two_faced.ts') ?? '');
  // Scans that are called as types of the module are, or as no type may be.
  for (const name of ['promise', 'tensor', 'runtime', 'record', 'array_like', 'Partial', '_', '_1', 'class']) {
    const named = await printSurfaces([bindingSurface(signatureOf({ ...spec, name }), [{ folder: 'webgpu.f32', plan }])]);
    writeFileSync(join(folder, `${name}.ts`), named.get(`${name}.ts`) ?? '');
  }
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({
    compilerOptions: {
      target: 'ES2022', module: 'NodeNext', moduleResolution: 'NodeNext', strict: true, noEmit: true, skipLibCheck: true, lib: ['ES2023'],
      types: ['node'], typeRoots: [join(ROOT, 'node_modules/@types')],
      paths: { 'lmoec/*': [join(ROOT, 'src/runtime/*.ts')] },
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
    import type { Runtime } from 'lmoec/runtime';
    import { load, type TwoFacedState } from './two_faced.js';
    declare const runtime: Runtime;
    const zeros = (n: number) => new Float32Array(n);
    const q = tensor('B T G K', [1, 5, 1, 16], zeros(80));
    const v = tensor('B T H V', [1, 5, 2, 32], zeros(320));
    const g = tensor('B T H', [1, 5, 2], zeros(10));
    const A_log = tensor('H', [2], zeros(2));
    const scan = await load(runtime);
    ${body}
    export type Used = [Tensor<'H'>, TwoFacedState];
  `);
  const done = spawnSync(
    process.execPath, [join(ROOT, 'node_modules/typescript/bin/tsc'), '-p', folder], { encoding: 'utf8', cwd: folder },
  );
  return done.stdout + done.stderr;
}

describe('types of a binding', () => {
  it('accept what is right', () => {
    expect(messages(`
      const { o, state } = await scan.forward({ q, v, g, A_log }, { state: {}, cuSeqlens: [0, 5] });
      const again: Tensor<'B T H V'> = o;
      const gradients = await scan.backward({ q, v, g, A_log }, { o: again, state: { S: state.S } });
      const back: Tensor<'B T G K'> = gradients.q;
      await scan.step(state, { q: tensor('B G K', [1, 1, 16], zeros(16)),
        v: tensor('B H V', [1, 2, 32], zeros(64)), g: tensor('B H', [1, 2], zeros(2)), A_log });
      const shapes: 'B T H V' = scan.shapes.o;
      export { back, shapes };
    `)).toBe('');
  });

  it('refuse axes in the wrong order', () => {
    expect(messages("await scan.forward({ q, v: tensor('B H T V', [1, 2, 5, 32], zeros(320)), g, A_log });"))
      .toMatch(/TS2322.*Tensor<"B H T V">.*Tensor<"B T H V">/s);
  });

  it('refuse a forgotten input and a result taken for another', () => {
    expect(messages('await scan.forward({ q, v, g });')).toMatch(/'A_log' is missing/);
    expect(messages("const { state } = await scan.forward({ q, v, g, A_log }); await scan.forward({ q, v: state.S, g, A_log });"))
      .toMatch(/TS2322/);
  });
});
