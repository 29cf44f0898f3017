import { sizeIn, type Axis } from '../../ir/common/axes.js';
import { buildKernel, type KernelBuilder, type KernelHead } from '../../ir/tile/build.js';
import { loadedBuffers, storedBuffers } from '../../ir/tile/buffers.js';
import { prune } from '../../ir/tile/prune.js';
import type { Surroundings, TileBuffer, TileKernel, TileModule } from '../../ir/tile/tile.js';
import type { Spec } from '../../ir/spec/spec.js';
import { keptOf } from './kept.js';
import { userBuffers, type UserBuffers } from './names.js';
import { givenBy, ofTokens, scanPrograms, TOKENS, type ProgramName } from './programs.js';
import { pruned } from './prune.js';

/**
 * Whose walks make the scores of their reads themselves instead of loading them: nobody's, those without erases, or also those with erases.
 */
export type InlineScores = 'none' | 'diagonal' | 'all';

/** Kernels of scans go over tokens. */
export type ScanKernelHead = Omit<KernelHead, 'domain'>;

/** How a module is to be written. */
interface Settings {
  readonly spec: Spec;
  readonly sizes: ReadonlyMap<Axis, number>;
  readonly chunk: number;
  /** Are walks cut into segments? */
  readonly segments: boolean;
  readonly inlineScores: InlineScores;
  /** Has the target room for the tiles of a chunk kernel? */
  fits(kernel: TileKernel, around: Surroundings): boolean;
  readonly exactGates: boolean;
  /** Do products round their operands to 16 bits? */
  readonly halfOperands: boolean;
  /** Neighbours along the split axis of elementwise scans whose sums one block can make; undefined: it leaves what others sum. */
  readonly runs: number | undefined;
  /** Do kernels over chunks take rows near their own once, and what is made of them? */
  readonly slides: boolean;
  /** Do first walks over segments make what is made of rows near each other, rather than load what a kernel has stored of it? */
  readonly walksMake: boolean;
  /** `io` buffers hold numbers of small range only: what depends on states or cotangents is kept in f32. */
  readonly narrowRange: boolean;
  /** Are there programs of forward and backward between which workspaces are kept? */
  readonly keeps: boolean;
}

export interface DraftOptions extends Settings {
  /** Names of inputs that stay in f32 (README: files in, files out). */
  readonly exact: ReadonlySet<string>;
}

/** A module while its kernels are being written. */
export interface Draft extends Settings {
  readonly user: UserBuffers;
  sizeOf(axis: Axis): number;
  bufferOf(name: string): TileBuffer;
  /** Makes a workspace, or returns the one made before under that name; [ROW, COL, ...] may occur among the axes. */
  workspace(name: string, outer: TileBuffer['outer'], axes: readonly Axis[], dtype: TileBuffer['dtype'], ungrouped?: string): TileBuffer;
  /** Writes a kernel and launches it next. Equal kernels of two programs are one; a kernel that stores nothing is left out. */
  kernel(program: ProgramName, head: ScanKernelHead, write: (k: KernelBuilder) => void): void;
  finish(): TileModule;
}

export function draft({ exact, ...settings }: DraftOptions): Draft {
  const { spec, sizes, chunk } = settings;
  const user = userBuffers(spec, exact);
  const workspaces = new Map<string, TileBuffer>();
  const written = new Map<ProgramName, TileKernel[]>();
  const bufferOf = (name: string): TileBuffer => {
    const found = workspaces.get(name) ?? user.all.find((buffer) => buffer.name === name);
    if (found === undefined) throw new Error(`${spec.name}: no buffer ${name}`);
    return found;
  };

  return {
    ...settings,
    user,
    sizeOf(axis) {
      const size = sizeIn(sizes, chunk, axis);
      if (size === undefined) throw new Error(`${spec.name}: axis ${axis} has no size`);
      return size;
    },
    bufferOf,
    workspace(name, outer, axes, dtype, ungrouped) {
      const full = `ws.${name}`;
      const known = workspaces.get(full);
      if (known !== undefined) {
        if (
          known.outer !== outer || known.dtype !== dtype || known.axes.join() !== axes.join()
        ) throw new Error(`${spec.name}: two workspaces ${full}`);
        return known;
      }
      const buffer: TileBuffer = {
        name: full, ...ofTokens(outer), inner: 'head', axes, dtype, role: 'workspace', ...(ungrouped !== undefined && { ungrouped }),
      };
      workspaces.set(full, buffer);
      return buffer;
    },
    kernel(program, head, write) {
      const made = prune(buildKernel({ ...head, domain: TOKENS }, write));
      if (storedBuffers(made.body).length > 0) written.set(program, [...(written.get(program) ?? []), made]);
    },
    finish() {
      const { kernels, programs } = named(written, (program) => new Set(givenBy(program, user.all)));
      const touched = new Set(kernels.flatMap((kernel) => [...loadedBuffers(kernel.body), ...storedBuffers(kernel.body)]));
      const all = [...user.all, ...[...workspaces.values()].filter((buffer) => touched.has(buffer.name))];
      const kernelsOf = (name: string) => kernels.find((kernel) => kernel.name === name) ?? [];
      const launched = (program: ProgramName) => (programs[program] ?? []).flatMap(kernelsOf);
      const kept = settings.keeps ? keptOf(launched('forward'), launched('backward'), bufferOf) : undefined;
      const names = (some: readonly TileKernel[]) => some.map(({ name }) => name);
      const again = kept && { ...kept, forward: names(kept.forward), backward: names(kept.backward) };
      return { name: spec.name, chunk, sizes, domains: [TOKENS], buffers: all, kernels, programs: scanPrograms(all, programs, again) };
    },
  };
}

/**
 * The kernels of all programs, equal ones once, and their names by program. Programs for the sake of some results leave out what those do
 * not need.
 */
function named(
  written: ReadonlyMap<ProgramName, readonly TileKernel[]>, gives: (program: ProgramName) => Iterable<string>,
): { readonly kernels: readonly TileKernel[]; readonly programs: Readonly<Partial<Record<ProgramName, readonly string[]>>> } {
  /** By all that they are but their name. */
  const byText = new Map<string, TileKernel>();
  const taken = new Set<string>();
  const nameOf = (made: TileKernel): string => {
    const text = JSON.stringify({ ...made, name: '' });
    const twin = byText.get(text);
    if (twin !== undefined) return twin.name;
    let name = made.name;
    for (let i = 2; taken.has(name); i++) name = `${made.name}_${i}`;
    taken.add(name);
    byText.set(text, { ...made, name });
    return name;
  };
  const programs = [...written].map(([program, kernels]) => {
    const needed = program === 'ends' || program === 'reverse_ends' ? pruned(kernels, gives(program)) : kernels;
    return [program, needed.map(nameOf)] as const;
  });
  return { kernels: [...byText.values()], programs: Object.fromEntries(programs) };
}
