import type { Axis } from '../../ir/common/axes.js';
import type { IoDtype } from '../../ir/common/dtype.js';
import type { Extent, Plan, PlanArg, PlanKernel, PlanTensor } from '../../ir/plan/plan.js';
import { verifyPlan } from '../../ir/plan/verify.js';
import type { Domain } from '../../ir/tile/domain.js';
import { withLaunches, type TileBuffer, type TileKernel, type TileModule } from '../../ir/tile/tile.js';
import { verifyTiles } from '../../ir/tile/verify.js';
import { freeName } from '../../support/free-name.js';
import { textFrame } from '../../support/frame.js';
import { lineComment } from '../../support/text.js';
import { uncommented } from '../notes.js';
import { withListsWrittenOut } from '../written-out.js';
import { verified } from '../../support/verified.js';
import {
  axisSize, costsOf, innerExtents, mappedSegmentation, outerExtents, planPrograms, planRows, planTensor, rowsKernel, rowsKernelName,
} from '../describe.js';
import { DEFAULT_CAPABILITIES, type WgslCapabilities } from './capabilities.js';
import { helpersOf } from './helpers.js';
import { choose, lowerKernel, WORKGROUP, type LoweredKernel, type Resource, type WgslContext } from './lower.js';
import { packKernel } from './pack.js';
import { rowsBody } from './rows.js';
import { scratchName } from './places.js';
import type { Structure } from './structure.js';
import { copyBuffers } from './copies.js';
import { cutKernels } from './pieces.js';

export interface WgslOptions {
  readonly dtype: IoDtype;
  readonly source: Plan['source'];
  readonly doc: string;
  /** Texts of templates/wgsl by path relative to it (`rt/math.wgsl`). */
  readonly templates: Readonly<Record<string, string>>;
  /** What the adapter has; WebGPU's defaults if not given. */
  readonly capabilities?: WgslCapabilities;
  /** How a host cuts sequences into segments. */
  readonly segmentation?: Plan['segmentation'];
}

/** Enough workgroups for a large device; segments of one chunk would spend their time on joining. */
const SEGMENTATION: Plan['segmentation'] = { programs: 256, least: 4 };

/** Writes the WGSL of a module, one file per kernel, and the plan a host needs to launch it. */
export function emitWgsl(given: TileModule, options: WgslOptions): { plan: Plan; files: Map<string, string> } {
  const sizeOf = (axis: Axis) => axisSize(given, axis);
  // Lists are written out here: one kernel for few rows would make what it reads of them again for every reader.
  const own = given.kernels.filter(({ few }) => few !== 'only').map((kernel) => withListsWrittenOut({ ...kernel, few: undefined }, sizeOf));
  const launched = new Set(own.map(({ name }) => name));
  const module: TileModule = {
    ...given, kernels: own, programs: withLaunches(given.programs, ({ launches }) => launches.filter((name) => launched.has(name))),
  };
  const capabilities = options.capabilities ?? DEFAULT_CAPABILITIES;
  const packed = (buffer: TileBuffer) => buffer.dtype === 'io' && buffer.role !== 'workspace' && (
    options.dtype === 'bf16' || (options.dtype === 'f16' && !capabilities.f16)
  );
  // Workspaces share one buffer, so no tensor of a user can take the place of one.
  const shared: TileModule = cutKernels({ ...module, buffers: module.buffers.map((buffer) => ({ ...buffer, ungrouped: undefined })) });
  const { module: copied, packs } = copyBuffers(shared, { storageBuffers: capabilities.storageBuffers, packed });
  if (copied !== module) verified(`the copied module of ${module.name}`, copied, verifyTiles(copied));
  const chosen = copied.kernels.map((kernel) => ({ kernel, how: choose({ module: copied, capabilities }, kernel) }));
  const scratch = chosen.filter(({ how }) => how.memory.far > 0).map(({ kernel, how }): PlanTensor => ({
    name: scratchName(kernel.name), role: 'workspace', dtype: 'f32', shape: [
      ...gridOf(kernel, how.s).flat(), how.memory.far,
    ], axes: [],
  }));
  const workspaces = copied.buffers.filter((buffer) => buffer.role === 'workspace');
  const arena = [...workspaces, ...scratch].map(({ name }) => name);
  const cx: WgslContext = { module: copied, dtype: options.dtype, capabilities, arena };

  const frame = textFrame<object>(template(options.templates, 'kernel.wgsl.hbs'));
  const files = new Map<string, string>();
  const kernels = chosen.map(({ kernel, how }): PlanKernel => {
    const lowered = packs.has(kernel.name) ? packKernel(cx, kernel) : lowerKernel(cx, kernel, how);
    const file = freeFile(kernel.name, files);
    files.set(file, fileText(cx, kernel.doc, lowered, options, frame));
    return {
      name: kernel.name,
      doc: kernel.doc,
      file,
      entry: 'main',
      block: WORKGROUP,
      sharedBytes: (lowered.near + 4 * lowered.panels + lowered.tally) * 4,
      grid: packs.has(kernel.name) ? [[...outerExtents(kernel)], [1], [1]] : gridOf(kernel, how.s),
      args: lowered.resources.map((resource) => argOf(resource, kernel.domain)),
      lowering: 'plain',
      ...costsOf(copied, kernel, options.dtype),
    };
  });
  const made = copied.domains.flatMap((domain): readonly PlanKernel[] => {
    if (domain.made === undefined) return [];
    const lowered = rowsBody(cx, domain, domain.made);
    const file = freeFile(rowsKernelName(domain), files);
    const args = lowered.resources.map((resource) => argOf(resource, domain));
    const kernel = rowsKernel(domain, { file, entry: 'main', block: WORKGROUP, sharedBytes: 0, args });
    files.set(file, fileText(cx, kernel.doc, lowered, options, frame));
    return [kernel];
  });
  const all = [...kernels, ...made];
  const plan: Plan = {
    format: 'lmoec-plan-4',
    scan: module.name,
    doc: options.doc,
    source: options.source,
    target: 'webgpu',
    dtype: options.dtype,
    sizes: Object.fromEntries(module.sizes),
    chunk: module.chunk,
    ...planRows(module),
    segmentation: options.segmentation ?? mappedSegmentation(copied, kernels) ?? SEGMENTATION,
    tensors: [...copied.buffers.map((buffer) => ({
      ...planTensor(copied, buffer, options.dtype), ...(buffer.role === 'workspace' ? { dtype: 'f32' as const } : {}),
    })), ...scratch],
    kernels: all,
    programs: planPrograms(copied, all),
    arena,
  };
  return { plan: verified(`the plan of ${module.name}`, plan, verifyPlan(plan)), files };
}

/** Kernels whose names differ in case only are files of their own everywhere. */
function freeFile(kernel: string, files: ReadonlyMap<string, string>): string {
  const taken = new Set([...files.keys()].map((name) => name.toLowerCase()));
  return `${freeName(kernel, (name) => taken.has(`${name}.wgsl`.toLowerCase()))}.wgsl`;
}

/** Cells, heads or groups, blocks of the divided axes. */
function gridOf(kernel: TileKernel, { blocks }: Structure): PlanKernel['grid'] {
  const some = (extents: readonly Extent[]) => (extents.length === 0 ? [1] : extents);
  return [some(outerExtents(kernel)), some(innerExtents(kernel.inner)), [blocks.reduce((n, { count }) => n * count, 1)]];
}

function argOf(resource: Resource, domain: Domain): PlanArg {
  switch (resource.kind) {
    case 'tensor': return { kind: 'tensor', tensor: resource.tensor, access: resource.access };
    case 'arena': return resource;
    case 'table': return { kind: 'table', table: resource.name, ...(resource.access && { access: resource.access }) };
    case 'dims': return { kind: 'dims', domain: domain.row };
  }
}

function fileText(
  cx: WgslContext, doc: string, lowered: LoweredKernel, options: WgslOptions, frame: (data: object) => string,
): string {
  const { source } = options;
  const code = uncommented(lowered.body);
  const subgroups = /\bsubgroup(Add|Max|Min)\(/.test(code);
  const builtins = [
    'workgroup_id) wid: vec3<u32>', 'num_workgroups) count: vec3<u32>', 'local_invocation_index) lid: u32',
    ...(subgroups ? ['subgroup_invocation_id) lane: u32', 'subgroup_size) lanes: u32'] : []),
  ];
  return frame({
    parameters: builtins.map((builtin) => `@builtin(${builtin}`).join(', '),
    title: lineComment(`${cx.module.name}: ${options.doc}`),
    origin: lineComment(`Generated by lmoec ${source.compiler} from source ${source.hash}; command: ${source.command}. Do not edit.`),
    extensions: [
      ...(lowered.resources.some((resource) => resource.kind === 'tensor' && resource.type === 'f16') ? ['f16'] : []),
      ...(subgroups ? ['subgroups'] : []),
    ],
    resources: lowered.resources.map((resource, binding) => ({ binding, ...declaration(cx, resource) })),
    near: lowered.near > 0 ? [lowered.near] : [],
    panels: lowered.panels > 0 ? [lowered.panels] : [],
    rounds: code.includes('workgroupUniformLoad(&going)') ? ['going'] : [],
    tally: lowered.tally > 0 ? [lowered.tally] : [],
    helpers: helpersOf([
      template(options.templates, 'rt/math.wgsl'), template(options.templates, 'rt/half.wgsl'),
      template(options.templates, 'rt/number.wgsl'), template(options.templates, 'rt/draw.wgsl'),
      template(options.templates, 'rt/order.wgsl'),
    ], code),
    doc,
    workgroup: WORKGROUP,
    body: lowered.body,
  });
}

function declaration(cx: WgslContext, resource: Resource): { readonly space: string; readonly name: string; readonly type: string } {
  switch (resource.kind) {
    case 'tensor': return {
      space: resource.access === 'read' ? 'storage, read' : 'storage, read_write', name: resource.pointer, type: `array<${resource.type}>`,
    };
    case 'arena': return { space: 'storage, read_write', name: 'arena', type: 'array<f32>' };
    case 'table': return {
      space: resource.access === 'write' ? 'storage, read_write' : 'storage, read', name: resource.name, type: 'array<u32>',
    };
    case 'dims': return { space: 'uniform', name: 'dims', type: `array<vec4<u32>, ${Math.ceil((6 + cx.arena.length) / 4)}>` };
  }
}

function template(templates: WgslOptions['templates'], name: string): string {
  const text = templates[name];
  if (text === undefined) throw new Error(`templates/wgsl/${name} is missing`);
  return text;
}
