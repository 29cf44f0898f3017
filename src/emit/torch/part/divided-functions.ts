import { docstring } from '../text.js';
import type { DividedSignature } from './divided.js';
import type { PartSignature } from './part.js';
import { resultsOf, type PartField, type PartProgram } from './program.js';
import { localClass, localModule } from './local-module.js';
import { CHECK, definition, indent, leadOf, OPTIONS, partClass, shape, sizesText } from './text.js';

type Named = Pick<PartSignature, 'module' | 'name'>;

/** Names that a module exports of a mixture in parts. */
export function dividedExports({ module, divided }: PartSignature): readonly string[] {
  if (typeof divided === 'string') return [];
  return [
    `${module}_route`, `${partClass(module)}Route`, `${module}_experts`, `${module}_experts_by_id`, localClass(module),
    ...(divided.combine === undefined ? [] : [`${module}_combine`, `${partClass(module)}Combined`]),
  ];
}

/** Functions of the parts of a mixture, for those who move rows between ranks. */
export function dividedFunctions({ module, name, divided }: PartSignature): readonly string[] {
  if (typeof divided === 'string') return [];
  return [
    ...routeFunction({ module, name }, divided), '', '', ...expertsFunction({ module, name }, divided), '', '',
    ...byIdFunction({ module, name }, divided), '', '', ...localModule({ module, name }, divided), ...(
      divided.combine === undefined ? [] : ['', '', ...combineFunction({ module, name }, divided)]
    ),
  ];
}

const tuple = (items: readonly string[]): string => `(${items.join(', ')}${items.length === 1 ? ',' : ''})`;
const typed = (fields: readonly PartField[]): readonly string[] => fields.map(({ python }) => `${python}: Tensor`);
const named = (fields: readonly PartField[]): readonly string[] => fields.map(({ python }) => python);
const starred = (given: readonly string[]): readonly string[] => (given.length === 0 ? [] : ['*', ...given]);

/** A tuple with the results of a mode in their places. */
function placed(fields: readonly PartField[], program: PartProgram): readonly string[] {
  const names = resultsOf(program).map(({ name }) => name);
  return fields.map(({ name }) => (names.includes(name) ? `results[${names.indexOf(name)}]` : 'None'));
}

function resultClass(title: string, doc: string, lines: readonly string[]): readonly string[] {
  return [`class ${title}(NamedTuple):`, `    """${doc}"""`, '', ...indent(lines)];
}

function inBoth(run: (mode: 'train' | 'eval') => readonly string[]): readonly string[] {
  return ['if training:', ...indent(run('train')), ...run('eval')];
}

function routeFunction({ module, name }: Named, divided: DividedSignature): readonly string[] {
  const { route, rows, scores, held, counts, python, columns } = divided;
  const own = new Set([held.name, counts.name, ...(scores === undefined ? [] : [scores.name])]);
  const others = resultsOf(route.train).filter((one) => !own.has(one.name));
  const outside = new Set(resultsOf(route.eval).map((one) => one.name));
  const title = `${partClass(module)}Route`;
  const index = (
    program: PartProgram, field: PartField,
  ): string => `results[${resultsOf(program).findIndex((one) => one.name === field.name)}]`;
  const { inputs, params } = route.train;
  return [
    ...resultClass(title, 'Where tokens go, and what no expert is needed for.', [
      `${python.ids}: Tensor  # [B, T, K], K = ${columns}: whole numbers, from the least; -1 for none`,
      `${python.scores}: Tensor${scores === undefined ? ' | None' : ''}  # [B, T, K]: what weighs; 0 for none`,
      `${python.counts}: Tensor  # [experts]: tokens of each, whole numbers`,
      ...others.map((field) => `${field.python}: Tensor${outside.has(field.name) ? '' : ' | None'}  # ${shape(leadOf(field), field)}`),
    ]),
    '', '',
    ...definition(`${module}_route`, [...typed(inputs), ...starred([...typed(params), ...OPTIONS, CHECK])], title),
    ...indent(docstring([
      `Where \`${name}\` sends each token, as an operator of its own, with gradients of scores${
        rows.some(({ given }) => !given) ? ', of the rows that experts read' : ''} and losses. Nothing is read back.`,
      '',
      `Counts, losses and choices among tokens are those of this call: ranks that share a batch add counts up.${
        divided.scores === undefined ? '' : ' Scores are float32.'}`,
    ])),
    ...indent(inBoth((mode) => [
      `results = _ops.${module}_route_${mode}(${tuple([...named(inputs), ...named(params)])}, cu_seqlens, seed, step, check)`,
      `return ${title}(*chosen(${[
        index(route[mode], held), scores === undefined ? 'None' : index(route[mode], scores), index(route[mode], counts), String(columns),
      ].join(', ')}), ${placed(others, route[mode]).join(', ')})`.replace(', )', ')'),
    ])),
  ];
}

const rowShape = (field: PartField): string => `[R${field.axes.length > 0 ? `, ${shape([], field).slice(1, -1)}` : ''}]${sizesText(field)}`;

function weightsText({ params }: PartProgram): readonly string[] {
  const about = ({ sizes }: PartField): string => (
    sizes.some((size) => typeof size === 'string') ? ': of the experts that this rank has, however many' : ''
  );
  return params.map((field) => `    ${field.python}: ${shape([], field)}${sizesText(field)}${about(field)}.`);
}

function expertsFunction({ module, name }: Named, divided: DividedSignature): readonly string[] {
  const { experts, rows, scores, python, sums } = divided;
  const { params } = experts;
  const fields = rows.map(({ field }) => field);
  return [
    ...definition(`${module}_experts`, [
      ...typed(fields), `${python.counts}: Tensor`,
      ...starred([...typed(params), ...(scores === undefined ? [] : [`${python.scores}: Tensor | None = None`])]),
    ], 'Tensor'),
    ...indent(docstring([
      `What \`${name}\` does for rows that lie expert by expert, as dispatchers bring them.`,
      '',
      'Args:',
      ...fields.map((field) => (
        `    ${field.python}: ${rowShape(field)}. More rows than \`${python.counts}\` says are neither read nor differentiated.`
      )),
      `    ${python.counts}: int32 or int64 [experts], on the device: rows of each, of any number; they are not read back.`,
      ...weightsText(experts),
      ...(scores === undefined ? [] : [`    ${python.scores}: [R], float32: what weighs each row; None: one.`]),
      '',
      'Returns:',
      `    ${rowShape(sums)}, in the order of the rows; 0 beyond those.`,
    ])),
    ...indent([
      `return by_counts(_ops.${module}_experts, ${[
        tuple(named(fields)), python.counts, scores === undefined ? 'None' : python.scores, tuple(named(params)),
      ].join(', ')}, weighs=${scores === undefined ? 'False' : 'True'})`,
    ]),
  ];
}

function byIdFunction({ module, name }: Named, divided: DividedSignature): readonly string[] {
  const { byIds, rows, scores, python, sums, columns } = divided;
  const { params } = byIds;
  const fields = rows.map(({ field }) => field);
  return [
    ...definition(`${module}_experts_by_id`, [
      ...typed(fields), `${python.ids}: Tensor`, ...(scores === undefined ? [] : [`${python.scores}: Tensor`]),
      ...starred([...typed(params), 'first: int = 0']),
    ], 'Tensor'),
    ...indent(docstring([
      `What \`${name}\` does for rows that know their experts: for each the sum of what these give.`,
      '',
      'Args:',
      ...fields.map((field) => `    ${field.python}: ${rowShape(field)}.`),
      `    ${python.ids}: [R, K], whole numbers that differ: experts of each row; those that this rank has not, and negative ones,`,
      `        are none. Kernels have K = ${columns}.`,
      ...(scores === undefined ? [] : [`    ${python.scores}: [R, K], float32: what weighs each; beside none anything.`]),
      ...weightsText(byIds),
      '    first: the number of the first expert that this rank has.',
      '',
      'Returns:',
      `    ${rowShape(sums)}.`,
    ])),
    ...indent([
      `return by_ids(_ops.${module}_experts_by_id, ${[
        tuple(named(fields)), python.ids, scores === undefined ? 'None' : python.scores, tuple(named(params)), 'first',
      ].join(', ')})`,
    ]),
  ];
}

function combineFunction({ module, name }: Named, { combine, sums }: DividedSignature): readonly string[] {
  if (combine === undefined) return [];
  const { inputs, params } = combine.train;
  const results = resultsOf(combine.train);
  const title = `${partClass(module)}Combined`;
  return [
    ...resultClass(
      title, 'What a call gives of sums.', results.map((field) => `${field.python}: Tensor  # ${shape(leadOf(field), field)}`),
    ),
    '', '',
    ...definition(`${module}_combine`, [...typed(inputs), ...starred([...typed(params), ...OPTIONS])], title),
    ...indent(docstring([
      `What \`${name}\` makes of \`${sums.python}\` ${shape(leadOf(sums), sums)}: what its experts gave for each token, summed.`,
    ])),
    ...indent(inBoth((mode) => [
      `results = _ops.${module}_combine_${mode}(${tuple([...named(inputs), ...named(params)])}, cu_seqlens, seed, step)`,
      `return ${title}(${placed(results, combine[mode]).join(', ')})`,
    ])),
  ];
}
