import { describe, expect, it } from 'vitest';
import { PROGRAMS, programOf } from '../programs.js';
import { draw } from '../unit/passes/scans.js';
import { compareTiles } from './tiles.js';

describe('programs that once showed a fault, in tiles', () => {
  it.each(PROGRAMS)('%s', (name) => {
    const spec = programOf(name);
    // Which axis is the longest decides which one a kernel is split along.
    for (const [first, step] of [[3, 1], [4, 1], [6, -1]]) {
      const drawn = draw(spec, new Map(spec.axes.map((axis, i) => [axis.name, first + step * i])), [9, 0, 1, 4], 1);
      for (const options of [
        { chunk: 4, longest: 1 }, { chunk: 16, fits: () => false, segments: false, inlineScores: 'all', exactGates: true },
      ] as const) {
        expect(compareTiles(spec, drawn.call, drawn.given, drawn.cotangents, options).worst).toBeLessThan(1e-10);
      }
    }
  });
});
