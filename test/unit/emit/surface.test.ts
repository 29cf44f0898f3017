import { describe, expect, it } from 'vitest';
import { signatureOf } from '../../../src/ir/spec/signature.js';
import { bindingSurface } from '../../../src/emit/bindings/surface.js';
import { printSurfaces } from '../../../src/emit/bindings/project.js';
import { plan, spec } from './sample.js';

const surface = bindingSurface(signatureOf(spec), [{ folder: 'webgpu.f32', plan }]);
const named = (name: string) => surface.interfaces.find((item) => item.name === name);
const types = (name: string) => Object.fromEntries((named(name)?.properties ?? []).map((property) => [property.name, property.type]));

describe('surface of a binding', () => {
  it('has the axes in the types, groups and packed heads told apart', () => {
    expect(types('TwoFacedInputs')).toEqual({ q: "Tensor<'B T G K'>", v: "Tensor<'B T H V'>", g: "Tensor<'B T H'>", A_log: "Tensor<'H'>" });
    expect(types('TwoFacedStepInputs')).toEqual({ q: "Tensor<'B G K'>", v: "Tensor<'B H V'>", g: "Tensor<'B H'>", A_log: "Tensor<'H'>" });
  });

  it('carries what inputs were before from call to call, and its gradient; nobody has to give it', () => {
    expect(types('TwoFacedState')).toEqual({ S: "Tensor<'N H K V'>", h: "Tensor<'N H V'>", q_prev: "Tensor<'N H K'>" });
    expect(named('TwoFacedState')?.properties.filter((property) => property.optional).map((property) => property.name)).toEqual(['q_prev']);
    const body = surface.functions[0].body.join('\n');
    expect(body.match(/q_prev: results\.take\('q_prev', 'N H K'\)/g)).toHaveLength(2);
    expect(body).toContain("q_prev: results.take('d_q_prev', 'N H K')");
  });

  it('keeps the output and the state of one name apart', () => {
    const body = surface.functions[0].body.join('\n');
    expect(body).toContain("h: results.take('h', 'B T H V')");
    expect(body).toContain("h: results.take('final.h', 'N H V')");
  });

  it('offers to keep what backward would make again where some kernels leave it', () => {
    const [forward, backward] = [plan.programs['forward'], plan.programs['backward']];
    const keeping = { ...plan, programs: { ...plan.programs, forward_kept: forward, backward_kept: backward } };
    const made = bindingSurface(signatureOf(spec), [{ folder: 'webgpu.f32', plan }, { folder: 'cuda.sm90.bf16', plan: keeping }]);
    const methods = made.interfaces.find(({ name }) => name === 'TwoFaced')?.methods ?? [];
    const optionsOf = (name: string) => methods.find((method) => method.name === name)?.parameters.at(-1)?.type;
    expect([optionsOf('forward'), optionsOf('backward')]).toEqual(['TwoFacedOptions & Keeping', 'TwoFacedOptions & Keeps']);
    expect(made.functions[0].body.join('\n')).toContain('kept: results.kept');
    expect(types('TwoFacedResult')).not.toHaveProperty('kept');
    const serving = bindingSurface(signatureOf(spec), [{ folder: 'cuda.sm90.bf16', plan: keeping }], false);
    expect(JSON.stringify(serving)).not.toMatch(/Keep|Kept/);
  });

  it('says where it comes from', () => {
    expect(surface.header.join('\n')).toContain('sha256 abc');
    expect(surface.header.join('\n')).toContain('lmoec build x.lmoe');
  });

  it('prints as TypeScript, the same every time', async () => {
    const [first, second] = [await printSurfaces([surface]), await printSurfaces([surface])];
    expect(first.get('two_faced.ts')).toBe(second.get('two_faced.ts'));
    await expect(first.get('two_faced.ts')).toMatchFileSnapshot('two_faced.ts.txt');
  });
});
