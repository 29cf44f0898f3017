import { closeSync, existsSync, openSync, readdirSync, readFileSync, symlinkSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writeSafetensors, type WritableTensor } from '../../src/driver/run/safetensors.js';
import { ensureBuilt, folderWith, lmoec, started } from '../cli/lmoec.js';
import { tensorsOf } from './native.js';

const MODEL = `/// Two linear maps.
layer two(x: [D]) -> y: [D] with D = 4, F = 6, L = 2 {
  y = x
  repeat i in 0..L - 1 {
    use ffn = linear with F
    y += ffn(y)
  }

  names hf {
    ignore "old.*"
    "layers.{i}." {
      ffn "mlp."
    }
  }
  names other {
    "layers.{i}." {
      ffn "mlp." like hf
    }
  }
}

layer linear(x: [D]) -> y: [D] with D = 4, F = 6 {
  param up: [D, F], down: [F, D]
  y = x @ up @ down

  names hf {
    up = "up.weight" [F, D]
    down = "down.weight" [D, F]
  }
}
`;

const numbers = (n: number, first = 0): Float32Array => Float32Array.from({ length: n }, (_, i) => first + i / 8);
const f32 = (
  shape: readonly number[], first = 0,
): WritableTensor => ({ dtype: 'f32', shape, data: numbers(shape.reduce((n, extent) => n * extent, 1), first) });
const CHECKPOINT = (): Map<string, WritableTensor> => new Map([0, 1].flatMap((i): [string, WritableTensor][] => [
  [`layers.${i}.mlp.up.weight`, f32([6, 4], i)], [`layers.${i}.mlp.down.weight`, f32([4, 6], 10 + i)],
]));

/** A file with dtypes that the writer of results does not have. */
function rawFile(
  tensors: Readonly<Record<string, { readonly dtype: string; readonly shape: readonly number[]; readonly bytes: Uint8Array }>>,
): Uint8Array {
  let end = 0;
  const header = Object.fromEntries(Object.entries(tensors).map(([name, { dtype, shape, bytes }]) => {
    const begin = end;
    end += bytes.length;
    return [name, { dtype, shape, data_offsets: [begin, end] }];
  }));
  const text = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  return Buffer.concat([length, text, ...Object.values(tensors).map(({ bytes }) => bytes)]);
}

describe('lmoec import and export', () => {
  const folder = folderWith({ 'two.lmoe': MODEL, 'good.safetensors': writeSafetensors(CHECKPOINT()) });
  const at = (name: string): string => join(folder.path, name);
  const run = (...args: readonly string[]) => lmoec([...args], { cwd: folder.path });
  const importing = (from: string, ...more: readonly string[]) => run(
    'import', 'two.lmoe', '--names', 'hf', '--from', from, '-o', 'out.safetensors', '--name', 'two', ...more
  );
  beforeAll(ensureBuilt, 300_000);
  afterAll(() => folder.remove());

  it('read by names, say what was written, and write back', () => {
    const done = importing('good.safetensors');
    expect(done).toEqual({ code: 0, err: '', out: 'wrote out.safetensors: 4 params of two from 4 tensors (names hf), 384 bytes: 4 f32\n' });
    const up = tensorsOf(at('out.safetensors')).get('ffn.1.up');
    expect(up?.shape).toEqual([4, 6]);
    expect(Array.from(up?.data ?? [])).toEqual(Array.from({ length: 24 }, (_, i) => 1 + ((i % 6) * 4 + Math.floor(i / 6)) / 8));

    const back = run('export', 'two.lmoe', '--name', 'two', '--names', 'hf', '--from', 'out.safetensors', '-o', 'back', '--json');
    expect(back.err).toBe('');
    expect(JSON.parse(back.out)).toEqual({
      part: 'two', family: 'hf', params: 4, tensors: 4, files: 1, bytes: 384, dtypes: { f32: 4 }, out: 'back',
    });
    expect(tensorsOf(at('back/model.safetensors'))).toEqual(tensorsOf(at('good.safetensors')));
    const again = run('export', 'two.lmoe', '--name', 'two', '--names', 'hf', '--from', 'out.safetensors', '-o', 'back');
    expect(again.code).toBe(1);
    expect(again.err).toContain('error[E704]: back is not empty');
  });

  it('read several files by their index', () => {
    const all = [...CHECKPOINT()];
    writeFileSync(at('a.safetensors'), writeSafetensors(new Map(all.slice(0, 2))));
    writeFileSync(at('b.safetensors'), writeSafetensors(new Map(all.slice(2))));
    const index = (map: object): void => writeFileSync(at('m.safetensors.index.json'), JSON.stringify({ weight_map: map }));
    const map = Object.fromEntries(all.map(([name], i) => [name, i < 2 ? 'a.safetensors' : 'b.safetensors']));
    index(map);
    expect(importing('m.safetensors.index.json').code).toBe(0);
    index({ ...map, [all[0][0]]: 'b.safetensors' });
    expect(importing('m.safetensors.index.json').err)
      .toContain('error[E506]: m.safetensors.index.json: the index says that tensor `layers.0.mlp.up.weight` is in');
    index({ ...map, more: 'c.safetensors' });
    expect(importing('m.safetensors.index.json').err).toContain('error[E702]: 1 of 3 files of the checkpoint are missing');
    index({ ...map, more: '../c.safetensors' });
    expect(importing('m.safetensors.index.json').err).toContain('error[E506]: m.safetensors.index.json: the file of `more`');
    writeFileSync(at('m.safetensors.index.json'), '{"weight_map": 3}');
    expect(importing('m.safetensors.index.json').err).toContain('it has no `weight_map`');
  });

  it('list what is missing, misshapen or not claimed, and write nothing', () => {
    const tensors = CHECKPOINT();
    tensors.delete('layers.0.mlp.up.weight');
    tensors.set('layers.1.mlp.down.weight', f32([6, 4]));
    for (let i = 0; i < 25; i++) tensors.set(`extra.${i}`, f32([i]));
    tensors.set('old.w', f32([2]));
    tensors.set('layers.1.mlp.up.weight', { dtype: 'i32', shape: [6, 4], data: numbers(24).map(Math.floor) });
    writeFileSync(at('bad.safetensors'), writeSafetensors(tensors));
    writeFileSync(at('out.safetensors'), 'as it was');
    const { code, out, err } = importing('bad.safetensors');
    expect([code, out]).toEqual([1, '']);
    expect(err.split('\n').filter((line) => line.startsWith('error'))).toEqual([
      'error[E501]: a tensor of bad.safetensors is missing',
      'error[E503]: a tensor of bad.safetensors has the wrong shape',
      'error[E502]: a tensor of bad.safetensors cannot be read as weights',
      'error[E824]: 25 tensors of bad.safetensors are claimed by no param',
    ]);
    expect(err).toContain('`layers.1.mlp.down.weight` is [6, 4], expected [4, 6]: `ffn.1.down` [F = 6, D = 4]');
    expect(err.match(/`extra\.\d+`/g)).toHaveLength(20);
    expect(err).toContain('and 5 more');
    expect(readFileSync(at('out.safetensors'), 'utf8')).toBe('as it was');
    expect(readdirSync(folder.path).filter((name) => name.startsWith('.'))).toEqual([]);
  });

  it.each<readonly [string, (bytes: Buffer) => Uint8Array, string]>([
    ['cut short in the data', (bytes) => bytes.subarray(0, bytes.length - 5), 'its bytes end at'],
    ['cut short in the header', (bytes) => bytes.subarray(0, 40), 'but only 32 follow'],
    ['empty', () => Buffer.alloc(0), 'it has 0 bytes'],
    ['with an absurd length', (bytes) => Buffer.concat([
      Buffer.from('ffffffffffffff7f', 'hex'), bytes.subarray(8),
    ]), 'its header should have 9223372036854775807 bytes'],
    ['with a header of something else', (bytes) => Buffer.concat([
      bytes.subarray(0, 8), Buffer.alloc(bytes.length - 8, 'x'),
    ]), 'its header is no JSON'],
    ['with overlapping tensors', (bytes) => Buffer.from(
      bytes.toString('latin1').replace('[96,192]', '[92,188]'), 'latin1',
    ), 'starts at byte 92'],
    ['with a tensor twice', (bytes) => Buffer.from(
      bytes.toString('latin1').replaceAll('layers.1.mlp.up', 'layers.0.mlp.up'), 'latin1',
    ), 'twice'],
    ['with an unknown type', () => rawFile({ a: { dtype: 'F6', shape: [1], bytes: Buffer.alloc(4) } }), 'its dtype is F6'],
    ['in the format of pickles', () => Buffer.from('PK\u0003\u0004 something else altogether'), 'its header should have'],
  ])('refuse a file %s', (_, change, text) => {
    writeFileSync(at('cut.safetensors'), change(readFileSync(at('good.safetensors'))));
    const { code, err } = importing('cut.safetensors');
    expect(code).toBe(1);
    expect(err).toMatch(/^error\[E506\]: cut\.safetensors: /);
    expect(err).toContain(text);
    expect(err).toContain('help');
  });

  it('refuse what is no checkpoint, with the way to one', () => {
    const inner = folderWith({ 'pytorch_model.bin': 'PK', 'config.json': '{}' });
    expect(importing(inner.path).err).toContain('it has pytorch_model.bin: lmoec reads safetensors only');
    inner.remove();
    expect(importing('nothing').err).toContain('error[E702]: nothing does not exist');
    expect(importing('good.safetensors', '-o', '/dev/null').err).toContain('error[E701]: /dev/null cannot be written: it is a device');
    expect(importing('good.safetensors', '-o', '.').err).toContain('error[E701]');
    expect(importing('good.safetensors', '-o', 'good.safetensors/x').err).toContain('error[E701]');
    expect(run('import', 'two.lmoe', '--name', 'two', '--from', 'good.safetensors', '-o', 'x').err).toContain('choose one with --names');
    expect(importing('good.safetensors', '--names', 'hg').err).toContain('error[E703]: `two` has no names `hg`');
    expect(importing('good.safetensors', '--size', 'F=7').err).toContain('error[E503]: 4 tensors of good.safetensors have the wrong shape');
    expect(importing('good.safetensors', '--size', 'ffn.G=7').err).toContain('`linear` has no `G` to set');
    expect(importing('good.safetensors', '--size', 'ff.F=7').err).toContain('`two` has no part `ff`');
    expect(importing('good.safetensors', '--dtype', 'f8').code).toBe(2);
    expect(run('import', 'two.lmoe').code).toBe(2);
    expect(run('export', 'two.lmoe', '--from', 'good.safetensors', '-o', 'x', '--shard-size', 'many').code).toBe(2);
  });

  it('decode 8-bit floats with scales of blocks, and 4-bit ones with scales of 32', () => {
    writeFileSync(
      at('one.lmoe'),
      'layer one(x: [D]) -> y: [D] with D = 160, F = 130 { param w: [D, F], m: [F, D]\n  y = x @ w @ m\n'
        + '  names hf { w = "w" [F, D]  m = "m" } }\n',
    );
    const [rows, columns] = [130, 160];
    const bits = Uint8Array.from({ length: rows * columns }, (_, i) => 0x30 + (i % 16));
    const scale = Float32Array.of(2, 4, 0.5, 1);
    const blocks = Uint8Array.from({ length: (rows * columns) / 2 }, (_, i) => (i * 7) % 256);
    const scales = Uint8Array.from({ length: (rows * columns) / 32 }, (_, i) => 120 + (i % 9));
    writeFileSync(at('small.safetensors'), rawFile({
      w: { dtype: 'F8_E4M3', shape: [rows, columns], bytes: bits }, w_scale_inv: {
        dtype: 'F32', shape: [2, 2], bytes: new Uint8Array(scale.buffer),
      },
      m_blocks: {
        dtype: 'U8', shape: [rows, columns / 32, 16], bytes: blocks,
      }, m_scales: { dtype: 'U8', shape: [rows, columns / 32], bytes: scales },
    }));
    const done = run('import', 'one.lmoe', '--from', 'small.safetensors', '-o', 'one.safetensors');
    expect(done.out).toContain('2 bf16');
    const found = tensorsOf(at('one.safetensors'));
    const e4m3 = (code: number): number => (1 + (code & 7) / 8) * 2 ** ((code >> 3) - 7);
    const w = Array.from({ length: rows * columns }, (_, i) => {
      const [column, row] = [Math.floor(i / rows), i % rows];
      return e4m3(0x30 + ((row * columns + column) % 16)) * scale[Math.floor(row / 128) * 2 + Math.floor(column / 128)];
    });
    expect(Array.from(found.get('w')?.data ?? [])).toEqual(w);
    const digits = [0, 0.5, 1, 1.5, 2, 3, 4, 6];
    const m = Array.from({ length: rows * columns }, (_, i) => {
      const code = (blocks[i >> 1] >> (i % 2 === 0 ? 0 : 4)) & 15;
      return (code > 7 ? -1 : 1) * digits[code & 7] * 2 ** (scales[Math.floor(i / 32)] - 127);
    });
    expect(Array.from(found.get('m')?.data ?? [])).toEqual(m);

    writeFileSync(at('small.safetensors'), rawFile({
      w: { dtype: 'F8_E4M3', shape: [rows, columns], bytes: bits }, w_scale_inv: {
        dtype: 'F32', shape: [4], bytes: new Uint8Array(scale.buffer),
      },
      m_blocks: {
        dtype: 'U8', shape: [rows, columns / 32, 16], bytes: blocks,
      }, m_scales: { dtype: 'U8', shape: [rows * (columns / 32)], bytes: scales },
    }));
    const { err } = run('import', 'one.lmoe', '--from', 'small.safetensors', '-o', 'one.safetensors');
    expect(err).toContain('`w_scale_inv` should be F32 [2, 2]');
    expect(err).toContain('are no blocks of 32 numbers of 4 bits');
  });

  it('leave nothing behind when they are interrupted', async () => {
    // Four gigabytes of nothing: a sparse file takes no room, and long enough to read.
    const [D, F] = [32768, 32768];
    writeFileSync(
      at('big.lmoe'),
      `layer big(x: [D]) -> y: [D] with D = ${D}, F = ${F} { param w: [D, F]  y = sum[F](x @ w) * x\n  names hf { w = "w" } }\n`,
    );
    const header = Buffer.from(JSON.stringify({ w: { dtype: 'F32', shape: [D, F], data_offsets: [0, D * F * 4] } }));
    const file = openSync(at('big.safetensors'), 'w');
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(header.length));
    writeSync(file, Buffer.concat([length, header]));
    writeSync(file, Buffer.alloc(1), 0, 1, 8 + header.length + D * F * 4 - 1);
    closeSync(file);
    const child = started(['import', 'big.lmoe', '--from', 'big.safetensors', '-o', 'big.out'], { cwd: folder.path });
    for (let i = 0; i < 200 && !readdirSync(folder.path).some((name) => name.startsWith('.lmoec-')); i++) {
      await new Promise((next) => { setTimeout(next, 50); });
    }
    expect(readdirSync(folder.path).some((name) => name.startsWith('.lmoec-'))).toBe(true);
    child.child.kill('SIGINT');
    const { code, err } = await child.finished;
    expect([code, err]).toEqual([130, 'lmoec: interrupted; nothing half-written is left\n']);
    expect(existsSync(at('big.out'))).toBe(false);
    expect(readdirSync(folder.path).filter((name) => name.startsWith('.'))).toEqual([]);
  }, 120_000);

  it('follow links to files, and replace the link', () => {
    symlinkSync('good.safetensors', at('link.safetensors'));
    expect(importing('link.safetensors').code).toBe(0);
  });
});
