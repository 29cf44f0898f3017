import { signatureOf } from '../../ir/spec/signature.js';
import type { Signature } from '../../ir/common/signature.js';
import type { Spec } from '../../ir/spec/spec.js';
import type { Declaration } from '../kind.js';
import { settingsFor, type Settings } from '../parts.js';
import type { Failed } from '../problem.js';

/**
 * The meaning of a scan with numbers and sizes in place of those of its header: what is computed from them (`with K = 64, V = 2 * K`)
 * follows.
 */
export function specAt({ source, part }: Declaration, given: Settings): Spec | Failed {
  const own = settingsFor(part, given);
  const known = own.size > 0 ? undefined : source.specs.find(({ name, origin }) => name === part.name && origin.file === part.file);
  if (known !== undefined) return known;
  const { spec, diagnostics } = source.parts.scan(part.name, own);
  return spec ?? { diagnostics };
}

export function signatureAt(declaration: Declaration, given: Settings): Signature | Failed {
  const spec = specAt(declaration, given);
  return 'nodes' in spec ? signatureOf(spec) : spec;
}

/** Numbers of a scan that are no sizes: a meaning of its own for each. Axes may have any size, so a meaning holds for all of them. */
export function numbersOf(declaration: Declaration, given: Settings): Settings {
  const spec = specAt(declaration, new Map());
  const axes = 'nodes' in spec ? spec.axes.map(({ name }) => name) : [];
  return new Map([...settingsFor(declaration.part, given)].filter(([name]) => !axes.includes(name)));
}

/** Sizes among what is given. */
export function sizesOf(given: Settings): ReadonlyMap<string, number> {
  return new Map([...given].flatMap(([name, value]) => (typeof value === 'number' ? [[name, value] as const] : [])));
}
