import { sizeName, type Domain, type Made } from '../../ir/tile/domain.js';
import { sizeText } from './address.js';
import { WORKGROUP, type LoweredKernel, type Resource, type WgslContext } from './lower.js';
import { arenaOffset } from './places.js';
import { createCode, identifier } from './text.js';

/** Writes the tables of a domain whose runs a kernel has counted, as templates/cuda/rt/rows.cuh does. One workgroup. */
export function rowsBody({ module, arena }: Pick<WgslContext, 'module' | 'arena'>, domain: Domain, { offsets }: Made): LoweredKernel {
  const [runs, segments, chunks] = (['run', 'segment', 'chunk'] as const).map((level) => sizeName(domain, level));
  const shared = arena.includes(offsets);
  const pointer = identifier('p_', offsets);
  const rows = module.chunk;
  const code = createCode(1);
  if (shared) code.line(`let counted = ${arenaOffset(arena, offsets)};`);
  const offset = (i: string): string => (shared ? `u32(arena[counted + ${i}])` : `u32(${pointer}[${i}])`);
  const fill = (table: string, at: string, values: readonly string[]): void => {
    values.forEach((value, k) => code.line(`${table}[${values.length}u * ${at} + ${k}u] = ${value};`));
  };
  code.open(`for (var i = lid; i < ${sizeText('run')}; i += ${WORKGROUP}u)`);
  code.line('var at = 0u;');
  code.line(`for (var j = 0u; j < i; j++) { at += (${offset('j + 1u')} - ${offset('j')} + ${rows - 1}u) / ${rows}u; }`);
  code.line(`let first = ${offset('i')};`);
  code.line(`let end = ${offset('i + 1u')};`);
  code.line(`let pieces = (end - first + ${rows - 1}u) / ${rows}u;`);
  fill(runs, 'i', ['first', 'end', 'at', 'pieces', 'i', '1u']);
  fill(segments, 'i', ['i', 'at', 'pieces', '0u']);
  code.close();
  code.line('storageBarrier();');
  code.line(`let final_run = 6u * (${sizeText('run')} - 1u);`);
  code.line(`let all = ${runs}[final_run + 2u] + ${runs}[final_run + 3u];`);
  code.open(`for (var i = lid; i < ${sizeText('chunk')}; i += ${WORKGROUP}u)`);
  code.line('var low = 0u;');
  code.line(`var high = ${sizeText('run')};`);
  code.open('while (high - low > 1u)');
  code.line('let middle = (low + high) / 2u;');
  code.line(`if (${runs}[6u * middle + 2u] <= i) { low = middle; } else { high = middle; }`);
  code.close();
  code.line(`let index = i - ${runs}[6u * low + 2u];`);
  code.line(`let first = ${runs}[6u * low] + index * ${rows}u;`);
  code.line('let real = i < all;');
  const given = ['low', 'first', `min(${runs}[6u * low + 1u] - first, ${rows}u)`, 'index'];
  fill(chunks, 'i', given.map((value) => `select(0u, ${value}, real)`));
  code.close();
  const resources: readonly Resource[] = [
    shared ? { kind: 'arena', tensors: [offsets] } : { kind: 'tensor', tensor: offsets, access: 'read', pointer, type: 'i32' },
    ...[runs, segments, chunks].map((name): Resource => ({ kind: 'table', name, access: 'write' })), { kind: 'dims' },
  ];
  return { body: code.text(), resources, near: 0, panels: 0, tally: 0 };
}
