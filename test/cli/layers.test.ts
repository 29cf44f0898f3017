import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ensureBuilt, folderWith, lmoec } from './lmoec.js';

const LAYER = 'layer f(x: [D]) -> y: [D] with D = 8, E = D / 2 {\n  param w: [D, E], v: [E, D]\n  y = (x @ w) @ v\n}\n';

const folder = folderWith({
  'layer.lmoe': LAYER,
  'open.lmoe': 'layer f(x: [D]) -> y: [D] {\n  y = 2 * x\n}\n',
  'wrong.lmoe': LAYER.replace('(x @ w) @ v', 'x @ w'),
  'thirds.lmoe': 'layer f(x: [D]) -> y: [D] with K = D / 3 {\n  param w: [D, K], v: [K, D]\n  y = (x @ w) @ v\n}\n',
  'uses.lmoe': `import { f } from "./layer.lmoe"\nmoe g(x: [D]) -> y: [D] with D = 8 {\n  use a = f\n  y = x + a(x)\n}\n`,
});
beforeAll(ensureBuilt, 120_000);
afterAll(folder.remove);
const check = (...args: string[]) => lmoec(['check', ...args], { cwd: folder.path });

describe('check of layers', () => {
  it('says that all is well', () => {
    expect(check('layer.lmoe', 'open.lmoe')).toEqual({ code: 0, out: '2 layers in 2 files: no errors\n', err: '' });
    expect(check('uses.lmoe')).toEqual({ code: 0, out: '1 mixture in 1 file: no errors\n', err: '' });
  });

  it('prints what they mean, at sizes of one\'s own', () => {
    expect(check('layer.lmoe', '--emit', 'graph').out).toContain('%3 = contract[D] %0 %1 : [E = 4] token');
    expect(check('layer.lmoe', '--emit', 'graph', '--size', 'D=16').out).toContain('%3 = contract[D] %0 %1 : [E = 8] token');
    expect(check('layer.lmoe', '--emit', 'flow').out).toContain('contract[D] %0 %1 : [E = 4] token');
    expect(check('layer.lmoe', '--emit', 'clusters').out).toContain('forward product token [E] of');
    expect(check('open.lmoe', '--emit', 'graph').out).toContain('[D = 64] token');
  });

  it('tries sizes that nobody gives until one will do, for every command', () => {
    expect(check('thirds.lmoe')).toMatchObject({ code: 0, out: '1 layer in 1 file: no errors\n' });
    const at = (...args: string[]) => lmoec(args, { cwd: folder.path }).out;
    expect(at('explain', 'thirds.lmoe')).toContain('with        D=48 K=16');
    expect(at('run', 'thirds.lmoe')).toContain('B=2 T=64 D=48 K=16');
    expect(at('explain', 'thirds.lmoe', '--size', 'D=9')).toContain('with        D=9 K=3');
  });

  it('names place and remedy, of what is wrong and of what is wrong at other sizes', () => {
    expect(check('wrong.lmoe')).toMatchObject({ code: 1, err: expect.stringMatching(/^error\[E208\].*\n ┌─ wrong\.lmoe:3:7/) });
    expect(check('layer.lmoe', '--size', 'D=3')).toMatchObject({ code: 1,
      err: expect.stringMatching(/^error\[E402\].*\n ┌─ layer\.lmoe:2:16/) });
  });

  it('JSON has them too', () => {
    expect(JSON.parse(check('layer.lmoe', '--size', 'D=3', '--json').out)).toMatchObject([{ code: 'E402', file: 'layer.lmoe', line: 2 }]);
  });
});
