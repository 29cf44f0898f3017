import type { Axis } from '../ir/common/axes.js';
import { ancestorsOf, decayOperands, type ScanProgram } from '../ir/scan/scan.js';
import type { Spec } from '../ir/spec/spec.js';
import { verifyScan } from '../ir/scan/verify.js';
import type { Surroundings, TileKernel, TileModule } from '../ir/tile/tile.js';
import { verifyTiles } from '../ir/tile/verify.js';
import { verified } from '../support/verified.js';
import { adjoint } from './adjoint/adjoint.js';
import { draft, type InlineScores } from './chunk/draft.js';
import { graphOf } from './chunk/graph.js';
import { lowerBackward, lowerForward } from './chunk/lower.js';
import { rangeOf } from './normalize/ranges.js';
import { partsOf } from './chunk/parts.js';
import { rootedIn } from './chunk/rooted.js';
import { foldScales } from './chunk/scales.js';
import { lowerSequential } from './chunk/sequential.js';
import { lowerStep } from './chunk/step.js';
import { normalize } from './normalize/normalize.js';

export interface LowerOptions {
  /** Tokens per chunk, a power of two. */
  readonly chunk?: number;
  /** Cuts walks into segments that run at once, where a call has so few heads that it pays; on unless told otherwise. */
  readonly segments?: boolean;
  /**
   * Walks make scores themselves instead of reading them, where the gate does not run along the row axis: less memory traffic, but every
   * block of a split axis makes them again. `none` unless told otherwise.
   */
  readonly inlineScores?: InlineScores;
  /**
   * Has the target room for the tiles of a chunk kernel? Gradients that have none are made by several kernels. Every kernel has unless told
   * otherwise.
   */
  readonly fits?: (kernel: TileKernel, around: Surroundings) => boolean;
  /**
   * Gradients of scalar gates from pairs of tokens: more digits for one more pass over the scores of a chunk; decays of elementwise scans
   * with what they take away. For f32; off unless told otherwise.
   */
  readonly exactGates?: boolean;
  /**
   * Matrix products round their operands to 16 bits: where one rounding counts several times, operands come in two parts. Off unless told
   * otherwise.
   */
  readonly halfOperands?: boolean;
  /**
   * `io` buffers hold numbers up to 65504 only: what depends on states or cotangents waits for other kernels in f32. Off unless told
   * otherwise.
   */
  readonly narrowRange?: boolean;
  /**
   * Blocks of elementwise scans sum gradients over so many neighbours of the axis along which they are split, and a later kernel over the
   * runs, instead of over states and cotangents of every token in memory. A power of two; off unless told otherwise.
   */
  readonly runs?: number;
  /** Gradients, unless it is false. */
  readonly backward?: boolean;
  /**
   * Kernels over chunks make what rows near their own are made of once for all that read it: cotangents that other tokens read are left
   * before what tokens before say of them. Off unless told otherwise.
   */
  readonly slides?: boolean;
  /**
   * Walks have threads to spare that make what is made, element by element, of rows near each other: the first one over a segment stores
   * it for all that comes later. Off unless told otherwise.
   */
  readonly walksMake?: boolean;
  /** Makes the programs of pieces of sequences, too (`passes/chunk/programs.ts`). Off unless told otherwise. */
  readonly pieces?: boolean;
  /**
   * Makes the programs of forward and backward between which workspaces are kept, too, where that is worth it (`passes/chunk/kept.ts`). Off
   * unless told otherwise.
   */
  readonly keeps?: boolean;
}

/** The chunk algorithm of a scan. */
export interface LoweredScan {
  readonly spec: Spec;
  /** Absent where the scan runs step by step. */
  readonly scan: ScanProgram | undefined;
  readonly module: TileModule;
}

export const DEFAULT_CHUNK = 64;

/** Spec -> Scan -> Tile. Throws a Refusal where the scan has no chunked form and is not marked `sequential`. */
export function lowerScan(spec: Spec, sizes: ReadonlyMap<Axis, number>, options: LowerOptions = {}): LoweredScan {
  const start = (exact: ReadonlySet<string>) => draft({
    spec,
    sizes,
    chunk: options.chunk ?? DEFAULT_CHUNK,
    segments: options.segments ?? true,
    inlineScores: options.inlineScores ?? 'none',
    fits: options.fits ?? (() => true),
    exactGates: options.exactGates ?? false,
    halfOperands: options.halfOperands ?? false,
    narrowRange: options.narrowRange ?? false,
    runs: options.runs,
    slides: options.slides ?? false,
    walksMake: options.walksMake ?? false,
    keeps: options.keeps ?? false,
    exact,
  });
  if (spec.mode === 'sequential') {
    const d = start(new Set());
    lowerSequential(d, options.backward !== false);
    return { spec, scan: undefined, module: checkedTiles(d.finish()) };
  }
  const sizeOf = (axis: Axis) => sizes.get(axis) ?? 1;
  const formed = checked('the normal form', normalize(spec));
  const scan = checked('the normal form with scales folded', withFactors(spec, foldScales(formed, sizeOf), sizeOf));
  const d = start(gateNames(spec, scan));
  lowerForward(d, scan);
  const reversed = options.backward === false ? undefined : checked('the adjoint', adjoint(spec, scan));
  if (reversed !== undefined) lowerBackward(d, reversed);
  lowerStep(d, scan);
  if (options.pieces === true) {
    lowerForward(d, checked('the states alone', rootedIn(scan, ({ kind }) => kind === 'final')), 'ends');
    const ends = reversed && checked('their adjoint', rootedIn(reversed, ({ kind }) => kind === 'initial-gradient'));
    if (ends !== undefined) lowerBackward(d, ends, 'reverse_ends');
  }
  return { spec, scan, module: checkedTiles(d.finish()) };
}

function checked(what: string, program: ScanProgram): ScanProgram {
  return verified(what, program, verifyScan(program));
}

function checkedTiles(module: TileModule): TileModule {
  return verified(`the tile module of ${module.name}`, module, verifyTiles(module));
}

/** The program with the nodes that taking numbers out of vectors makes, so that forward and backward count alike. */
function withFactors(spec: Spec, program: ScanProgram, sizeOf: (axis: Axis) => number): ScanProgram {
  const graph = graphOf(program.nodes, sizeOf);
  for (const stage of program.stages) if (stage.kind === 'matrix') partsOf(graph, stage, (id) => rangeOf(graph.builder, spec, id));
  return { ...program, nodes: graph.builder.nodes };
}

/** Inputs and params that a decay is computed from: such inputs stay in f32 (README: files in, files out). */
export function gateNames(spec: Spec, program: ScanProgram): ReadonlySet<string> {
  const names = new Set<string>();
  for (const id of ancestorsOf(program.nodes, program.stages.flatMap(decayOperands))) {
    const node = program.nodes[id];
    if (node.kind === 'input') names.add(spec.inputs[node.input].name);
    if (node.kind === 'param') names.add(spec.params[node.param].name);
  }
  return names;
}
