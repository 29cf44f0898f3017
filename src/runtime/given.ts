import type { Extent, Plan, PlanTensor } from '../ir/plan/plan.js';
import { kindOf } from './extents.js';
import { userName } from './names.js';
import { RuntimeError } from './runtime.js';
import { axisNames, expectRecord, expectTensor, member, type Tensor } from './tensors.js';

export type Tensors = Readonly<Record<string, Tensor<string> | undefined>>;

/** Reads the tensors of a call by the names of the plan; types say what they are, JavaScript and casts give anything. */
export interface GivenTensors {
  inputs(given: unknown, step: boolean): Tensors;
  states(given: unknown): Tensors;
  cotangents(given: unknown): Tensors;
}

/** A tensor that users give, with all that is looked at in every call. */
interface Known {
  readonly name: string;
  readonly user: string;
  readonly whose: string;
  /** `B T H K`, and without the tokens in a step. */
  readonly axes: string;
  readonly stepAxes: string;
}

export function givenTensors(plan: Plan): GivenTensors {
  const known = (roles: readonly PlanTensor['role'][], states: boolean): readonly Known[] => plan.tensors.flatMap((tensor): Known[] => {
    const user = userName(tensor);
    if (!roles.includes(tensor.role) || user.state !== states) return [];
    return [{
      name: tensor.name, user: user.name, whose: `${plan.scan}: ${tensor.name}`, axes: axesOf(plan, tensor, false),
      stepAxes: axesOf(plan, tensor, true),
    }];
  });
  const read = (list: readonly Known[], given: unknown, step = false): Record<string, Tensor<string>> => {
    const found: Record<string, Tensor<string>> = {};
    for (const { name, user, whose, axes, stepAxes } of list) {
      const item = member(given, user);
      if (item === undefined) continue;
      expectTensor(item, whose);
      checkAxes(whose, item.axes, step ? stepAxes : axes);
      found[name] = item;
    }
    return found;
  };
  const users = (list: readonly Known[]): readonly string[] => list.map(({ user }) => user);
  const [inputs, states] = [known(['input', 'param'], false), known(['initial'], true)];
  const [ofOutputs, ofStates] = [known(['cotangent'], false), known(['cotangent'], true)];
  return {
    inputs: (given, step) => read(inputs, expectRecord(given, `${plan.scan}: the inputs`, users(inputs)), step),
    states: (given) => read(states, expectRecord(given, `${plan.scan}: the state`, users(states))),
    cotangents(given) {
      const grads = expectRecord(given, `${plan.scan}: the cotangents`, users(ofOutputs));
      const state = expectRecord(member(grads, 'state') ?? {}, `${plan.scan}: the cotangents of the state`, users(ofStates));
      return Object.assign(read(ofOutputs, grads), read(ofStates, state));
    },
  };
}

/** Types say the same when a program is compiled. A tensor with its heads first has as many extents as one with its tokens first. */
function checkAxes(whose: string, axes: string, expected: string): void {
  if (axes === expected || axisNames(axes).join(' ') === expected) return;
  throw new RuntimeError(`${whose} has the axes '${axes}', expected '${expected}'`, 'axes stand in memory order: transpose the values');
}

function axesOf(plan: Plan, { shape, axes }: PlanTensor, step: boolean): string {
  return [...shape.slice(0, shape.length - axes.length).flatMap((extent) => leadLetters(plan, extent, step)), ...axes].join(' ');
}

function leadLetters(plan: Plan, extent: Extent, step: boolean): readonly string[] {
  switch (kindOf(plan, extent)) {
    case 'row': return step ? ['B'] : ['B', 'T'];
    case 'run': return ['N'];
    case 'head': return ['H'];
    case 'group': return ['G'];
    case 'chunk': case 'segment': case undefined: return [];
  }
}
