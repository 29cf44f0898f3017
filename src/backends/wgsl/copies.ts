import { sizeIn } from '../../ir/common/axes.js';
import { buildKernel } from '../../ir/tile/build.js';
import { isRows, type Domain } from '../../ir/tile/domain.js';
import { withBuffers } from '../../ir/tile/buffers.js';
import { withLaunches, type TileBuffer, type TileKernel, type TileModule } from '../../ir/tile/tile.js';
import { tablesOf, tensorsOf } from './lower.js';

export interface CopyOptions {
  /** Storage buffers that a kernel may bind. */
  readonly storageBuffers: number;
  /** Tensors whose elements share words of memory, which one invocation cannot write alone. */
  readonly packed: (buffer: TileBuffer) => boolean;
}

export interface Copied {
  readonly module: TileModule;
  /** Kernels that write a packed tensor from its copy, word by word. */
  readonly packs: ReadonlySet<string>;
}

const copyName = (buffer: string) => `${buffer}.copy`;
const readName = (buffer: string) => `copy_in_${buffer}`;
const writeName = (buffer: string) => `copy_out_${buffer}`;

/**
 * Keeps every kernel within the number of buffers it may bind: some user tensors, the smallest first, get a copy among the workspaces,
 * which share one binding. Small kernels copy inputs in before their first reader and results out after their writer. Packed tensors are
 * always written so.
 */
export function copyBuffers(module: TileModule, options: CopyOptions): Copied {
  const copied = new Map<string, ReadonlySet<string>>();
  for (const kernel of module.kernels) copied.set(kernel.name, copiedIn(module, kernel, options));
  const all = new Set([...copied.values()].flatMap((names) => [...names]));
  if (all.size === 0) return { module, packs: new Set() };

  const copies = module.buffers.filter((buffer) => all.has(buffer.name)).map((buffer) => ({
    buffer, to: { ...buffer, name: copyName(buffer.name), dtype: 'f32', role: 'workspace' } satisfies TileBuffer,
  }));
  const [around] = module.domains;
  const movers = new Map<string, TileKernel>();
  const packs = new Set<string>();
  const moverOf = (name: string, direction: 'in' | 'out'): string => {
    const copy = copies.find(({ buffer }) => buffer.name === name);
    if (copy === undefined) throw new Error(`${module.name}: ${name} has no copy`);
    const kernel = direction === 'in'
      ? copyKernel(readName(name), copy.buffer, copy.to, around)
      : copyKernel(writeName(name), copy.to, copy.buffer, around);
    movers.set(kernel.name, kernel);
    if (direction === 'out' && options.packed(copy.buffer)) packs.add(kernel.name);
    return kernel.name;
  };
  const program = (names: readonly string[]): readonly string[] => {
    const order: string[] = [];
    const fresh = new Set<string>();
    for (const name of names) {
      const kernel = module.kernels.find((candidate) => candidate.name === name);
      if (kernel === undefined) throw new Error(`${module.name}: no kernel ${name}`);
      const touched = tensorsOf(module, kernel);
      const mine = touched.filter(({ buffer }) => copied.get(name)?.has(buffer.name));
      for (const { buffer, access } of mine) {
        if (access === 'write' || fresh.has(buffer.name)) continue;
        order.push(moverOf(buffer.name, 'in'));
        fresh.add(buffer.name);
      }
      order.push(name);
      for (const { buffer, access } of touched) {
        if (access === 'read') continue;
        fresh.delete(buffer.name);
        if (copied.get(name)?.has(buffer.name)) order.push(moverOf(buffer.name, 'out'));
      }
    }
    return order;
  };
  const programs = withLaunches(module.programs, ({ launches }) => program(launches));
  const kernels = module.kernels.map((kernel) => {
    const own = copied.get(kernel.name);
    return own === undefined ? kernel : withBuffers(kernel, (buffer) => (own.has(buffer) ? copyName(buffer) : buffer));
  });
  return { module: {
    ...module, buffers: [...module.buffers, ...copies.map(({ to }) => to)], kernels: [...kernels, ...movers.values()], programs,
  }, packs };
}

function copiedIn(module: TileModule, kernel: TileKernel, options: CopyOptions): ReadonlySet<string> {
  const touched = tensorsOf(module, kernel).filter(({ buffer }) => buffer.role !== 'workspace');
  const chosen = new Set(touched.filter(
    ({ buffer, access }) => access !== 'read' && options.packed(buffer)
  ).map(({ buffer }) => buffer.name));
  // One binding is kept for the arena, which the copies need anyway.
  const room = options.storageBuffers - 1 - tablesOf(kernel).length;
  const elements = (buffer: TileBuffer) => buffer.axes.reduce(
    (n, axis) => n * (sizeIn(module.sizes, module.chunk, axis) ?? 1), 1,
  ) * (isRows(buffer) ? 1 : 1 / module.chunk);
  const candidates = touched.map(({ buffer }) => buffer)
    // Copies are numbers in f32.
    .filter((buffer) => !chosen.has(buffer.name) && buffer.dtype !== 'i32').sort((a, b) => elements(a) - elements(b));
  for (const buffer of candidates) {
    if (touched.length - chosen.size <= room) break;
    chosen.add(buffer.name);
  }
  return chosen;
}

/** `around`: a domain for what is there once. */
function copyKernel(name: string, from: TileBuffer, to: TileBuffer, around: Domain): TileKernel {
  const outer = from.outer === 'row' ? 'chunk' : from.outer;
  const head = { name, doc: `Copies ${from.name} to ${to.name}.`, outer, domain: from.domain ?? around, inner: from.inner };
  return buildKernel(head, (k) => k.store(to, k.load(from)));
}
