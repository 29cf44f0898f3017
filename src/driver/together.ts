import type { Axis } from '../ir/common/axes.js';
import type { Spec } from '../ir/spec/spec.js';
import { problem, type Problem } from './problem.js';
import type { Source } from './session.js';

/** A scan and the file that has it. */
export interface FoundScan {
  readonly source: Source;
  readonly spec: Spec;
}

/**
 * What keeps scans from being built together: names whose folders are one, and sizes of axes that none of them has. `some`: not all scans
 * are there.
 */
export function setProblem(
  scans: readonly FoundScan[], sizes: ReadonlyMap<Axis, number>, some: boolean,
): { readonly source: Source; readonly failed: Problem } | undefined {
  const lower = ({ spec }: FoundScan) => spec.name.toLowerCase();
  const twice = scans.find((scan, i) => scans.findIndex((other) => lower(other) === lower(scan)) < i);
  if (twice !== undefined) {
    const first = scans.find((other) => lower(other) === lower(twice)) ?? twice;
    const title = first.spec.name === twice.spec.name
      ? `${first.source.file} and ${twice.source.file} both declare a scan \`${twice.spec.name}\``
      : `the scans \`${first.spec.name}\` of ${first.source.file} and \`${twice.spec.name}\` of ${twice.source.file} differ in case only, `
        + 'as their folders would';
    return { source: twice.source, failed: problem('E703', title, 'rename one of them, or build them into different folders') };
  }
  const unknown = some || scans.length === 0 ? undefined : unknownAxis(scans.map(({ spec }) => spec), sizes);
  return unknown && { source: scans[0].source, failed: unknown };
}

/** Names an axis that none of the scans has. */
export function unknownAxis(specs: readonly Spec[], sizes: ReadonlyMap<Axis, number>): Problem | undefined {
  const named = [...sizes.keys()].find((axis) => !specs.some((spec) => spec.axes.some(({ name }) => name === axis)));
  if (named === undefined || specs.length === 0) return undefined;
  return problem(
    'E403', `no scan has an axis \`${named}\``,
    `their axes are ${[...new Set(specs.flatMap((spec) => spec.axes.map(({ name }) => name)))].join(', ')}`,
  );
}
