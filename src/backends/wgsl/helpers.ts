interface Helper {
  readonly name: string;
  /** With the comment above it. */
  readonly text: string;
}

/** Functions of a file of templates/wgsl/rt; a comment with an empty line after it belongs to the file. */
function functionsOf(file: string): readonly Helper[] {
  return [...file.matchAll(/^(?:\/\/.*\n)*fn (\w+)\([^]*?(?:\}\n(?=fn |\/\/|\n|$))/gm)]
    .map(([text, name]) => ({ name, text: text.trimEnd() }));
}

/** Helpers that a body calls, directly or through each other, in the order of the files. */
export function helpersOf(files: readonly string[], body: string): readonly string[] {
  const all = files.flatMap(functionsOf);
  const needed = new Set<string>();
  const visit = (text: string, self: string | undefined): void => {
    for (const { name, text: inner } of all) {
      if (name === self || needed.has(name) || !new RegExp(`\\b${name}\\(`).test(text)) continue;
      needed.add(name);
      visit(inner, name);
    }
  };
  visit(body, undefined);
  return all.filter(({ name }) => needed.has(name)).map(({ text }) => text);
}
