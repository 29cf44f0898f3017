/** A name that nobody has: the one that is wished for, with as many `_` behind it as that takes. */
export function freeName(wished: string, isTaken: (name: string) => boolean): string {
  let name = wished;
  while (isTaken(name)) name += '_';
  return name;
}
