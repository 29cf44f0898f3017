import { parseArgs, type ParseArgsConfig } from 'node:util';
import { visibleLine } from '../support/text.js';

/** One command: arguments in, exit status out. */
export type Command = (args: readonly string[]) => Promise<number>;

export const EXIT = { ok: 0, failed: 1, usage: 2 } as const;

/** A wrong command line; `main` and the commands print its message and return EXIT.usage. */
export class UsageError extends Error {
  constructor(message: string, readonly guess?: Guess) {
    super(message);
  }
}

/** A word that may be a misspelling of one of others; `prefix` stands before the one that is proposed. */
interface Guess {
  readonly written: string;
  readonly among: readonly string[];
  readonly prefix: string;
}

/** `; did you mean ...?`, or nothing. Loaded when something is misspelt: `--help` must not wait. */
export async function didYouMean({ written, among, prefix }: Guess): Promise<string> {
  const { suggest } = await import('../diagnostics/suggest.js');
  const meant = suggest(written, among);
  return meant === undefined ? '' : `; did you mean ${prefix}${meant}?`;
}

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
  let parsed: Parsed<T>;
  try {
    parsed = parseArgs({ args: [...args], options, allowPositionals: true, strict: true });
  } catch (error) {
    const text = (error instanceof Error ? error.message : String(error)).split('. To specify')[0].replaceAll('\n', ' ');
    const unknown = /^Unknown option '(-+)([^']*)'/.exec(text);
    throw new UsageError(text, unknown === null ? undefined : { written: unknown[2], among: Object.keys(options), prefix: '--' });
  }
  // What a shell makes of a variable that is not set.
  for (const [name, given] of [...Object.entries(parsed.values), ['a file name', parsed.positionals] as const]) {
    const empty = [given].flat().some((text) => typeof text === 'string' && text.trim() === '');
    if (empty) throw new UsageError(`${name in options ? `--${name}` : name} is empty`);
  }
  return parsed;
}

/** Runs a command's body and turns usage errors into exit status 2. */
export async function guarded(body: () => Promise<number>): Promise<number> {
  try {
    return await body();
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    process.stderr.write(`lmoec: ${visibleLine(error.message)}${error.guess === undefined ? '' : await didYouMean(error.guess)}\n`);
    return EXIT.usage;
  }
}

/** One of a closed list, or a UsageError naming the option and the list. */
export function choice<const T extends readonly string[]>(option: string, value: string, allowed: T): T[number] {
  const found = allowed.find((item) => item === value);
  if (found !== undefined) return found;
  throw new UsageError(`${option} ${value}: must be one of ${allowed.join(', ')}`, { written: value, among: allowed, prefix: '' });
}

/** `a,b` and options given twice, as one list. */
export function list(option: string, texts: readonly string[] | undefined): readonly string[] {
  return (texts ?? []).flatMap((text) => text.split(',').map((item) => {
    if (item.trim() === '') throw new UsageError(`${option} ${text}: write items with one comma between two`);
    return item.trim();
  }));
}

/** `aux=0.01`, `kinds=LLN`, `mixer=other`: numbers, texts and names of parts in place of those of a header. */
export function settingsOf(texts: readonly string[]): ReadonlyMap<string, number | string> {
  return new Map(texts.map((item) => {
    const match = /^\s*([A-Za-z_][\w.]*)\s*=(.*)$/s.exec(item);
    if (match === null) throw new UsageError(`--with ${item}: write NAME=VALUE, for example --with aux=0.01`);
    const [, name, text] = match;
    const value = text.trim() === '' ? NaN : Number(text);
    return [name, Number.isFinite(value) ? value : text.trim().replace(/^"(.*)"$/s, '$1')] as const;
  }));
}

/** `K=64,V=32` as a map; several options are merged. */
export function sizesOf(texts: readonly string[]): ReadonlyMap<string, number> {
  const sizes = new Map<string, number>();
  for (const item of texts.flatMap((text) => text.split(','))) {
    const match = /^\s*([A-Za-z_][\w.]*)\s*=\s*(\d+)\s*$/.exec(item);
    if (match === null) throw new UsageError(`--size ${item}: write AXIS=NUMBER, for example --size K=64,V=64`);
    const size = Number(match[2]);
    if (size < 1) throw new UsageError(`--size ${item}: a size is at least 1`);
    sizes.set(match[1], size);
  }
  return sizes;
}
