import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Files that take minutes, the longest first: where one of them begins last, a worker waits for the other. */
const LONGEST = [
  'torch/package', 'unit/cuda/emulate-tensor', 'unit/cuda/emulate', 'conformance/lavapipe', 'torch/launcher', 'property/webgpu',
  'unit/cuda/delays', 'unit/cuda/delays-tensor', 'torch/parts-package', 'unit/cuda/blocks', 'unit/cuda/lowering', 'compile/cuda',
  'unit/cuda/repeated-keys', 'unit/passes/kept', 'torch/parts-launcher', 'unit/wgsl/numbers-lavapipe', 'unit/passes/kernels/at-once',
  'cli/extreme-mixtures', 'cli/package', 'cli/mixtures', 'property/chunk', 'property/goals', 'unit/passes/kernels/emit', 'torch/cp',
];

const place = ({ moduleId }: TestSpecification): number => {
  const at = LONGEST.findIndex((name) => moduleId.endsWith(`/test/${name}.test.ts`));
  return at < 0 ? LONGEST.length : at;
};

/** The order in which files begin. A fresh clone knows no times of earlier runs, and sizes of files say little. */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    return (await super.sort(files)).sort((a, b) => place(a) - place(b));
  }
}
