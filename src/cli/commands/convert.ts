import { exportCheckpoint, importCheckpoint, type Conversion, type Request } from '../../driver/checkpoint/convert.js';
import { FLOATS } from '../../driver/checkpoint/dtypes.js';
import { nodeHost } from '../../driver/host.js';
import { kindOf } from '../../driver/kinds.js';
import { ownParts, pickPart } from '../../driver/parts.js';
import { problem, type Problem } from '../../driver/problem.js';
import { isProblem, openSource } from '../../driver/session.js';
import { bytesText, jsonText } from '../../support/text.js';
import { choice, EXIT, guarded, parse, settingsOf, sizesOf, UsageError, type Command } from '../command.js';
import { reportProblems, reportSource } from '../report.js';
import { progressBar, terminalUi } from '../ui.js';

/** Reads a published checkpoint into the params of a model. */
export const importing: Command = (args) => guarded(() => convert('import', args));
/** Writes the params of a model as a checkpoint that other libraries read. */
export const exporting: Command = (args) => guarded(() => convert('export', args));

const UNITS: Readonly<Record<string, number>> = { '': 1, K: 1e3, M: 1e6, G: 1e9, T: 1e12 };

/** `5GB`, `200MB`, `1000`. */
function shardOf(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([KMGT]?)B?$/i.exec(text.trim());
  const bytes = match === null ? 0 : Math.floor(Number(match[1]) * UNITS[match[2].toUpperCase()]);
  if (bytes < 1) throw new UsageError(`--shard-size ${text}: write a number of bytes, for example --shard-size 5GB`);
  return bytes;
}

async function convert(command: 'import' | 'export', args: readonly string[]): Promise<number> {
  const { values, positionals } = parse(args, {
    from: { type: 'string' },
    names: { type: 'string' },
    out: { type: 'string', short: 'o' },
    dtype: { type: 'string' },
    name: { type: 'string' },
    size: { type: 'string', multiple: true },
    with: { type: 'string', multiple: true },
    'shard-size': { type: 'string' },
    json: { type: 'boolean' },
  });
  const [file, ...others] = positionals;
  if (file === undefined || others.length > 0) throw new UsageError(`${command}: name one .lmoe file`);
  const { from, out } = values;
  if (from === undefined) throw new UsageError(
    `${command}: name the ${command === 'import' ? 'checkpoint' : 'file of params'} with --from`,
  );
  if (out === undefined) throw new UsageError(`${command}: name the ${command === 'import' ? 'file' : 'folder'} to write with -o`);
  if (command === 'import' && values['shard-size'] !== undefined) throw new UsageError('--shard-size is of exported checkpoints');
  const wanted: Omit<Request, 'part'> = {
    settings: new Map([...settingsOf(values.with ?? []), ...sizesOf(values.size ?? [])]),
    family: values.names,
    from,
    out,
    dtype: values.dtype === undefined ? undefined : choice('--dtype', values.dtype, FLOATS),
    shard: shardOf(values['shard-size'] ?? '5GB'),
  };

  const ui = terminalUi();
  const host = nodeHost();
  const fail = (...problems: readonly Problem[]): number => {
    reportProblems(ui, problems);
    return EXIT.failed;
  };
  const source = openSource(host, file);
  if (isProblem(source)) return fail(source);
  reportSource(ui, source);
  if (source.failed) return EXIT.failed;
  if (values.name === undefined && !ownParts(source).some((part) => kindOf({ part }).weights)) return fail(
    problem('E703', `${file} declares no layer, mixture or model`, 'checkpoints hold the params of these'),
  );
  const part = pickPart(source, values.name);
  if (isProblem(part)) return fail(part);
  if (!kindOf({ part }).weights) return fail(
    problem(
      'E703', `\`${part.name}\` is a ${part.kind}`, 'checkpoints hold the params of layers, mixtures and models: name one with --name',
    ),
  );

  const bar = progressBar(`${command}ing ${part.name}`, (text) => ui.progress(text));
  const run = command === 'import' ? importCheckpoint : exportCheckpoint;
  const done = await run(host, source, { ...wanted, part }, bar);
  ui.progress(undefined);
  if ('problems' in done) return fail(...done.problems);
  if ('diagnostics' in done) {
    ui.report(source.renderThese(done.diagnostics, ui.color));
    return EXIT.failed;
  }
  ui.out(values.json === true ? jsonText({ ...done, out }, 2) : summary(command, done, out));
  return EXIT.ok;
}

function summary(command: 'import' | 'export', { part, family, params, tensors, files, bytes, dtypes }: Conversion, out: string): string {
  const count = (n: number, thing: string): string => `${n} ${thing}${n === 1 ? '' : 's'}`;
  const types = Object.entries(dtypes).map(([dtype, n]) => `${n} ${dtype}`).join(', ');
  const all = `${count(params, 'param')} of ${part}`;
  const stored = `${count(tensors, 'tensor')} (names ${family})`;
  const what = command === 'import' ? `${all} from ${stored}` : `${stored} in ${count(files, 'file')} from ${all}`;
  return `wrote ${out}: ${what}, ${bytesText(bytes)}: ${types}`;
}
