import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Handles of the addon: opaque, tagged, freed by the garbage collector unless freed before. */
export interface BufferHandle { readonly __buffer: never }
export interface ModuleHandle { readonly __module: never }
export interface FunctionHandle { readonly __function: never }
export interface StreamHandle { readonly __stream: never }
export interface EventHandle { readonly __event: never }
export interface GraphHandle { readonly __graph: never }

/** What went wrong, in the driver's words: never a bare code. */
export interface CudaFailure {
  readonly ok: false;
  /** `CUDA_ERROR_OUT_OF_MEMORY`, `NVRTC_ERROR_COMPILATION`, `NO_DRIVER`, ... */
  readonly error: string;
  /** The entry point that said so. */
  readonly call: string;
  readonly message: string;
  readonly log?: string;
  readonly bytes?: number;
  readonly freeBytes?: number;
  readonly function?: string;
}

export type CudaResult<T> = { readonly ok: true; readonly value: T } | CudaFailure;

export interface DeviceInfo {
  readonly index: number;
  readonly name: string;
  /** Compute capability. */
  readonly major: number;
  readonly minor: number;
  readonly multiprocessors: number;
  readonly memoryBytes: number;
  /** Largest shared memory of a block that opts in. */
  readonly sharedBytesPerBlock: number;
  readonly l2Bytes: number;
  readonly clockKhz: number;
}

export type CudaStatus = { readonly available: true; readonly driver: string; readonly devices: readonly DeviceInfo[] } | Unavailable;
export type NvrtcStatus = { readonly available: true; readonly version: string; readonly path: string } | Unavailable;

export interface Unavailable {
  readonly available: false;
  readonly why: string;
}

export interface FunctionInfo {
  readonly handle: FunctionHandle;
  readonly registers: number;
  /** Spilled or indexed local memory per thread. */
  readonly localBytes: number;
  readonly sharedBytes: number;
}

export interface TensorMapOptions {
  readonly buffer: BufferHandle;
  readonly offset: number;
  /** CUtensorMapDataType. */
  readonly type: number;
  /** Innermost first. */
  readonly dims: readonly number[];
  /** Bytes, of dims[1] and up. */
  readonly strides: readonly number[];
  readonly box: readonly number[];
  /** CUtensorMapSwizzle. */
  readonly swizzle: number;
}

/** The functions that addon.cc exports. */
export interface NativeCuda {
  status(): CudaStatus;
  nvrtcStatus(folders: string): NvrtcStatus;
  open(device: number): CudaResult<DeviceInfo>;
  alloc(bytes: number): CudaResult<BufferHandle>;
  borrow(pointer: bigint, bytes: number): CudaResult<BufferHandle>;
  free(buffer: BufferHandle): void;
  pointer(buffer: BufferHandle): bigint;
  /** The same as a number, which it fits in. */
  address(buffer: BufferHandle): number;
  upload(buffer: BufferHandle, offset: number, data: ArrayBufferView): CudaResult<undefined>;
  download<T extends ArrayBufferView>(buffer: BufferHandle, offset: number, into: T, stream?: StreamHandle): Promise<CudaResult<T>>;
  copy(
    to: BufferHandle, toOffset: number, from: BufferHandle, fromOffset: number, bytes: number, stream?: StreamHandle,
  ): CudaResult<undefined>;
  fill(buffer: BufferHandle, byte: number, stream?: StreamHandle): CudaResult<undefined>;
  loadModule(image: Uint8Array): CudaResult<ModuleHandle>;
  unloadModule(module: ModuleHandle): void;
  getFunction(module: ModuleHandle, name: string, dynamicSharedBytes: number): CudaResult<FunctionInfo>;
  launch(
    fn: FunctionHandle, grid: Uint32Array, block: number, sharedBytes: number, params: Uint8Array, offsets: Uint32Array,
    stream?: StreamHandle,
  ): CudaResult<undefined>;
  tensorMap(options: TensorMapOptions): CudaResult<Uint8Array>;
  /** `includes`: texts by the names that the source includes them by. */
  compile(
    source: string, name: string, options: readonly string[], folders: string, includes: Readonly<Record<string, string>>,
  ): Promise<CudaResult<{ readonly cubin: Uint8Array; readonly log: string }>>;
  createStream(): CudaResult<StreamHandle>;
  synchronize(stream?: StreamHandle): Promise<CudaResult<undefined>>;
  waitEvent(stream: StreamHandle | undefined, event: EventHandle): CudaResult<undefined>;
  /** Records what is launched on the stream, and on streams that wait for it, without running it. */
  beginCapture(stream: StreamHandle): CudaResult<undefined>;
  endCapture(stream: StreamHandle): CudaResult<GraphHandle>;
  launchGraph(graph: GraphHandle): CudaResult<undefined>;
  createEvent(): CudaResult<EventHandle>;
  recordEvent(event: EventHandle, stream?: StreamHandle): CudaResult<undefined>;
  elapsed(start: EventHandle, end: EventHandle): CudaResult<number>;
}

export type Addon = { readonly available: true; readonly native: NativeCuda } | Unavailable;

const NATIVE = 'src/runtime/cuda/native';
const BUILT = `${NATIVE}/build/Release/lmoec_cuda.node`;

let loaded: Addon | undefined;

/** Loads the addon, building it on first use where an NVIDIA driver is installed. Absence is a value. */
export function loadAddon(): Addon {
  loaded ??= findAddon();
  return loaded;
}

function findAddon(): Addon {
  const root = packageRoot();
  if (root === undefined) return { available: false, why: 'the sources of the CUDA addon are not in this package' };
  const file = join(root, BUILT);
  const known = existsSync(file) ? requireAddon(file) : undefined;
  if (known?.available === true) return known;
  // Building takes seconds: not where it could say nothing but "no driver".
  if (!driverInstalled()) return { available: false, why: 'no NVIDIA driver is installed (libcuda.so.1 was not found)' };
  const build = spawnSync(process.execPath, [join(root, 'scripts/native.mjs')], { encoding: 'utf8' });
  if (build.status !== 0) {
    return {
      available: false, why: `${build.stdout.trim() || 'the CUDA addon cannot be built'}; install make and g++, then \`npm run native\``,
    };
  }
  return requireAddon(file);
}

function requireAddon(file: string): Addon {
  try {
    const native: NativeCuda = createRequire(import.meta.url)(file);
    return { available: true, native };
  } catch (error) {
    return { available: false, why: error instanceof Error ? error.message : String(error) };
  }
}

function packageRoot(): string | undefined {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, NATIVE, 'binding.gyp'))) {
    const parent = dirname(folder);
    if (parent === folder) return undefined;
    folder = parent;
  }
  return folder;
}

/** A guess without dlopen: the device file, or the library in one of the usual folders. */
function driverInstalled(): boolean {
  if (existsSync('/dev/nvidiactl') || existsSync('/dev/dxg')) return true;
  const folders = [
    ...(process.env.LD_LIBRARY_PATH ?? '').split(':'), '/usr/lib/x86_64-linux-gnu', '/usr/lib/aarch64-linux-gnu', '/usr/lib64', '/usr/lib',
    '/usr/local/nvidia/lib64', '/usr/lib/wsl/lib',
  ];
  return folders.some((folder) => folder !== '' && existsSync(join(folder, 'libcuda.so.1')));
}

/** Folders of Python packages that bring a libnvrtc, one per line; the last place to look. */
export function nvrtcFolders(): string {
  const roots = [
    process.env.VIRTUAL_ENV, process.env.CONDA_PREFIX, '/usr/local', '/usr',
    process.env.HOME === undefined ? undefined : join(process.env.HOME, '.local'),
  ];
  const found: string[] = [];
  for (const root of roots) {
    if (root === undefined || !existsSync(join(root, 'lib'))) continue;
    for (const python of readdirSync(join(root, 'lib')).filter((name) => name.startsWith('python3'))) {
      for (const site of ['site-packages', 'dist-packages']) {
        for (const wheel of ['nvidia/cuda_nvrtc/lib', 'nvidia/cu13/lib', 'nvidia/cu12/lib']) {
          const folder = join(root, 'lib', python, site, wheel);
          if (existsSync(folder)) found.push(folder);
        }
      }
    }
  }
  return found.join('\n');
}
