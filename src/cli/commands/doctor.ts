import { devicesOf, type NvrtcFound } from '../../driver/devices.js';
import { nodeHost } from '../../driver/host.js';
import { jsonText } from '../../support/text.js';
import { EXIT, guarded, parse, type Command } from '../command.js';
import { table, terminalUi } from '../ui.js';

/** Says which devices and compilers there are, or why not. Absence is no error: exit status 0. */
export const doctor: Command = (args) => guarded(async () => {
  const { values } = parse(args, { json: { type: 'boolean' } });
  const ui = terminalUi();
  const { cuda, webgpu, nvcc, backend } = await devicesOf(nodeHost());
  const nvrtc: NvrtcFound = cuda.available ? cuda.nvrtc : { available: false, why: 'looked for only where there is a CUDA device' };
  if (values.json === true) {
    ui.out(jsonText({
      node: process.version,
      platform: `${process.platform} ${process.arch}`,
      cuda: cuda.available ? { available: true, device: cuda.device, driver: cuda.driver, devices: cuda.devices } : cuda,
      nvrtc,
      nvcc: nvcc.found ? { available: true, version: nvcc.version, path: nvcc.program } : { available: false, why: nvcc.why },
      webgpu: webgpu.available ? { available: true, device: webgpu.device } : webgpu,
      backend,
    }, 2));
    return EXIT.ok;
  }
  const row = (name: string, found: boolean, text: string): string[] => [name, found ? 'found' : 'not found', text];
  ui.out(table([
    row('node', true, `${process.version} on ${process.platform} ${process.arch}`),
    row('cuda', cuda.available, cuda.available ? cuda.device : `${cuda.why}; ${cuda.remedy}`),
    row('nvrtc', nvrtc.available, nvrtc.available ? `${nvrtc.version} (${nvrtc.path})` : nvrtc.why),
    row(
      'nvcc', nvcc.found,
      nvcc.found ? `${nvcc.version} (${nvcc.program})` : `${nvcc.why}; kernels are then compiled by NVRTC when first loaded`,
    ),
    row('webgpu', webgpu.available, webgpu.available ? webgpu.device : `${webgpu.why}; ${webgpu.remedy}`),
  ]));
  ui.out(`\ndefault backend: ${backend.name}, since ${backend.why}`);
  return EXIT.ok;
});
