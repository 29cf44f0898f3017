import type { Flow } from '../../../ir/flow/flow.js';
import { fieldName, pythonName } from '../names.js';
import { free, MODES, programOf, type Mode, type PartField, type PartProgram, type ResultNames } from './program.js';

/** A mixture in parts that may run on different ranks: Flows with gradients, cut at the slots of its choice. */
export interface DividedFlows {
  readonly route: Readonly<Record<Mode, Flow>>;
  /** The work for rows of one index each, and for rows with several. */
  readonly experts: Flow;
  readonly byIds: Flow;
  /** What is made of the sums; undefined: they are the result. */
  readonly combine: Readonly<Record<Mode, Flow>> | undefined;
  /** What work reads of tokens: inputs of the whole (`given`), or results of `route`. */
  readonly rows: readonly { readonly name: string; readonly given: boolean }[];
  /** Names of results of `route` and inputs of work; no `scores`: nothing weighs. */
  readonly scores: string | undefined;
  readonly held: string;
  readonly counts: string;
  readonly ids: string;
  /** The input of `combine`, or the result that the sums are. */
  readonly sums: string;
  /** The axis of the indices that a rank has. */
  readonly local: string;
  /** At most so many indices a token. */
  readonly columns: number;
  /** Has a tensor of a Flow the dtype of a build? */
  readonly isIo: (flow: Flow, name: string) => boolean;
}

export interface DividedSignature {
  readonly route: Readonly<Record<Mode, PartProgram>>;
  readonly experts: PartProgram;
  readonly byIds: PartProgram;
  readonly combine: Readonly<Record<Mode, PartProgram>> | undefined;
  readonly rows: readonly { readonly field: PartField; readonly given: boolean }[];
  /** Results of `route`. */
  readonly scores: PartField | undefined;
  readonly held: PartField;
  readonly counts: PartField;
  /** What Python functions call scores, indices and numbers of rows. */
  readonly python: { readonly scores: string; readonly ids: string; readonly counts: string };
  readonly sums: PartField;
  readonly columns: number;
}

/** What a call brings: how many indices this rank has, and how many a row has. */
export const [LOCAL, COLUMNS] = ['experts', 'columns'];

interface Whole {
  readonly inputs: readonly PartField[];
  readonly params: readonly PartField[];
  /** Python names of these. */
  readonly given: Set<string>;
}

export function dividedSignature(flows: DividedFlows, { inputs, params, given }: Whole): DividedSignature {
  const open = new Map([[flows.local, LOCAL], [flows.ids, COLUMNS]]);
  const python = {
    scores: free(given, 'scores', pythonName), ids: free(given, 'ids', pythonName), counts: free(given, 'counts', pythonName),
  };
  const names: ResultNames = { taken: new Set(Object.values(python)), known: new Map() };
  const last: ResultNames = { taken: new Set(), known: new Map() };
  const io = (flow: Flow) => (name: string): boolean => flows.isIo(flow, name);
  const taken = (flow: Flow): Pick<PartProgram, 'inputs' | 'params' | 'open'> => ({
    inputs: inputs.filter(({ name }) => flow.inputs.some((one) => one.name === name)),
    params: params.filter(({ name }) => flow.params.some(({ path }) => path === name)), open: new Map(),
  });
  const both = (make: (mode: Mode) => PartProgram): Readonly<Record<Mode, PartProgram>> => ({ train: make('train'), eval: make('eval') });
  const route = both((mode) => programOf(flows.route[mode], taken(flows.route[mode]), io(flows.route[mode]), names));
  const routed = (name: string): PartField => found([...route.train.outputs, ...route.train.counts], name);
  const rows = flows.rows.map(({ name, given: own }) => {
    const field = own ? found(inputs, name) : routed(name);
    return { given: own, field: own ? field : { ...field, python: free(given, field.python, pythonName) } };
  });
  const work = (flow: Flow, columns: boolean): PartProgram => {
    const beside = { axes: columns ? ['K'] : [], sizes: columns ? [COLUMNS] : [], io: false, buffer: false, token: true, fixed: false };
    return programOf(flow, {
      inputs: [
        ...rows.map(({ field }) => ({ ...field, fixed: false, io: flows.isIo(flow, field.name) })),
        { ...beside, name: flows.ids, python: python.ids, index: true },
        ...(flows.scores === undefined ? [] : [{ ...beside, name: flows.scores, python: python.scores, index: false }]),
      ],
      params: params.flatMap((field) => flow.params.filter(({ path }) => path === field.name).map(({ axes }) => ({
        ...field, axes: axes.map(({ name }) => name), sizes: axes.map(({ name, size }) => open.get(name) ?? size),
      }))),
      open,
    }, io(flow), { taken: new Set(), known: new Map() });
  };
  const experts = work(flows.experts, false);
  const [made] = experts.outputs;
  const { combine } = flows;
  const sums: PartField = {
    ...made, name: flows.sums, python: combine === undefined ? free(new Set(), flows.sums, fieldName) : free(given, 'sums', pythonName),
  };
  return {
    route, experts, byIds: work(flows.byIds, true), rows, python, sums, columns: flows.columns,
    scores: flows.scores === undefined ? undefined : routed(flows.scores), held: routed(flows.held),
    counts: routed(`count.${flows.counts}`),
    combine: combine && both((mode) => {
      const own = taken(combine[mode]);
      return programOf(combine[mode], { ...own, inputs: [...own.inputs, { ...sums, fixed: false }] }, io(combine[mode]), last);
    }),
  };
}

function found(fields: readonly PartField[], name: string): PartField {
  const field = fields.find((one) => one.name === name);
  if (field === undefined) throw new Error(`there is no ${name} among ${fields.map((one) => one.name).join(', ')}`);
  return field;
}

/** A program that a package has beside the whole. `key`: its operators are called by it. */
export interface Portion {
  readonly key: string;
  /** The function that calls it. */
  readonly title: string;
  readonly program: PartProgram;
  readonly about: string;
}

export function portionsOf({ name, divided }: { readonly name: string; readonly divided: DividedSignature | string }): readonly Portion[] {
  if (typeof divided === 'string') return [];
  const where = { train: 'in training', eval: 'outside of training' } as const;
  const { route, combine, experts, byIds } = divided;
  return [
    ...MODES.map((mode) => ({
      key: `route_${mode}`, title: `${name}_route`, program: route[mode], about: `\`${name}\` sends where ${where[mode]}`,
    })),
    { key: 'experts', title: `${name}_experts`, program: experts, about: `\`${name}\` does for rows of one index each` },
    {
      key: 'experts_by_id', title: `${name}_experts_by_id`, program: byIds, about: `\`${name}\` does for rows of several indices`,
    },
    ...(combine === undefined ? [] : MODES.map((mode) => (
      { key: `combine_${mode}`, title: `${name}_combine`, program: combine[mode], about: `\`${name}\` makes of sums ${where[mode]}` }
    ))),
  ];
}
