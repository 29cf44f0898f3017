import { expect, it } from 'vitest';
import { webGpuStatus } from '../../../src/runtime/webgpu/index.js';

it.skipIf(process.platform !== 'linux')('the absence of an adapter is a value with a reason and a remedy', async () => {
  process.env.VK_ICD_FILENAMES = '/nowhere/driver.json';
  process.env.VK_DRIVER_FILES = '/nowhere/driver.json';
  expect(await webGpuStatus()).toEqual({
    available: false,
    why: 'no WebGPU adapter answers',
    remedy: 'install a Vulkan driver; `node scripts/software-gpu.mjs --install` finds software ones',
  });
});
