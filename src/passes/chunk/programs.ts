import type { Cells, Domain, Level } from '../../ir/tile/domain.js';
import type { BufferRole, Programs, TileBuffer, TileProgram } from '../../ir/tile/tile.js';

/** What scans go over. */
export const TOKENS: Domain = { row: 'token', chunk: 'chunk', segment: 'segment', run: 'sequence' };

export const ofTokens = (outer: Level): Cells => (outer === 'once' ? { outer } : { outer, domain: TOKENS });

/** What hosts run of a scan: `backward` needs no `forward` before it, it recomputes what it wants; `step` reads tokens one at a time. */
export type ProgramName = 'forward' | 'backward' | 'step';

const GIVEN: readonly BufferRole[] = ['input', 'param', 'initial'];
const RESULTS: readonly BufferRole[] = ['output', 'final'];
const HOST: Readonly<Record<ProgramName, { readonly takes: readonly BufferRole[]; readonly gives: readonly BufferRole[] }>> = {
  forward: { takes: GIVEN, gives: RESULTS },
  backward: { takes: [...GIVEN, 'cotangent'], gives: ['gradient'] },
  step: { takes: GIVEN, gives: RESULTS },
};

/** The programs of a scan by the kernels that they launch: what they take and give is known by what the buffers are. */
export function scanPrograms(
  buffers: readonly TileBuffer[], launches: Readonly<Partial<Record<ProgramName, readonly string[]>>>,
): Programs<TileProgram> & Readonly<Record<ProgramName, TileProgram>> {
  const named = (role: BufferRole) => buffers.filter((buffer) => buffer.role === role).map(({ name }) => name);
  const of = (roles: readonly BufferRole[]) => roles.flatMap(named);
  const program = (name: ProgramName): TileProgram => ({
    takes: of(HOST[name].takes), gives: of(HOST[name].gives), launches: launches[name] ?? [],
  });
  return { forward: program('forward'), backward: program('backward'), step: program('step') };
}
