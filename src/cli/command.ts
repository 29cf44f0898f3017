import { parseArgs, type ParseArgsConfig } from 'node:util';
import { suggest } from '../diagnostics/suggest.js';

/** One command: arguments in, exit status out. */
export type Command = (args: readonly string[]) => Promise<number>;

export const EXIT = { ok: 0, failed: 1, usage: 2 } as const;

/** A wrong command line; `main` and the commands print its message and return EXIT.usage. */
export class UsageError extends Error {}

type Options = NonNullable<ParseArgsConfig['options']>;

interface Config<T extends Options> {
  readonly args: string[];
  readonly options: T;
  readonly allowPositionals: true;
  readonly strict: true;
}

type Parsed<T extends Options> = ReturnType<typeof parseArgs<Config<T>>>;

/** Parses options; throws a UsageError with a message for people. */
export function parse<const T extends Options>(args: readonly string[], options: T): Parsed<T> {
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true, strict: true });
  } catch (error) {
    const text = (error instanceof Error ? error.message : String(error)).split('. To specify')[0];
    const unknown = /^Unknown option '(-+)([^']*)'/.exec(text);
    const meant = unknown === null ? undefined : suggest(unknown[2], Object.keys(options));
    throw new UsageError(meant === undefined ? text : `${text}; did you mean --${meant}?`);
  }
}

/** Runs a command's body and turns usage errors into exit status 2. */
export async function guarded(body: () => Promise<number>): Promise<number> {
  try {
    return await body();
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    process.stderr.write(`lmoec: ${error.message}\n`);
    return EXIT.usage;
  }
}

/** One of a closed list, or a UsageError naming the option and the list. */
export function choice<const T extends readonly string[]>(option: string, value: string, allowed: T): T[number] {
  const found = allowed.find((item) => item === value);
  if (found !== undefined) return found;
  const meant = suggest(value, allowed);
  throw new UsageError(`${option} ${value}: must be one of ${allowed.join(', ')}${meant === undefined ? '' : `; did you mean ${meant}?`}`);
}

/** `a,b` and options given twice, as one list. */
export function list(texts: readonly string[] | undefined): readonly string[] {
  return (texts ?? []).flatMap((text) => text.split(',')).map((text) => text.trim()).filter((text) => text !== '');
}

/** `K=64,V=32` as a map; several options are merged. */
export function sizesOf(texts: readonly string[]): ReadonlyMap<string, number> {
  const sizes = new Map<string, number>();
  for (const item of texts.flatMap((text) => text.split(','))) {
    const match = /^\s*([A-Za-z_]\w*)\s*=\s*(\d+)\s*$/.exec(item);
    if (match === null) throw new UsageError(`--size ${item}: write AXIS=NUMBER, for example --size K=64,V=64`);
    const size = Number(match[2]);
    if (size < 1) throw new UsageError(`--size ${item}: a size is at least 1`);
    sizes.set(match[1], size);
  }
  return sizes;
}
