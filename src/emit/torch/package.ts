import type { Plan } from '../../ir/plan/plan.js';
import type { Spec } from '../../ir/spec/spec.js';
import { exportsOf, printFunctions } from './functions.js';
import { ALGEBRA_FUNCTIONS } from './math.js';
import { printReference, type ReferencePrograms } from './reference.js';
import { printSignature, type Signature } from './signature.js';
import { printTransitions } from './transitions.js';
import { comments, docstring } from './text.js';
import { jsonText } from '../../support/text.js';
import { partExports, printPartFunctions } from './part/functions.js';
import { builtKernels, forwardOperators, printPartOperators, printParts, printSmall, type PackagePart } from './part/package.js';
import { resultsOf } from './part/program.js';

/** One scan of a package. */
export interface PackageScan {
  readonly spec: Spec;
  readonly signature: Signature;
  readonly programs: ReferencePrograms;
  /** The declaration as written. */
  readonly formula: string;
  /** One for each size, target and dtype. */
  readonly plans: readonly { readonly plan: Plan; readonly files: ReadonlyMap<string, string> }[];
}

export interface PackageParts {
  readonly name: string;
  readonly version: string;
  /** Of the source text, and the compiler and the command as generated files name them. */
  readonly source: Plan['source'];
  readonly scans: readonly PackageScan[];
  /** Layers and mixtures. */
  readonly parts: readonly PackagePart[];
  /** templates/torch by path. */
  readonly templates: Readonly<Record<string, string>>;
  /** A hash of whatever makes two packages differ: operators of both may live in one process. */
  readonly identity: string;
}

/** Templates that only packages with scans need, and those that only packages with layers or mixtures need. */
const OF_SCANS = /^(_algebra|_carry|_drive|_heads|_library|_shards|_signature|cp|tests\/(cases|test_(?!ep|part_)\w*))\.py$/;
const OF_PARTS = /^(_launch|_module|_part|_part_ops|_rows|tests\/(part_cases|test_part_\w*))\.py$/;
/** What only packages with mixtures in parts need. */
const OF_DIVIDED = /^(_experts|ep|tests\/test_ep)\.py$/;

/** The files of a package by path. */
export function printPackage(parts: PackageParts): ReadonlyMap<string, string> {
  const { name, templates, scans, identity } = parts;
  const header = comments([
    `Made by lmoec ${parts.source.compiler}; changes will be lost.`, `source: sha256 ${parts.source.hash}`,
    `command: ${parts.source.command}`,
  ]);
  const files = new Map<string, string>([
    ['pyproject.toml', pyproject(parts, header)],
    ['README.md', readme(parts)],
    [`${name}/__init__.py`, init(parts, header)],
    [`${name}/py.typed`, ''],
    [`${name}/_ops.py`, operators(parts, header)],
    ['tests/subject.py', subject(name)],
  ]);
  if (scans.length > 0) {
    files.set(`${name}/_reference.py`, reference(scans, header));
    files.set(`${name}/_transitions.py`, transitions(scans, header));
  }
  if (parts.parts.length > 0) {
    files.set(`${name}/_parts.py`, joined(printParts(parts.parts, header)));
    files.set('tests/small.py', joined(printSmall(name, parts.parts, header, identity)));
  }
  for (const [path, text] of Object.entries(templates)) {
    if ((OF_SCANS.test(path) && scans.length === 0) || (OF_PARTS.test(path) && parts.parts.length === 0)) continue;
    if (OF_DIVIDED.test(path) && !parts.parts.some(isDivided)) continue;
    files.set(path === '_backend.py' || path.startsWith('tests/') ? path : `${name}/${path}`, text);
  }
  const place = (folder: string, plan: Plan, kernels: ReadonlyMap<string, string>): void => {
    files.set(`${folder}/plan.json`, `${jsonText(plan, 1)}\n`);
    for (const [path, text] of kernels) files.set(`${folder}/${path}`, text);
  };
  for (const { signature, formula, plans } of scans) {
    const texts = {
      header, formula, built: plans.map(({ plan }) => builtText(plan)), evalOnly: plans.every(({ plan }) => servesOnly(plan)),
    };
    files.set(`${name}/${signature.module}.py`, printFunctions(signature, texts));
    for (const { plan, files: kernels } of plans) place(planFolder(name, signature, plan), plan, kernels);
  }
  for (const { signature, formula, plans } of parts.parts) {
    const built = [...new Set(plans.map(({ plan }) => `${plan.dtype} on ${plan.target.replace('cuda.', '')}`))];
    const evalOnly = plans.every(({ plan }) => servesOnly(plan));
    files.set(`${name}/${signature.module}.py`, printPartFunctions(signature, { header, formula, built, evalOnly }));
    for (const { mode, plan, files: kernels } of plans) place(partFolder(name, signature, plan, mode), plan, kernels);
  }
  return files;
}

/** Has it no kernels of gradients? */
function servesOnly({ programs }: Plan): boolean {
  return programs['backward']?.launches.length === 0;
}

function isDivided({ signature }: PackagePart): boolean {
  return typeof signature.divided !== 'string';
}

/** Folders of all plans, with what nvcc can make of them. */
export function plansOf({ name, scans, parts }: Pick<PackageParts, 'name' | 'scans' | 'parts'>): readonly {
  readonly folder: string; readonly plan: Plan; readonly files: ReadonlyMap<string, string>;
}[] {
  return [
    ...scans.flatMap(({ signature, plans }) => plans.map((one) => ({ ...one, folder: planFolder(name, signature, one.plan) }))),
    ...parts.flatMap(({ signature, plans }) => plans.map((one) => ({ ...one, folder: partFolder(name, signature, one.plan, one.mode) }))),
  ];
}

/** Where a package has the kernels of a layer or mixture. */
function partFolder(name: string, { module }: { readonly module: string }, plan: Plan, mode: string): string {
  return `${name}/plans/${module}/${plan.target}.${plan.dtype}/${mode}`;
}

/** Where a package has the kernels of a plan. */
function planFolder(name: string, signature: Signature, plan: Plan): string {
  const sizes = Object.entries(plan.sizes).map(([axis, size]) => `${axis}${size}`).join('_');
  return `${name}/plans/${signature.module}/${sizes}/${plan.target}.${plan.dtype}`;
}

/** What the package's tests import. */
function subject(name: string): string {
  return joined([
    '# The package that these tests are about.',
    `import ${name} as package`,
    `from ${name} import _ops as ops`,
    `from ${name}._layout import laid`,
    '',
    '__all__ = ["laid", "ops", "package"]',
  ]);
}

function builtText(plan: Plan): string {
  const sizes = Object.entries(plan.sizes).map(([axis, size]) => `${axis} = ${size}`).join(', ');
  return `${sizes} in ${plan.dtype} on ${plan.target.replace('cuda.', '')}`;
}

const joined = (lines: readonly string[]): string => `${lines.join('\n')}\n`;

function pyproject({ name, version, scans, parts }: PackageParts, header: readonly string[]): string {
  return joined([
    ...header,
    '[build-system]',
    'requires = []',
    'build-backend = "_backend"',
    'backend-path = ["."]',
    '',
    '[project]',
    `name = "${name}"`,
    `version = "${version}"`,
    `description = "${[...scans, ...parts].map(({ signature }) => signature.name).join(', ')}: kernels with gradients from a formula"`,
    'requires-python = ">=3.10"',
    '',
    '[project.optional-dependencies]',
    'torch = ["torch>=2.9"]',
    '',
    '[tool.pytest.ini_options]',
    'testpaths = ["tests"]',
    'addopts = "-p no:cacheprovider"',
  ]);
}

function init({ name, version, source, scans, parts }: PackageParts, header: readonly string[]): string {
  const exported = [
    ...scans.map(({ signature }) => [signature.module, exportsOf(signature)] as const),
    ...parts.map(({ signature }) => [signature.module, partExports(signature)] as const),
  ];
  const names = exported.flatMap(([, own]) => own);
  const own = ['LmoecError', 'SAC_SAVE_OPS', 'SOURCE_HASH', '__version__', 'doctor', 'warmup'];
  const modules = scans.map(({ signature }) => signature.module);
  return joined([
    ...header,
    ...docstring([
      ...scans.map(({ signature }) => signature.doc.split('\n')[0] || `The scan \`${signature.name}\`.`),
      ...parts.map(({ signature }) => signature.doc.split('\n')[0] || `The ${signature.kind} \`${signature.name}\`.`),
      '',
      `Functions: ${names.join(', ')}. \`doctor()\` says what runs where, \`warmup()\` loads kernels before the first call.`,
    ]),
    '',
    'from __future__ import annotations',
    '',
    // First, since it says which torch is too old for the others.
    'from ._runtime import LmoecError',
    'from ._runtime import doctor as _doctor',
    `from . import ${
      ['_ops', ...(parts.length > 0 ? ['_parts'] : []), ...(scans.length > 0 ? ['_reference', '_transitions', 'cp'] : []),
        ...(parts.some(isDivided) ? ['ep'] : [])].join(', ')
    }`,
    ...exported.map(([module, all]) => `from .${module} import ${all.join(', ')}`),
    '',
    `__version__ = "${version}"`,
    `SOURCE_HASH = "${source.hash}"`,
    '#: For selective activation checkpointing: the results of these operators are worth keeping.',
    `SAC_SAVE_OPS = {${[
      ...modules.flatMap((module) => ['', '_final', '_kept', '_final_kept'].map((end) => `_ops.${module}.forward${end}`)),
      ...parts.flatMap(forwardOperators),
    ].join(', ')}}`,
    '',
    '',
    'def warmup(device: object = None) -> None:',
    '    """Loads all kernels for a device (the current one if None), so that the first call waits for nothing."""',
    '    for scan in _ops.KERNELS:',
    '        scan.warmup(device)',
    '',
    '',
    'def doctor() -> str:',
    `    """Which devices \`${name}\` finds, which kernels each takes, or why not."""`,
    '    return _doctor(list(_ops.KERNELS))',
    '',
    '',
    `__all__ = [${[...own, ...names].sort().map((item) => `"${item}"`).join(', ')}]`,
  ]);
}

function operators({ scans, parts, identity }: PackageParts, header: readonly string[]): string {
  const modules = scans.map(({ signature }) => signature.module);
  const kernels = [
    ...modules.map((module) => `${module}_kernels`),
    ...parts.flatMap(builtKernels),
  ];
  return joined([
    ...header,
    '"""The operators of everything in the package. Importing this touches no device."""',
    '',
    'from __future__ import annotations',
    '',
    'from pathlib import Path',
    '',
    `from . import ${[...(parts.length > 0 ? ['_parts'] : []), ...(scans.length > 0 ? ['_reference'] : [])].join(', ')}`,
    ...(parts.length > 0 ? ['from ._launch import Kernels', 'from ._part_ops import register as register_part'] : []),
    ...(scans.length > 0 ? ['from ._library import register', 'from ._runtime import Scan'] : []),
    '',
    'PLANS = Path(__file__).resolve().parent / "plans"',
    ...modules.flatMap((module) => [
      `${module}_kernels = Scan(PLANS / "${module}")`,
      `${module} = register("lmoec_${module}_${identity.slice(0, 8)}", _reference.${module}, ${module}_kernels)`,
    ]),
    ...printPartOperators(parts, identity),
    `KERNELS = (${kernels.map((one) => `${one},`).join(' ')})`,
    `SCANS = {${scans.map(({ signature }) => `"${signature.name}": ${signature.module}`).join(', ')}}`,
  ]);
}

/** What printed references name besides scalar functions. */
const ALGEBRA = ['Gate', 'Read', 'Write', 'outer_walk', 'outer_walk_adjoint', 'permuted', 'prefix', 'prefix_adjoint'];

const MATH = ['number', ...ALGEBRA_FUNCTIONS].sort();

function reference(scans: readonly PackageScan[], header: readonly string[]): string {
  const lines = [
    ...header,
    '"""The formulas in PyTorch: one token, and a chunk of tokens with its gradients, as lmoec derives them. '
    + 'Tensors end with the axes that are named."""',
    '',
    'from __future__ import annotations',
    '',
    'import math',
    '',
    'import torch',
    '',
    `from ._algebra import ${ALGEBRA.join(', ')}`,
    'from ._drive import Reference',
    `from ._math import ${MATH.join(', ')}`,
    'from ._signature import Named, Signature',
  ];
  for (const { spec, signature, programs } of scans) {
    const printed = printReference(spec, signature, programs);
    const [first, ...rest] = printSignature(signature);
    lines.push(
      '', '', ...printed.lines, '', '', `${signature.module} = Reference(`, `    ${first}`,
      ...rest.slice(0, -1).map((line) => `    ${line}`), '    ),',
    );
    lines.push(
      `    token=${printed.token},`, `    chunk=${printed.chunk},`, `    chunk_backward=${printed.backward},`, `    size=${printed.size},`,
      ')',
    );
  }
  const names = (
    value : (signature: Signature) => string
  ) => scans.map(({ signature }) => `"${signature.name}": ${value(signature)}`).join(', ');
  lines.push(
    '', '#: References by the name of the scan, and the names of its functions.', `SCANS = {${names((x) => x.module)}}`,
    `MODULES = {${names((x) => `"${x.module}"`)}}`,
  );
  return joined(lines);
}

function transitions(scans: readonly PackageScan[], header: readonly string[]): string {
  return joined([
    ...header,
    '"""What many tokens do to the states of each scan, for rows of tokens that several ranks share (cp.py)."""',
    '',
    'from __future__ import annotations',
    '',
    'import math',
    '',
    'import torch',
    '',
    'from . import _reference',
    'from ._algebra import Gate, Read, Write, outer_walk, permuted, prefix',
    'from ._carry import Carried, Transitions, product, span',
    `from ._math import ${MATH.join(', ')}`,
    ...scans.flatMap(({ spec, signature, programs }) => ['', '', ...(programs.chunked === undefined
      ? ['# Step by step, and perhaps not linear.', `${signature.module} = None`]
      : printTransitions(spec, signature, programs.chunked.forward))]),
  ]);
}

function readme({ name, scans, parts, source }: PackageParts): string {
  return joined([
    `# ${name}`,
    '',
    `PyTorch functions with gradients that lmoec ${source.compiler} made from a formula: `
    + `${[...scans, ...parts].map(({ signature }) => `\`${signature.name}\``).join(', ')}.`,
    '',
    '    pip install .              # no network, no compiler; PYTHONPATH works, too',
    '    pytest                     # its own tests',
    '',
    ...(scans.length > 0 ? scanExample(name, scans[0]) : partExample(name, parts[0])),
  ]);
}

function scanExample(name: string, { signature }: PackageScan): readonly string[] {
  const shapes = signature.inputs.map((x) => `${x.python} [${['B', 'T', x.group ? 'G' : 'H', ...x.axes].join(', ')}]`).join(', ');
  const args = [...signature.inputs.map((x) => x.python), ...signature.params.map((x) => `${x.python}=${x.python}`)];
  return [
    '```python',
    `from ${name} import ${signature.module}`,
    '',
    `# ${shapes}`,
    `${signature.outputs.map((x) => x.python).join(', ')}, state = ${signature.module}(${args.join(', ')}, output_final_state=True)`,
    '```',
    '',
    ...whereItRuns(name, signature.module),
  ];
}

function partExample(name: string, { signature }: PackagePart): readonly string[] {
  const { inputs, module, programs: { train } } = signature;
  const [, , module_] = partExports(signature);
  return [
    '```python',
    `from ${name} import ${module_}`,
    '',
    `layer = ${module_}(device="cuda")`,
    `results = layer(${inputs.map((x) => x.python).join(', ')})     # ${inputs.map((x) => `${x.python} [B, T${
      x.sizes.map((size) => `, ${size}`).join('')}]`).join(', ')}`,
    `# ${resultsOf(train).map((x) => `results.${x.python}`).join(', ')}`,
    '```',
    '',
    ...whereItRuns(name, module),
  ];
}

function whereItRuns(name: string, module: string): readonly string[] {
  return [
    `On NVIDIA GPUs this runs compiled kernels, on the CPU a reference in PyTorch; \`${name}.doctor()\` says which and why.`,
    `\`help(${name}.${module})\` has shapes, dtypes and errors.`,
  ];
}
