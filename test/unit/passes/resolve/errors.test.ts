import { describe, expect, it } from 'vitest';
import { frontend } from '../../../../src/passes/frontend.js';

const found = (text: string) => frontend('test.lmoe', text).diagnostics.map((d) => `${d.code} ${d.title}`);

describe('errors', () => {
  it('one per expression', () => {
    expect(found('scan f(k: [K], v: [V]) -> o: [V] {\n o = (k + v) * (nothing + k * v)\n}'))
      .toEqual(['E202 the axes of `+` do not line up']);
  });

  it('one per statement that has its own', () => {
    expect(found('scan f(k: [K], v: [V]) -> o: [V] {\n let a = k + v\n let b = kk\n o = v\n}')).toHaveLength(2);
  });

  it('none for what uses a value with an error', () => {
    expect(found('scan f(q, k: [K], v: [V]) -> o: [V] {\n state S: [K, V]\n let a = k + v\n S = a * S[t-1] + a\n o = q @ S + a\n}'))
      .toHaveLength(1);
  });

  it('no warning beside an error', () => {
    expect(found('scan f(q, k: [K], v: [V]) -> o: [V] {\n o = k\n}')).toEqual(['E208 the value does not have the declared axes [V]']);
  });

  it('every scan of a file is checked', () => {
    const text = 'scan f(x: [D]) -> y: [D] { y = a }\nscan g(x: [D]) -> y: [D] { y = x }\nscan h(x: [D]) -> y: [D] { y = b }';
    expect(found(text)).toEqual(['E201 unknown name `a`', 'E201 unknown name `b`']);
    expect(frontend('test.lmoe', text).specs.map((spec) => spec.name)).toEqual(['g']);
  });

  it('names that begin with _ may be unused', () => {
    expect(found('scan f(x, _y: [D]) -> o: [D] {\n let _z = 1\n o = x\n}')).toEqual([]);
  });

  it('offers edits that mend the text', () => {
    const broken = 'scan f(q, k: [K], v: [V]) -> o: [V] {\n state S: [K, V]\n S = S[t-1] + k * v\n o = q @ S\n}';
    const [d] = frontend('test.lmoe', broken).diagnostics;
    const edit = d.fix?.edits[0];
    if (edit === undefined) throw new Error('no fix');
    const mended = broken.slice(0, edit.span.start) + edit.text + broken.slice(edit.span.end);
    expect(mended).toContain('S[t-1] + outer(k, v)');
    expect(found(mended)).toEqual([]);
  });
});

describe('imports', () => {
  const files: Readonly<Record<string, string>> = {
    'lib/base.lmoe': 'scan base(x: [D]) -> y: [D] { y = x }\nscan other(x: [D]) -> y: [D] { y = x }',
    'lib/left.lmoe': 'import { base } from "./base.lmoe"\nscan left(x: [D]) -> y: [D] { y = x }',
    'lib/right.lmoe': 'import { other } from "base.lmoe"\nscan right(x: [D]) -> y: [D] { y = x }',
    'lib/broken.lmoe': 'scan broken(x: [D]) -> y: [D] { y = z }',
    'self.lmoe': 'import { b } from "./self.lmoe"\nscan a(x: [D]) -> y: [D] { y = x }',
  };
  const load = (file: string, text: string) => {
    const asked: string[] = [];
    const result = frontend(file, text, (path) => {
      asked.push(path);
      return files[path];
    });
    return {
      asked, specs: result.specs.map((spec) => `${spec.name} of ${spec.origin.file}`),
      diagnostics: result.diagnostics.map((d) => `${d.code} ${d.primary.span.file}`),
    };
  };
  const own = 'scan own(x: [D]) -> y: [D] { y = x }';

  it('come along after the scans of the file', () => {
    expect(load('app/main.lmoe', `import { left } from "../lib/left.lmoe"\nimport { right, } from "../lib/right.lmoe"\n${own}`)).toEqual({
      asked: ['lib/left.lmoe', 'lib/base.lmoe', 'lib/right.lmoe'], specs: [
        'own of app/main.lmoe', 'left of lib/left.lmoe', 'right of lib/right.lmoe',
      ], diagnostics: [],
    });
  });

  it('bring the errors of their file, once', () => {
    expect(load(
      'main.lmoe', `import { broken } from "lib/broken.lmoe"\nimport { broken } from "lib/broken.lmoe"`,
    )).toMatchObject({ specs: [], diagnostics: ['E201 lib/broken.lmoe', 'E205 main.lmoe'] });
  });

  it('do not hand on what they import', () => {
    expect(load('main.lmoe', 'import { base } from "lib/left.lmoe"')).toMatchObject({ diagnostics: ['E218 main.lmoe'] });
  });

  it('may not be circular', () => {
    expect(frontend('self.lmoe', files['self.lmoe'], (path) => files[path]).diagnostics.map((d) => d.code)).toEqual(['E219']);
  });

  it('resolve above the folder of the command', () => {
    expect(load('main.lmoe', 'import { x } from "../up.lmoe"').asked).toEqual(['../up.lmoe']);
    expect(load('/abs/main.lmoe', 'import { x } from "../../up.lmoe"').asked).toEqual(['/up.lmoe']);
    expect(load('a/main.lmoe', 'import { x } from "/abs.lmoe"').asked).toEqual(['/abs.lmoe']);
  });
});
