import type { PartItem } from '../../ir/ast/ast.js';

/** A declaration of a file, and what its text can refer to. */
export interface Part {
  readonly item: PartItem;
  readonly file: string;
  /** Declarations of its file and what that imports, by name. Filled when the file has been read. */
  readonly visible: ReadonlyMap<string, Part>;
  /** What its file would import and did not find, which was reported. */
  readonly missing: ReadonlySet<string>;
}

export function nameOf(part: Part): string {
  return part.item.name.text;
}

/** Names of the axes that callers see, in order of appearance. */
export function signatureAxes(item: PartItem): readonly string[] {
  const inputs = item.inputs.flatMap((input) => [...input.axes.names, ...(input.of === undefined ? [] : [input.of])]);
  return [...new Set([...inputs, ...item.outputs.flatMap((output) => output.axes.names)].map((axis) => axis.text))];
}

/** Text of the `///` comment, without the slashes. */
export function docOf({ leading }: PartItem): string {
  return leading.filter(({ text }) => text.startsWith('///')).map(({ text }) => text.slice(3).trim()).join('\n').trim();
}
