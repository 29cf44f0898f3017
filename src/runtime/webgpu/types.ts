/**
 * WebGPU's own types in what the package declares, where the reader's compiler knows them: TypeScript's DOM library has them from version 6
 * on,
 * `@webgpu/types` for all versions. Elsewhere they are objects of which nothing is known, and the declarations still compile.
 */
type Known<Name extends string> = typeof globalThis extends { readonly [N in Name]: { readonly prototype: infer T } } ? T : object;

export type Gpu = Known<'GPU'>;
export type GpuAdapter = Known<'GPUAdapter'>;
export type GpuDevice = Known<'GPUDevice'>;
export type GpuBuffer = Known<'GPUBuffer'>;
