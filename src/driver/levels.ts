import { printScan } from '../ir/scan/print.js';
import { printSpec } from '../ir/spec/print.js';
import type { Spec } from '../ir/spec/spec.js';
import { printTiles } from '../ir/tile/print.js';
import type { LoweredScan } from '../passes/pipeline.js';
import { jsonText } from '../support/text.js';
import type { Compiled } from './compile.js';
import { namesOf } from './explain/model.js';

/** Levels that `--emit` prints. */
export const LEVELS = ['spec', 'scan', 'tile', 'plan', 'kernel'] as const;

/** Levels as text, each printed once whatever the number of targets. */
export function emitLevels(spec: Spec, variants: readonly (LoweredScan | Compiled)[], levels: readonly (typeof LEVELS)[number][]): string {
  const [first] = variants;
  const texts = levels.flatMap((level): string[] => {
    switch (level) {
      case 'spec': return [printSpec(spec)];
      case 'scan': {
        if (first?.scan === undefined) return [`scan ${spec.name}: sequential, it has no normal form\n`];
        return [printScan(first.scan, namesOf(spec))];
      }
      case 'tile': return [...new Set(variants.map(({ module }) => printTiles(module)))];
      case 'plan': return variants.flatMap((variant) => ('plan' in variant ? [`${jsonText(variant.plan, 1)}\n`] : []));
      case 'kernel': return variants.flatMap((variant) => ('files' in variant ? [...variant.files].map(([name, text]) => `// ${name}\n${text}`) : []));
    }
  });
  return texts.join('\n');
}
