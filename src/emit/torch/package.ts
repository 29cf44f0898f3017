import type { Plan } from '../../ir/plan/plan.js';
import type { Spec } from '../../ir/spec/spec.js';
import { exportsOf, printFunctions } from './functions.js';
import { ALGEBRA_FUNCTIONS } from './math.js';
import { printReference, type ReferencePrograms } from './reference.js';
import { printSignature, type Signature } from './signature.js';
import { printTransitions } from './transitions.js';
import { comments, docstring } from './text.js';
import { jsonText } from '../../support/text.js';

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
  /** templates/torch by path. */
  readonly templates: Readonly<Record<string, string>>;
  /** A hash of whatever makes two packages differ: operators of both may live in one process. */
  readonly identity: string;
}

/** The files of a package by path. */
export function printPackage(parts: PackageParts): ReadonlyMap<string, string> {
  const { name, templates, scans } = parts;
  const header = comments([
    `Made by lmoec ${parts.source.compiler}; changes will be lost.`, `source: sha256 ${parts.source.hash}`,
    `command: ${parts.source.command}`,
  ]);
  const files = new Map<string, string>([
    ['pyproject.toml', pyproject(parts, header)],
    ['README.md', readme(parts)],
    [`${name}/__init__.py`, init(parts, header)],
    [`${name}/py.typed`, ''],
    [`${name}/_reference.py`, reference(scans, header)],
    [`${name}/_ops.py`, operators(parts, header)],
    [`${name}/_transitions.py`, transitions(scans, header)],
    ['tests/subject.py', subject(name)],
  ]);
  for (const [path, text] of Object.entries(templates)) {
    if (path === '_backend.py' || path.startsWith('tests/')) files.set(path, text);
    else files.set(`${name}/${path}`, text);
  }
  for (const { signature, formula, plans } of scans) {
    files.set(
      `${name}/${signature.module}.py`, printFunctions(signature, { header, formula, built: plans.map(({ plan }) => builtText(plan)) }),
    );
    for (const { plan, files: kernels } of plans) {
      const folder = planFolder(name, signature, plan);
      files.set(`${folder}/plan.json`, `${jsonText(plan, 1)}\n`);
      for (const [path, text] of kernels) files.set(`${folder}/${path}`, text);
    }
  }
  return files;
}

/** Where a package has the kernels of a plan. */
export function planFolder(name: string, signature: Signature, plan: Plan): string {
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

function pyproject({ name, version, scans }: PackageParts, header: readonly string[]): string {
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
    `description = "${scans.map(({ spec }) => spec.name).join(', ')}: kernels with gradients from a formula"`,
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

function init({ name, version, source, scans }: PackageParts, header: readonly string[]): string {
  const names = scans.flatMap(({ signature }) => exportsOf(signature));
  const own = ['LmoecError', 'SAC_SAVE_OPS', 'SOURCE_HASH', '__version__', 'doctor', 'warmup'];
  const modules = scans.map(({ signature }) => signature.module);
  return joined([
    ...header,
    ...docstring([
      ...scans.map(({ signature }) => signature.doc.split('\n')[0] || `The scan \`${signature.name}\`.`),
      '',
      `Functions: ${names.join(', ')}. \`doctor()\` says what runs where, \`warmup()\` loads kernels before the first call.`,
    ]),
    '',
    'from __future__ import annotations',
    '',
    // First, since it says which torch is too old for the others.
    'from ._runtime import LmoecError',
    'from ._runtime import doctor as _doctor',
    'from . import _ops, _reference, _transitions, cp',
    ...scans.map(({ signature }) => `from .${signature.module} import ${exportsOf(signature).join(', ')}`),
    '',
    `__version__ = "${version}"`,
    `SOURCE_HASH = "${source.hash}"`,
    '#: For selective activation checkpointing: the results of these operators are worth keeping.',
    `SAC_SAVE_OPS = {${modules.map((module) => `_ops.${module}.forward, _ops.${module}.forward_final`).join(', ')}}`,
    '',
    '',
    'def warmup(device: object = None) -> None:',
    '    """Loads the kernels of every scan for a device (the current one if None), so that the first call waits for nothing."""',
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

function operators({ scans, identity }: PackageParts, header: readonly string[]): string {
  const modules = scans.map(({ signature }) => signature.module);
  return joined([
    ...header,
    '"""The operators of every scan. Importing this touches no device."""',
    '',
    'from __future__ import annotations',
    '',
    'from pathlib import Path',
    '',
    'from . import _reference',
    'from ._library import register',
    'from ._runtime import Scan',
    '',
    'PLANS = Path(__file__).resolve().parent / "plans"',
    `KERNELS = (${modules.map((module) => `Scan(PLANS / "${module}"),`).join(' ')})`,
    ...modules.map((module, i) => `${module} = register("lmoec_${module}_${identity.slice(0, 8)}", _reference.${module}, KERNELS[${i}])`),
    `SCANS = {${scans.map(({ signature }) => `"${signature.name}": ${signature.module}`).join(', ')}}`,
  ]);
}

/** What printed references name besides scalar functions. */
const ALGEBRA = ['Gate', 'Read', 'Write', 'number', 'outer_walk', 'outer_walk_adjoint', 'permuted', 'prefix', 'prefix_adjoint'];

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
    `from ._algebra import ${[...ALGEBRA, ...ALGEBRA_FUNCTIONS].sort().join(', ')}`,
    'from ._drive import Reference',
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
    `from ._algebra import ${
      ['Gate', 'Read', 'Write', 'number', 'outer_walk', 'permuted', 'prefix', ...ALGEBRA_FUNCTIONS].sort().join(', ')
    }`,
    'from ._carry import Carried, Transitions, product, span',
    ...scans.flatMap(({ spec, signature, programs }) => ['', '', ...(programs.chunked === undefined
      ? ['# Step by step, and perhaps not linear.', `${signature.module} = None`]
      : printTransitions(spec, signature, programs.chunked.forward))]),
  ]);
}

function readme({ name, scans, source }: PackageParts): string {
  const { signature } = scans[0];
  const shapes = signature.inputs.map((x) => `${x.python} [${['B', 'T', x.group ? 'G' : 'H', ...x.axes].join(', ')}]`).join(', ');
  const args = [...signature.inputs.map((x) => x.python), ...signature.params.map((x) => `${x.python}=${x.python}`)];
  return joined([
    `# ${name}`,
    '',
    `PyTorch functions with gradients that lmoec ${source.compiler} made from a formula: `
    + `${scans.map((scan) => `\`${scan.spec.name}\``).join(', ')}.`,
    '',
    '    pip install .              # no network, no compiler; PYTHONPATH works, too',
    '    pytest                     # its own tests',
    '',
    '```python',
    `from ${name} import ${signature.module}`,
    '',
    `# ${shapes}`,
    `${signature.outputs.map((x) => x.python).join(', ')}, state = ${signature.module}(${args.join(', ')}, output_final_state=True)`,
    '```',
    '',
    `On NVIDIA GPUs this runs compiled kernels, on the CPU a reference in PyTorch; \`${name}.doctor()\` says which and why.`,
    `\`help(${name}.${signature.module})\` has shapes, dtypes and errors.`,
  ]);
}
