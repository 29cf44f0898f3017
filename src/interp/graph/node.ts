import { below } from '../../ir/graph/paths.js';
import type { GraphNode } from '../../ir/graph/graph.js';
import type { Silent } from '../../ir/graph/types.js';
import { callOutputs } from './call.js';
import { compareValues, liftValue, logicValue, maskValue, restrictValue, sinkhornValue, topValue } from './choice.js';
import type { Context } from './context.js';
import { dropoutValue, drawValue, indexValue, pickValue, ropeValue, uniformValue } from './element.js';
import { GraphFault } from './fault.js';
import { countsOf, foldValue, groupsOf, softmaxValue } from './fold.js';
import { mapValues } from './map.js';
import { keyOf, type NoiseKey } from '../../support/noise.js';
import { contractValues } from './product.js';
import type { Scope } from './scope.js';
import { beforeValue, convValue, pastValue, type Shifted } from './shift.js';
import { alias, makeValue, sizeOf, sliceOf, type Value } from './value.js';

/** The value of a node; those that it reads are computed before. */
export function computeNode(scope: Scope, id: number): Value {
  const { graph, run, tokens } = scope;
  const node = graph.nodes[id];
  const context: Context = { tokens, tape: run.tape };
  const at = (of: number): Value => run.valueOf(scope, of);
  const kept = run.before?.kept.get(keptAt(scope, id));
  if (run.program === 'step') refuseOthers(node);
  switch (node.kind) {
    case 'literal': return makeValue(tokens.one, node.type.axes, new Float64Array(sizeOf(node.type.axes)).fill(node.value));
    case 'input': {
      const value = scope.inputs[node.input];
      if (value === undefined) throw new Error(`input ${graph.inputs[node.input].name} is missing`);
      return value;
    }
    case 'param': return paramValue(scope, node.param);
    case 'count': return countValue(scope, node.of);
    case 'index': return indexValue(context, node.axes, node.over);
    case 'map': return mapValues(context, node.fn, node.args.map(at));
    case 'contract': return contractValues(context, at(node.left), at(node.right), node.axes);
    case 'fold': {
      const arg = at(node.arg);
      if (node.op === 'mean' && node.silent.some((name) => name !== 'ranks' && name !== 'calls')) {
        const counts = countsOf(groupsOf(context, arg, node.axes, node.silent));
        run.means.push({ path: scope.path, node: id, origin: node.origin, counts });
      }
      return foldValue(context, node.op, arg, node.axes, node.silent);
    }
    case 'softmax': return softmaxValue(context, at(node.arg), node.axes, node.sink === undefined ? undefined : at(node.sink));
    case 'top': return topValue(context, at(node.arg), node.axes, node.silent, at(node.count), node.origin);
    case 'compare': return compareValues(context, node.op, at(node.left), at(node.right));
    case 'logic': return logicValue(context, node.op, node.args.map(at));
    case 'mask': return maskValue(context, at(node.choice));
    case 'restrict': return restrictValue(context, at(node.arg), at(node.choice));
    case 'lift': return liftValue(context, at(node.arg));
    case 'pick': return pickValue(context, at(node.arg), node.axis, at(node.index), node.origin);
    case 'number': case 'f32': return at(node.arg);
    case 'stop': return alias(at(node.arg), { varies: false, root: undefined });
    case 'before': return shifted(scope, id, beforeValue(context, at(node.arg), kept));
    case 'conv': return shifted(scope, id, convValue(context, at(node.arg), at(node.weight), node.taps, kept));
    case 'past': return shifted(scope, id, pastValue(context, at(node.arg), node.axis, kept));
    case 'rope': return ropeValue(context, at(node.arg), node.axis, at(node.frequency), node.turn, node.pairs);
    case 'sinkhorn': return sinkhornValue(context, at(node.arg), node.axis, node.tolerance, node.origin);
    case 'normal': return drawValue(context, 'normal', drawKey(scope, node.draw), node.type.axes);
    case 'uniform': return uniformValue(context, drawKey(scope, node.draw), node.type.axes, node.lo, node.hi);
    case 'dropout': return dropoutValue(context, at(node.arg), drawKey(scope, node.draw), node.type.axes, node.rate);
    case 'call': {
      scope.calls.set(id, callOutputs(scope, id, node));
      return makeValue(tokens.one, [], Float64Array.of(0));
    }
    case 'result': {
      at(node.call);
      const outputs = scope.calls.get(node.call);
      if (outputs === undefined) throw new Error(`node ${node.call} is no call`);
      return outputs(node.output);
    }
  }
}

/** A step knows one token of each sequence: what depends on others than those of its past has no value. */
function refuseOthers(node: GraphNode): void {
  const tokens = (silent: readonly Silent[]): boolean => silent.some((name) => name === 'tokens' || name === 'time' || name === 'batch');
  const others = (node.kind === 'fold' || node.kind === 'top') && tokens(node.silent);
  const counts = (node.kind === 'count' && tokens([node.of])) || (node.kind === 'index' && node.over === 'tokens');
  if (others || counts || node.kind === 'sinkhorn') {
    throw new GraphFault('other tokens', 'a value that depends on other tokens than those of the past has none in `step`', node.origin);
  }
}

function shifted(scope: Scope, id: number, { value, kept }: Shifted): Value {
  scope.run.after.kept.set(keptAt(scope, id), kept);
  return value;
}

function keptAt({ place }: Scope, id: number): string {
  return `${place}#${id}`;
}

function drawKey({ run, path }: Scope, draw: number): NoiseKey {
  return keyOf(run.seed, path, run.step, draw);
}

function paramValue({ graph, path, run, lane, tokens }: Scope, index: number): Value {
  const { name, axes, buffer } = graph.params[index];
  const size = sizeOf(axes);
  const whole = run.param(below(path, name), size * lane.count);
  const value = sliceOf(tokens.one, axes, whole, lane.index * size, size);
  return buffer ? { ...value, varies: false } : value;
}

function countValue({ tokens }: Scope, of: Silent): Value {
  switch (of) {
    case 'tokens': return makeValue(tokens.one, [], Float64Array.of(tokens.rows));
    case 'batch': return makeValue(tokens.one, [], Float64Array.of(tokens.sequences));
    case 'time': {
      const lengths = Float64Array.from({ length: tokens.sequences }, (_, n) => tokens.seen[n] + tokens.starts[n + 1] - tokens.starts[n]);
      return makeValue(tokens.bySequence, [], lengths);
    }
    case 'ranks': case 'calls': return makeValue(tokens.one, [], Float64Array.of(1));
  }
}
