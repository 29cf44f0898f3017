import type { Signature } from '../ir/common/signature.js';
import type { Declaration } from './kind.js';
import { problem, type Failed, type Problem } from './problem.js';
import type { Source } from './session.js';

/** A declaration with what it takes and gives. */
export interface Signed extends Declaration {
  readonly signature: Pick<Signature, 'axes'>;
  /** Does it need a folder that is named like nothing else? Layers of many files may have one name until they are built together. */
  readonly folder: boolean;
}

/**
 * What keeps declarations from being built together: names whose folders are one, and sizes and numbers that none of them has. `some`: not
 * all are there.
 */
export function setProblem(
  all: readonly Signed[], sizes: Iterable<string>, some: boolean,
): { readonly source: Source; readonly failed: Failed } | undefined {
  const lower = ({ part }: Declaration) => part.name.toLowerCase();
  const apart = all.filter(({ folder }) => folder);
  const twice = apart.find((one, i) => apart.findIndex((other) => lower(other) === lower(one)) < i);
  if (twice !== undefined) {
    const first = apart.find((other) => lower(other) === lower(twice)) ?? twice;
    const kinds = first.part.kind === twice.part.kind;
    const title = first.part.name === twice.part.name
      ? `${first.source.file} and ${twice.source.file} both declare ${kinds ? `a ${twice.part.kind} ` : ''}\`${twice.part.name}\``
      : `the ${kinds ? `${first.part.kind}s` : 'declarations'} \`${first.part.name}\` of ${first.source.file} and \`${twice.part.name}\` `
        + `of ${twice.source.file} differ in case only, as their folders would`;
    return { source: twice.source, failed: problem('E703', title, 'rename one of them, or build them into different folders') };
  }
  const unknown = some || all.length === 0 ? undefined : unknownSetting(all, sizes);
  return unknown && { source: all[0].source, failed: unknown };
}

/** Names something that is given and that none of them has. */
export function unknownSetting(all: readonly Signed[], given: Iterable<string>): Problem | undefined {
  const names = [...new Set(all.flatMap(({ signature, part }) => [...signature.axes.map(({ name }) => name), ...part.settings]))];
  const below = new Set(all.flatMap(({ part }) => part.below));
  const named = [...given].find((name) => (name.includes('.') ? !below.has(name.split('.')[0]) : !names.includes(name)));
  if (named === undefined) return undefined;
  return all.every(({ part }) => part.kind === 'scan')
    ? problem('E403', `no scan has an axis \`${named}\``, `their axes are ${names.join(', ')}`)
    : problem('E403', `nothing here has \`${named}\` to set`, `what can be set is ${names.join(', ')}`);
}
