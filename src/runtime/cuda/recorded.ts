import type { Plan } from '../../ir/plan/plan.js';
import { makeTables, type CallMemory, type Tables } from '../call.js';
import { LimitError } from '../runtime.js';
import type { SizedProgram } from '../programs.js';
import type { FunctionInfo, NativeCuda, StreamHandle } from './addon.js';
import { createGraphs } from './graphs.js';
import type { InQueues } from './queues.js';
import { expectOk, type CudaTensor } from './memory.js';
import { launchParams } from './params.js';

/** A program at given sizes, ready to be launched with the tensors of a call. */
export interface Recorded {
  readonly sized: SizedProgram;
  readonly tables: Tables<CudaTensor>;
  /** In the order of the program; one without blocks does nothing. */
  readonly launches: readonly RecordedLaunch[];
  /** Launches them with the tensors of a call, one for each slot. */
  run(tensors: readonly CudaTensor[]): void;
}

export interface RecordedLaunch {
  readonly kernel: string;
  launch(tensors: readonly CudaTensor[], stream?: StreamHandle): void;
}

/** What a plan's programs share on a device. */
export interface Recorder {
  readonly native: NativeCuda;
  readonly plan: Plan;
  readonly functionOf: (kernel: string) => FunctionInfo;
  readonly memory: Pick<CallMemory<CudaTensor>, 'fresh' | 'upload'>;
  /** A stream to record graphs on. */
  readonly stream: () => StreamHandle;
}

/** Everything that stays while the sizes stay: tables on the device, grids, packed parameters, graphs. */
export function record(
  { native, plan, functionOf, memory, stream: recording }: Recorder, sized: SizedProgram, inQueues: InQueues,
): Recorded {
  const tables = makeTables(plan, sized.sizes, memory);
  const launches = sized.launches.map(({ kernel, grid }): RecordedLaunch => {
    // A call with nothing to do has an empty grid, which the driver refuses.
    if (grid.includes(0)) return { kernel: kernel.name, launch() {} };
    if (grid[0] > 2 ** 31 - 1 || grid[1] > 65535 || grid[2] > 65535) {
      throw new LimitError(
        `${kernel.name} would need a grid of ${grid.join(' x ')} blocks`, 'split the call: fewer heads, or fewer tokens',
      );
    }
    const { bytes, offsets, place } = launchParams(native, kernel, sized, tables);
    const { handle } = functionOf(kernel.name);
    const blocks = Uint32Array.from(grid);
    const doing = `launching ${kernel.name}`;
    return {
      kernel: kernel.name,
      launch(tensors, stream) {
        place(tensors);
        expectOk(native.launch(handle, blocks, kernel.block, kernel.sharedBytes, bytes, offsets, stream), doing);
      },
    };
  });
  const graphs = createGraphs(native, recording);
  return {
    sized,
    tables,
    launches,
    run: (tensors) => graphs(tensors, (main) => inQueues(main, (i, stream) => launches[i].launch(tensors, stream))),
  };
}

export function dropRecorded({ tables }: Recorded): void {
  for (const table of Object.values(tables)) table.release();
}
