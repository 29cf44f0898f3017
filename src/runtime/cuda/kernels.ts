import type { Plan } from '../../ir/plan/plan.js';
import { LimitError, RuntimeError } from '../runtime.js';
import { nvrtcFolders, type DeviceInfo, type FunctionInfo, type ModuleHandle, type NativeCuda } from './addon.js';
import { cubinName, ptxName, realArchitecture } from './names.js';
import { expectOk } from './memory.js';

/** What loading needs of the driver. */
export type ModuleLoader = Pick<NativeCuda, 'compile' | 'loadModule' | 'getFunction' | 'unloadModule'>;

export interface LoadedKernels {
  function(kernel: string): FunctionInfo;
  readonly functions: ReadonlyMap<string, FunctionInfo>;
  readonly compiled: ReadonlyMap<string, Uint8Array>;
  release(): void;
}

/**
 * Loads every kernel file of a plan: the cubin beside the source, else (or on a device of another architecture) its PTX, else the source
 * through NVRTC.
 */
export async function loadKernels(
  native: ModuleLoader, info: Pick<DeviceInfo, 'major' | 'minor'>, plan: Plan, files: ReadonlyMap<string, string | Uint8Array>,
): Promise<LoadedKernels> {
  const architecture = realArchitecture(plan.target);
  if (architecture === undefined) throw new RuntimeError(
    `the plan of ${plan.scan} is for ${plan.target}`, 'build it with --target cuda.sm80, cuda.sm86 or cuda.sm90',
  );
  if (architecture === 'sm_90a' && (info.major !== 9 || info.minor !== 0)) {
    throw new RuntimeError(
      `the plan of ${plan.scan} is for compute capability 9.0, the device has ${info.major}.${info.minor}`, 'load the plan for cuda.sm80',
    );
  }
  const own = architecture === 'sm_90a' ? architecture : `sm_${info.major}${info.minor}`;
  const compiled = new Map<string, Uint8Array>();
  // All at once: NVRTC has a thread for each.
  const modules = new Map(await Promise.all([...new Set(plan.kernels.map((kernel) => kernel.file))].map(
    async (file) => [file, await loadFile(native, plan, file, own, files, compiled)] as const
  )));
  const functions = new Map<string, FunctionInfo>();
  for (const kernel of plan.kernels) {
    const module = modules.get(kernel.file);
    if (module === undefined) continue;
    const found = native.getFunction(module, kernel.entry, kernel.sharedBytes);
    if (!found.ok && found.error === 'CUDA_ERROR_INVALID_VALUE' && plan.target === 'cuda.sm80') {
      throw new LimitError(
        `${kernel.entry} of ${plan.scan} needs ${Math.ceil(kernel.sharedBytes / 1024)} KB of shared memory, `
        + 'more than a block of this device may have',
        'build with --target cuda.sm86',
      );
    }
    functions.set(kernel.name, expectOk(found, `finding ${kernel.entry} in ${kernel.file}`));
  }
  return {
    functions,
    compiled,
    function(kernel) {
      const found = functions.get(kernel);
      if (found === undefined) throw new RuntimeError(
        `the plan of ${plan.scan} has no kernel ${kernel}`, 'this plan is inconsistent: build it again',
      );
      return found;
    },
    release() {
      for (const module of modules.values()) native.unloadModule(module);
    },
  };
}

/** `architecture`: the device's own, which NVRTC is to compile for. */
async function loadFile(
  native: ModuleLoader, plan: Plan, file: string, architecture: string, files: ReadonlyMap<string, string | Uint8Array>,
  compiled: Map<string, Uint8Array>,
): Promise<ModuleHandle> {
  const cubin = files.get(cubinName(file));
  const ptx = files.get(ptxName(file));
  const source = files.get(file);
  const images = [
    ...(cubin instanceof Uint8Array ? [cubin] : []),
    // The driver wants the text to end with a zero byte.
    ...(ptx === undefined ? [] : [Uint8Array.from([...(typeof ptx === 'string' ? new TextEncoder().encode(ptx) : ptx), 0])]),
  ];
  let refused: string | undefined;
  for (const image of images) {
    const result = native.loadModule(image);
    if (result.ok) return result.value;
    // A cubin of another architecture, or PTX newer than the driver: the next one may do.
    refused = result.error;
  }
  if (source === undefined) {
    if (refused !== undefined) throw new RuntimeError(
      `loading ${file} of ${plan.scan}: ${refused}`, `pass ${file} too: NVRTC compiles it for this device`,
    );
    throw new RuntimeError(`${file} of ${plan.scan} was not given, nor was ${cubinName(file)}`, 'pass all files that lie beside the plan');
  }
  const textOf = (content: string | Uint8Array): string => (typeof content === 'string' ? content : new TextDecoder().decode(content));
  const { prelude } = plan;
  const included = prelude === undefined ? undefined : files.get(prelude);
  if (prelude !== undefined && included === undefined) throw new RuntimeError(
    `${prelude} of ${plan.scan} was not given, which ${file} includes`, 'pass all files that lie beside the plan',
  );
  const includes = prelude === undefined || included === undefined ? {} : { [prelude]: textOf(included) };
  const { cubin: made } = expectOk(
    await native.compile(textOf(source), file, [`--gpu-architecture=${architecture}`, '--std=c++17'], nvrtcFolders(), includes),
    `compiling ${file}`,
  );
  compiled.set(cubinName(file), made);
  return expectOk(native.loadModule(made), `loading ${file}`);
}
