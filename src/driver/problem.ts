/** An error that the user can cause outside of a source text: in data, options, devices or folders. Codes as in src/diagnostics/codes.ts. */
export interface Problem {
  readonly code: string;
  /** One sentence that names the place: the tensor, the file, the option. */
  readonly title: string;
  /** What to do about it. */
  readonly help: readonly string[];
}

export function problem(code: string, title: string, ...help: string[]): Problem {
  return { code, title, help };
}

/** `error[E503]: …` and its help lines, without colour. */
export function problemText(p: Problem): string {
  return [`error[${p.code}]: ${p.title}`, ...p.help.map((line) => ` = help: ${line}`)].join('\n');
}
