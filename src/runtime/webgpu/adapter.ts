import { IN_NODE } from '../environment.js';
import { RuntimeError } from '../runtime.js';
import type { Gpu, GpuAdapter, GpuDevice } from './types.js';

/** What kernels may be written for: the fields of the compiler's own description of an adapter. */
export interface AdapterCapabilities {
  readonly f16: boolean;
  readonly subgroups: boolean;
  readonly workgroupBytes: number;
  readonly invocations: number;
  readonly storageBuffers: number;
}

export interface OpenDevice {
  readonly device: GpuDevice;
  readonly description: string;
  readonly capabilities: AdapterCapabilities;
}

/** There in browsers, and without `gpu` in newer versions of Node. */
declare const navigator: { readonly gpu?: Gpu } | undefined;
/** There in browsers. */
declare const isSecureContext: boolean | undefined;

/** What helps where no adapter answers. */
export const ADAPTER_REMEDY = IN_NODE
  ? 'install a Vulkan driver; `node scripts/software-gpu.mjs --install` finds software ones'
  : 'turn on graphics acceleration in the settings of the browser, or update the driver of the graphics card';

/** Why there is no WebGPU, and what helps. */
export interface NoWebGpu {
  readonly why: string;
  readonly remedy: string;
}

/**
 * Kernels write workgroup memory before they read it. Clearing it, which WebGPU promises to pages, makes some drivers emit a store for
 * every word: seconds per kernel.
 */
const TOGGLES = ['enable-dawn-features=disable_workgroup_init'];

let found: Promise<Gpu | NoWebGpu> | undefined;

/** The browser's WebGPU; in Node that of Dawn, which lives as long as the process. */
export function webGpu(): Promise<Gpu | NoWebGpu> {
  found ??= (async () => {
    if (typeof navigator !== 'undefined' && navigator.gpu !== undefined) return navigator.gpu;
    if (!IN_NODE && typeof isSecureContext !== 'undefined' && !isSecureContext) {
      return { why: 'browsers give WebGPU to secure pages only', remedy: 'serve the page over https, or from localhost' };
    }
    if (!IN_NODE) return { why: 'this browser has no WebGPU', remedy: 'use one that has it: https://caniuse.com/webgpu' };
    try {
      // Bundlers for browsers are to leave it alone.
      const { create } = await import(/* @vite-ignore */ /* webpackIgnore: true */ 'webgpu');
      return create(TOGGLES);
    } catch (error) {
      return {
        why: `the package webgpu does not load: ${error instanceof Error ? error.message : String(error)}`, remedy: '`npm install webgpu`',
      };
    }
  })();
  return found;
}

export function describeAdapter(adapter: GpuAdapter): string {
  const { vendor, architecture, device, description } = adapter.info;
  const name = [device, description].find((text) => text !== '') ?? (
    [vendor, architecture].filter((text) => text !== '').join(' ') || 'WebGPU adapter'
  );
  return description !== '' && device !== '' && !description.includes(device) ? `${device} (${description})` : name;
}

const LIMITS = [
  'maxStorageBufferBindingSize', 'maxBufferSize', 'maxComputeWorkgroupStorageSize', 'maxComputeInvocationsPerWorkgroup',
  'maxComputeWorkgroupSizeX',
  'maxStorageBuffersPerShaderStage',
] as const;
const FEATURES = ['shader-f16', 'subgroups'] as const;

/** Opens a device with all that its adapter has of what kernels can use. */
export async function openDevice(gpu: Gpu): Promise<OpenDevice> {
  const adapter = await gpu.requestAdapter({ powerPreference: 'high-performance' });
  if (adapter === null) throw new RuntimeError('no WebGPU adapter answers any more', ADAPTER_REMEDY);
  const device = await adapter.requestDevice({
    requiredFeatures: FEATURES.filter((feature) => adapter.features.has(feature)),
    requiredLimits: Object.fromEntries(LIMITS.map((limit) => [limit, adapter.limits[limit]])),
  });
  const { limits } = device;
  return {
    device,
    description: describeAdapter(adapter),
    capabilities: {
      f16: device.features.has('shader-f16'),
      subgroups: device.features.has('subgroups'),
      workgroupBytes: limits.maxComputeWorkgroupStorageSize,
      invocations: limits.maxComputeInvocationsPerWorkgroup,
      storageBuffers: limits.maxStorageBuffersPerShaderStage,
    },
  };
}
