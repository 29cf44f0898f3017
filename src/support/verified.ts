/** What a pass made, if a verifier has nothing against it: else the fault is ours, and nobody may run what came of it. */
export function verified<T>(what: string, made: T, faults: readonly string[]): T {
  if (faults.length === 0) return made;
  const more = faults.length > 8 ? `\n... and ${faults.length - 8} more` : '';
  throw new Error(`${what} does not hold together:\n${faults.slice(0, 8).join('\n')}${more}`);
}
