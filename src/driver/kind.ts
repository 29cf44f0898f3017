import type { PackageScan } from '../emit/torch/package.js';
import type { PackagePart } from '../emit/torch/part/package.js';
import type { FileSurface } from '../emit/bindings/surface.js';
import type { IoDtype } from '../ir/common/dtype.js';
import type { Signature } from '../ir/common/signature.js';
import type { Target } from '../ir/plan/plan.js';
import type { Host } from './host.js';
import type { CudaJob } from './nvcc.js';
import type { PartInfo, Settings } from './parts.js';
import type { Failed, Problem } from './problem.js';
import type { PreparedRun, RunRequest } from './run/report.js';
import type { Source } from './session.js';

/** Something that a file declares. */
export interface Declaration {
  readonly source: Source;
  readonly part: PartInfo;
}

/**
 * What the commands ask of a kind of declaration (kinds.ts has the table). Everything that they know of scans, mixtures, layers and models
 * they know from here; what an answer needs is loaded when it is asked for.
 */
export interface Kind {
  /** One, and several. */
  readonly words: readonly [string, string];
  /**
   * When there are kernels for it: always, where `build` is asked for some by `--target` and `run` finds a device, or never. What has none
   * runs in the interpreter.
   */
  readonly kernels: 'always' | 'asked' | 'never';
  /** What `--emit` can print of it. */
  readonly levels: { readonly check: readonly string[]; readonly build: readonly string[] };
  /** Has it params by path, as checkpoints hold them? */
  readonly weights: boolean;
  /** What it takes and gives. */
  signature(declaration: Declaration, given: Settings): Signature | Failed;
  /** What a file that is right by itself lacks yet: at these sizes, in the form that kernels need. */
  check(declaration: Declaration, request: CheckRequest): Promise<Checked>;
  /** What was understood, and what will run. */
  explain(host: Host, declaration: Declaration, request: ExplainRequest): Promise<Explained | Failed>;
  /** Options of `run` that mean nothing here; undefined if all do. */
  useless(request: RunRequest): string | undefined;
  /** Reads or draws the tensors of a run and checks them; nothing has been computed then. */
  prepare(host: Host, declaration: Declaration, request: RunRequest): Promise<PreparedRun | { readonly failures: readonly Failed[] }>;
  /** Kernels, plans and whatever else lies in the folder of its binding. */
  build(host: Host, declaration: Declaration, request: BuildRequest): Promise<Built | Failed>;
  /** Its functions in a Python package; undefined where there are none yet. */
  readonly python: ((host: Host, declaration: Declaration, request: PythonRequest) => Promise<PythonPart | Failed>) | undefined;
}

/** What a Python package has of a declaration. */
export type PythonPart = { readonly scan: PackageScan } | { readonly part: PackagePart };

export interface CheckRequest {
  readonly given: Settings;
  readonly levels: readonly string[];
}

export interface Checked {
  /** Errors, and warnings that are not of the file itself. */
  readonly found: readonly Failed[];
  /** Levels that were asked for; '' for none. */
  readonly text: string;
}

export interface ExplainRequest {
  /** undefined: what an answer is about where nobody says. */
  readonly target: Target | undefined;
  readonly dtype: IoDtype | undefined;
  /** Of axes, and the extents of the call. */
  readonly sizes: ReadonlyMap<string, number>;
  readonly settings: Settings;
}

export interface Explained {
  readonly json: object;
  readonly text: string;
  /** One self-contained page. */
  html(): string;
}

export interface BuildRequest {
  readonly targets: readonly Target[];
  /** undefined: the default of each target. */
  readonly dtypes: readonly IoDtype[] | undefined;
  readonly given: Settings;
  /** Kernels for whoever only serves: nothing of training, no gradients. */
  readonly evalOnly: boolean;
  /** The command as generated files name it. */
  readonly command: string;
  readonly levels: readonly string[];
}

/** What a build makes of one declaration. */
export interface Built extends Declaration {
  /** Of its folder, but for the binding. */
  readonly files: ReadonlyMap<string, string | Uint8Array>;
  readonly binding: FileSurface;
  /** Files that nvcc can make machine code of. */
  readonly jobs: readonly CudaJob[];
  /** What tells this build from another one. */
  readonly identity: unknown;
  /** One line about it, after its folder. */
  readonly summary: string;
  /** Levels that were asked for; '' for none. */
  readonly text: string;
}

export interface PythonRequest {
  /** Of the package. */
  readonly name: string;
  readonly targets: readonly Target[];
  readonly dtypes: readonly IoDtype[] | undefined;
  /** One set of plans for each. */
  readonly given: readonly Settings[];
  /** Kernels for whoever only serves: nothing of training, no gradients. */
  readonly evalOnly: boolean;
  /** How many experts of a mixture a rank may have: kernels of its parts are made for each. */
  readonly experts: readonly number[];
  readonly command: string;
}

/** A problem as a list of failures. */
export function failedBy(...problems: readonly Problem[]): { readonly failures: readonly Failed[] } {
  return { failures: problems };
}
