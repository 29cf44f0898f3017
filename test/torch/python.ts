import { spawnSync } from 'node:child_process';

/** Python of LMOEC_PYTHON, else python3, if it has torch and what tests need; else why there are no tests of what needs it. */
function find(): { readonly python: string } | { readonly why: string } {
  const python = process.env['LMOEC_PYTHON'] ?? 'python3';
  const done = spawnSync(python, ['-c', 'import torch, pytest, safetensors'], { encoding: 'utf8' });
  if (done.status === 0) return { python };
  return {
    why
    : `${python} lacks torch, pytest or safetensors: python3 -m pip install torch pytest numpy safetensors, `
      + 'or name a Python that has them in LMOEC_PYTHON'
  };
}

/** Why it cannot import what only some tests need; undefined: it can. */
export function lacks(...modules: readonly string[]): string | undefined {
  if (PYTHON === undefined) return NO_TORCH;
  const { status } = spawnSync(PYTHON, ['-c', `import ${modules.join(', ')}`], { encoding: 'utf8' });
  return status === 0 ? undefined : `${PYTHON} lacks one of ${modules.join(', ')}: python3 -m pip install them`;
}

const found = find();
export const PYTHON = 'python' in found ? found.python : undefined;
export const NO_TORCH = 'why' in found ? found.why : undefined;
