import { KEPT } from '../../ir/plan/kept.js';
import type { Cells, Domain, Level } from '../../ir/tile/domain.js';
import type { Kept } from './kept.js';
import type { BufferRole, Programs, TileBuffer, TileProgram } from '../../ir/tile/tile.js';

/** What scans go over. */
export const TOKENS: Domain = { row: 'token', chunk: 'chunk', segment: 'segment', run: 'sequence' };

export const ofTokens = (outer: Level): Cells => (outer === 'once' ? { outer } : { outer, domain: TOKENS });

/**
 * What hosts run of a scan: `backward` needs no `forward` before it, it recomputes what it wants; `step` reads tokens one at a time. Of a
 * piece of a sequence whose beginning or end somebody else has, `ends` gives the last states alone, `reverse_ends` the gradients of the
 * first ones.
 */
export type ProgramName = 'forward' | 'backward' | 'step' | 'ends' | 'reverse_ends';

const GIVEN: readonly BufferRole[] = ['input', 'param', 'initial'];
const RESULTS: readonly BufferRole[] = ['output', 'final'];
const is = (...roles: readonly BufferRole[]) => ({ role }: TileBuffer): boolean => roles.includes(role);
const HOST: Readonly<Record<ProgramName, { readonly takes: readonly BufferRole[]; gives(buffer: TileBuffer): boolean }>> = {
  forward: { takes: GIVEN, gives: is(...RESULTS) },
  backward: { takes: [...GIVEN, 'cotangent'], gives: is('gradient') },
  step: { takes: GIVEN, gives: is(...RESULTS) },
  ends: { takes: GIVEN, gives: is('final') },
  reverse_ends: { takes: [...GIVEN, 'cotangent'], gives: (buffer) => buffer.role === 'gradient' && buffer.outer === 'run' },
};

/** What a program leaves behind, of these buffers. */
export function givenBy(program: ProgramName, buffers: readonly TileBuffer[]): readonly string[] {
  return buffers.filter(HOST[program].gives).map(({ name }) => name);
}

/**
 * The programs of a scan by the kernels that they launch: what they take and give is known by what the buffers are. Those of pieces are
 * there where they were asked for; `kept`: workspaces for backward, and the launches of both then.
 */
export function scanPrograms(
  buffers: readonly TileBuffer[], launches: Readonly<Partial<Record<ProgramName, readonly string[]>>>,
  kept?: Kept<string>,
): Programs<TileProgram> & Readonly<Record<'forward' | 'backward' | 'step', TileProgram>> {
  const named = (role: BufferRole) => buffers.filter(is(role)).map(({ name }) => name);
  const program = (name: ProgramName): TileProgram => ({
    takes: HOST[name].takes.flatMap(named), gives: givenBy(name, buffers), launches: launches[name] ?? [],
  });
  const asked = (['ends', 'reverse_ends'] as const).filter((name) => (launches[name] ?? []).length > 0);
  const [forward, backward] = [program('forward'), program('backward')];
  return {
    forward, backward, step: program('step'),
    ...Object.fromEntries(asked.map((name) => [name, program(name)])),
    ...(kept !== undefined && {
      [KEPT.forward]: { ...forward, gives: [...forward.gives, ...kept.buffers], launches: kept.forward },
      [KEPT.backward]: { ...backward, takes: [...backward.takes, ...kept.buffers], launches: kept.backward },
    }),
  };
}
