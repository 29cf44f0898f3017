import { hasErrors, type Diagnostic } from '../../diagnostics/diagnostic.js';
import { didYouMean } from '../../diagnostics/suggest.js';
import type { Graph } from '../../ir/graph/graph.js';
import type { NameMap } from '../../ir/graph/stored.js';
import type { PartInfo } from '../../passes/graph/parts.js';
import { familiesOf, nameMap } from '../../passes/names/name-map.js';
import { bytesText } from '../../support/text.js';
import type { Host } from '../host.js';
import { problem, type Problem } from '../problem.js';
import type { Source } from '../session.js';
import type { Float } from './dtypes.js';
import { openCheckpoint, type Checkpoint } from './files.js';
import { planExport, planImport, shardsOf, type Planned } from './plan.js';
import { bytesOf, writeFiles, type Target, type TargetFile } from './transfer.js';

export interface Request {
  readonly part: PartInfo;
  /** Numbers, texts and parts in place of those of the text, those of parts below by path: `ffn.E`. */
  readonly settings: ReadonlyMap<string, number | string>;
  /** Undefined: the only one that there is. */
  readonly family: string | undefined;
  readonly from: string;
  readonly out: string;
  /** Of all but params that stay f32; undefined: as stored. */
  readonly dtype: Float | undefined;
  /** Bytes of a file of an exported checkpoint. */
  readonly shard: number;
}

export type Failure = { readonly problems: readonly Problem[] } | { readonly diagnostics: readonly Diagnostic[] };

/** What was written. */
export interface Conversion {
  readonly part: string;
  readonly family: string;
  readonly params: number;
  /** Of the checkpoint. */
  readonly tensors: number;
  readonly files: number;
  readonly bytes: number;
  /** How many of what was written have each dtype. */
  readonly dtypes: Readonly<Partial<Record<Float, number>>>;
}

export type Progress = (bytes: number, of: number) => void;

/** Reads a checkpoint of a family into a native file; nothing is written unless all of it fits. */
export async function importCheckpoint(host: Host, source: Source, request: Request, progress: Progress): Promise<Conversion | Failure> {
  const named = mapFor(source, request);
  if (!('map' in named)) return named;
  return convert(host, request, named, 'file', (from) => planImport(named.map, from, request.dtype), (targets) => [
    { name: '', targets, metadata: { format: 'lmoec', part: request.part.name } },
  ], progress);
}

/** Writes a native file as a checkpoint of a family: files of at most `shard` bytes, with an index if there are several. */
export async function exportCheckpoint(host: Host, source: Source, request: Request, progress: Progress): Promise<Conversion | Failure> {
  if (host.entries(request.out).length > 0) {
    return {
      problems: [
        problem(
          'E704', `${request.out} is not empty`, 'name a new folder with -o; configuration and tokenizer are copied into it afterwards',
        )
      ]
    };
  }
  const named = mapFor(source, request);
  if (!('map' in named)) return named;
  return convert(host, request, named, 'folder', (from) => planExport(named.map, from, request.dtype), (targets) => {
    const { shards, index } = shardsOf(targets, request.shard);
    const files = shards.map((shard): TargetFile => ({ ...shard, metadata: { format: 'pt' } }));
    return index === undefined ? files : [...files, { name: 'model.safetensors.index.json', text: index }];
  }, progress);
}

interface Mapped {
  readonly map: NameMap;
  readonly family: string;
}

/** The names of the asked family for a part at the asked settings. */
function mapFor({ parts }: Source, { part, settings, family: asked }: Request): Mapped | Failure {
  const { graph, diagnostics } = parts.elaborate(part.name, settings);
  if (graph === undefined || hasErrors(diagnostics)) return { diagnostics };
  const family = familyOf(graph, asked);
  if (typeof family !== 'string') return { problems: [family] };
  const named = nameMap(graph, family);
  return named.map === undefined ? { diagnostics: named.diagnostics } : { map: named.map, family };
}

function familyOf(graph: Graph, asked: string | undefined): string | Problem {
  const families = familiesOf(graph);
  if (asked === undefined && families.length === 1) return families[0];
  if (asked !== undefined && families.includes(asked)) return asked;
  const none = `\`${graph.name}\` has no names: write \`names hf { path = "tensor" [D, H] }\` in it`;
  const has = families.length === 0 ? none : `it has names ${families.join(', ')}`;
  if (asked === undefined) return problem(
    'E703', `it is not clear how \`${graph.name}\` is stored`, has, ...(families.length === 0 ? [] : ['choose one with --names']),
  );
  return problem('E703', `\`${graph.name}\` has no names \`${asked}\``, ...didYouMean(asked, families), has);
}

async function convert(
  host: Host, request: Request, { map, family }: Mapped, kind: 'file' | 'folder',
  plan: (from: Checkpoint) => Planned, filesOf: (targets: readonly Target[]) => readonly TargetFile[], progress: Progress,
): Promise<Conversion | Failure> {
  const from = openCheckpoint(host, request.from);
  if ('code' in from) return { problems: [from] };
  try {
    const planned = plan(from);
    if ('problems' in planned) return planned;
    const bytes = planned.targets.reduce((sum, target) => sum + bytesOf(target), 0);
    const free = host.freeSpace(request.out);
    if (free !== undefined && free < bytes) {
      return {
        problems: [
          problem(
            'E701',
            `${request.out} needs ${bytesText(bytes)}, and ${bytesText(free)} are free there`,
            'choose another place with -o',
            ...(request.dtype === undefined ? ['or a smaller type with --dtype bf16'] : []),
          )
        ]
      };
    }
    const files = filesOf(planned.targets);
    const failed = await write(host, request.out, kind, files, bytes, progress);
    if (failed !== undefined) return { problems: [failed] };
    const dtypes: Partial<Record<Float, number>> = {};
    for (const { dtype } of planned.targets) dtypes[dtype] = (dtypes[dtype] ?? 0) + 1;
    return { part: request.part.name, family, params: map.params.length, tensors: map.tensors.length, files: files.length, bytes, dtypes };
  } finally {
    from.close();
  }
}

async function write(
  host: Host, out: string, kind: 'file' | 'folder', files: readonly TargetFile[], total: number, progress: Progress,
): Promise<Problem | undefined> {
  const draft = host.openDraft(out, kind);
  if (typeof draft === 'string') return problem('E701', draft, 'choose another place with -o');
  let finished = false;
  let written = 0;
  try {
    const failed = await writeFiles(host, draft, files, (bytes) => progress(written += bytes, total));
    if (failed !== undefined) return failed;
    finished = true;
    const why = draft.finish();
    return why === undefined ? undefined : problem('E701', why, 'choose another place with -o');
  } finally {
    if (!finished) draft.discard();
  }
}
