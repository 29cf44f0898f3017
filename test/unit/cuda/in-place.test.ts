import { describe, expect, it } from 'vitest';
import { NO_EXAMPLES } from '../../examples.js';
import { compileExample } from './compiled.js';

describe.skipIf(NO_EXAMPLES)('steps that write states where they were read (skipped without the examples)', () => {
  // Their other states lack the axis along which blocks would divide the work.
  it.each(['gsa', 'mlstm'])('%s: no block writes what another one may still have to read', async (name) => {
    const { files } = await compileExample(name, 64, 'bf16', 'cuda.sm90');
    const text = [...files.values()].join('\n');
    const step = text.slice(text.search(/__global__ .*\bstep\(/));
    expect(step).toMatch(/p_final_/);
    expect(step).not.toMatch(/block == 0[^\n]*p_final_/);
  });
});
