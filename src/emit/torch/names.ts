import { ALGEBRA_FUNCTIONS } from './math.js';

/** Python's keywords, and what printed functions call by name: a tensor of such a name gets an underscore. */
const TAKEN = new Set([
  'False', 'None', 'True', 'and', 'as', 'assert', 'async', 'await', 'break', 'class', 'continue', 'def', 'del', 'elif', 'else',
  'except', 'finally', 'for', 'from',
  'global', 'if', 'import', 'in', 'is', 'lambda', 'nonlocal', 'not', 'or', 'pass', 'raise', 'return', 'try', 'while', 'with', 'yield',
  'self', 'torch', 'Tensor', 'number', 'permuted', ...ALGEBRA_FUNCTIONS, 'prefix', 'prefix_adjoint', 'outer_walk',
  'outer_walk_adjoint', 'Gate', 'Read', 'Write',
  'initial_state', 'final_state', 'output_final_state', 'cu_seqlens', 'cu_seqlens_cpu', 'state', 'shards', 'heads', 'ctx', 'any',
  'tuple', 'print', 'keep', 'kept', 'known', 'result',
  'dtype', 'exact', 'results', 'wanted', 'cotangents', 'tokens', 'd', 'ready', 'packed', 'io_dtype', 'exact_dtype', 'no_gradient',
  'once_differentiable', 'NamedTuple', 'Any',
  'sharded', 'SequenceShards', 'Carried', 'Transitions', 'matrix', 'product', 'span',
  'register', 'Path', 'Reference', 'Signature', 'Named', 'Scan', 'PLANS', 'SCANS', 'MODULES', 'KERNELS', 'math', 'warmup', 'doctor',
  'LmoecError',
]);

/** Modules that a package has or may come to have. */
const MODULES = new Set(['fla', 'cp', 'moe', 'modules', 'hf', 'titan', 'parallel', 'plans', 'tests']);

/** A name of the formula as Python takes it. */
export function pythonName(name: string): string {
  return TAKEN.has(name) || /^d_(out|final)\d+$/.test(name) ? `${name}_` : name;
}

/** The same as a field of a named tuple, which cannot begin with an underscore. */
export function fieldName(name: string): string {
  return pythonName(name).replace(/^_/, 'state_');
}

export function moduleName(scan: string): string {
  return MODULES.has(scan) ? `${scan}_` : pythonName(scan);
}

/** Is it a name that `import` takes, and no module that everybody needs? */
export function isPackageName(name: string): boolean {
  return /^[A-Za-z]\w*$/.test(name) && pythonName(name) === name;
}

/** `two_faced` as `TwoFaced`. */
export function className(name: string): string {
  return name.split('_').filter((part) => part !== '').map((part) => part[0].toUpperCase() + part.slice(1)).join('');
}
