import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { evaluate } from '../../../../src/interp/graph/machine.js';
import { frontend } from '../../../../src/passes/frontend.js';
import { someCall } from './make-graph.js';
import { evaluatePointwise } from './pointwise.js';

const ROOT = join(import.meta.dirname, '../../../..');
const small: Readonly<Record<string, number>> = {
  D: 4, E: 4, F: 3, S: 3, H: 2, K: 4, V: 3, J: 2, R: 2, A: 3, Z: 2, M: 2, P: 2, C: 3, N: 2, I: 1, T: 3, G: 2, k: 2, keep: 1, L: 3,
    tile: 2, window: 3,
};
/** Of their own: sinkhorn has loops in routers.ts; what st_moe calls has sizes that nobody can set. */
const LEFT_OUT = ['sinkhorn_base', 'st_moe'];

describe('every example, number by number', () => {
  for (const folder of ['examples/moe', 'examples/layers']) {
    for (const file of readdirSync(join(ROOT, folder))) {
      const path = `${folder}/${file}`;
      const { parts } = frontend(path, readFileSync(join(ROOT, path), 'utf8'), (other) => readFileSync(join(ROOT, other), 'utf8'));
      for (const { name, kind, settings, file: own } of parts.list) {
        if (kind === 'scan' || own !== path || LEFT_OUT.includes(name)) continue;
        it(`${file}: ${name}`, () => {
          const { graph } = parts.elaborate(name,
            new Map(settings.flatMap((setting) => (setting in small ? [[setting, small[setting]]] : []))), true);
          if (graph === undefined) throw new Error('it has errors');
          const call = someCall(graph, [4, 0, 3], 31);
          const [found, expected] = [evaluate(graph, call), evaluatePointwise(graph, call)];
          expect([...found.losses.keys()].sort()).toEqual([...expected.losses.keys()].sort());
          for (const [loss, value] of expected.losses) expect(found.losses.get(loss), loss).toBeCloseTo(value, 11);
          for (const [output, values] of expected.outputs) {
            const data = found.outputs.get(output) ?? [];
            expect(data.length).toBe(values.length);
            values.forEach((value, i) => expect(data[i], `${output}[${i}]`).toBeCloseTo(value, 11));
          }
        });
      }
    }
  }
});
