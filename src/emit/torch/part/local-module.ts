import { docstring } from '../text.js';
import type { DividedSignature } from './divided.js';
import type { PartSignature } from './part.js';
import { attribute, definition, indent, partClass } from './text.js';

/** The class of the experts that a rank has. */
export const localClass = (module: string): string => `${partClass(module)}Experts`;

/** Their params in a module, and what the functions do with them. */
export function localModule(
  { module, name }: Pick<PartSignature, 'module' | 'name'>, { experts, rows, scores, python }: DividedSignature,
): readonly string[] {
  const { params } = experts;
  const fields = rows.map(({ field }) => field.python);
  const given = fields.map((field) => `${field}: Tensor`);
  const own = params.map((one) => `${one.python}=${attribute(one.name)}`);
  const call = (title: string, first: readonly string[], named: readonly string[]): readonly string[] => [
    `    return ${title}(`, `        ${first.join(', ')},`, ...named.map((one) => `        ${one},`), '    )',
  ];
  return [
    `class ${localClass(module)}(LocalExperts):`,
    ...indent(docstring([
      `The experts of \`${name}\` that a rank has, with their params by the names of the formula: ${
        params.map((one) => `\`${one.name}\``).join(', ') || 'none'}.`,
    ])),
    '',
    `    stored = _parts.${module}_experts_stored`,
    '',
    ...indent([
      ...definition('forward', [
        'self', ...given, `${python.counts}: Tensor`, ...(scores === undefined ? [] : [`${python.scores}: Tensor | None = None`]),
      ], 'Tensor'),
      `    """\`${module}_experts\` of these."""`,
      ...call(`${module}_experts`, [...fields, python.counts], [
        ...own, ...(scores === undefined ? [] : [`${python.scores}=${python.scores}`]),
      ]),
      '',
      ...definition('by_id', [
        'self', ...given, `${python.ids}: Tensor`, ...(scores === undefined ? [] : [`${python.scores}: Tensor`]),
      ], 'Tensor'),
      `    """\`${module}_experts_by_id\` of these: \`${python.ids}\` are those of all ranks."""`,
      ...call(`${module}_experts_by_id`, [...fields, python.ids, ...(scores === undefined ? [] : [python.scores])], [
        ...own, 'first=self.first_expert',
      ]),
    ]),
  ];
}
