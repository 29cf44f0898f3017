import { printScan } from '../../ir/scan/print.js';
import { printSpec } from '../../ir/spec/print.js';
import type { Spec } from '../../ir/spec/spec.js';
import { printTiles } from '../../ir/tile/print.js';
import type { LoweredScan } from '../../passes/pipeline.js';
import { jsonText } from '../../support/text.js';
import type { Compiled } from './compile.js';
import { namesOf } from './explain/writer.js';
import { variantFolder } from '../targets.js';

/** Levels that `--emit` prints. */
export const LEVELS = ['spec', 'scan', 'tile', 'plan', 'kernel'] as const;

export function isLevel(text: string): text is (typeof LEVELS)[number] {
  return LEVELS.some((level) => level === text);
}

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
      case 'kernel': return variants.flatMap((variant) => (
        'files' in variant ? [...variant.files].map(([name, text]) => `// ${name}\n${text}`) : []
      ));
    }
  });
  return texts.join('\n');
}

/**
 * The same as files of a build: Spec and Scan beside the binding, Tile beside the kernels that came of it. Plans and kernels are files
 * anyway.
 */
export function levelFiles(
  spec: Spec, variants: readonly Compiled[], levels: readonly (typeof LEVELS)[number][],
): ReadonlyMap<string, string> {
  const [first] = variants;
  if (first === undefined) return new Map();
  return new Map(levels.flatMap((level): (readonly [string, string])[] => {
    const file = `${spec.name}.${level}.txt`;
    switch (level) {
      case 'spec': case 'scan': return [[file, emitLevels(spec, [first], [level])]];
      case 'tile': return variants.map((variant) => [`${variantFolder(variant.plan)}/${file}`, emitLevels(spec, [variant], [level])]);
      case 'plan': case 'kernel': return [];
    }
  }));
}
