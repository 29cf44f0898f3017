import { compileScan, type Compiled } from '../../../src/driver/scan/compile.js';
import { nodeHost } from '../../../src/driver/host.js';
import { isProblem, openSource } from '../../../src/driver/session.js';
import type { IoDtype } from '../../../src/ir/common/dtype.js';
import type { CudaTarget } from '../../../src/backends/cuda/lowered.js';

const host = nodeHost();

/** An example as the command line compiles it, all axes of one size. `pieces`: as packages have it. */
export async function compileExample(name: string, size: number, dtype: IoDtype, target: CudaTarget, pieces = false): Promise<Compiled> {
  const source = openSource(host, `examples/${name}.lmoe`);
  if (isProblem(source)) throw new Error(source.title);
  const spec = source.specs[0];
  const made = await compileScan(
    host, source, spec, { target, dtype, sizes: new Map(spec.axes.map((axis) => [axis.name, size])), command: 'test', pieces },
  );
  if (!('plan' in made)) throw new Error(`${name} does not compile`);
  return made;
}
