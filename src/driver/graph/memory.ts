import { mostRead } from '../../passes/graph/counts.js';
import type { Axis } from '../../ir/graph/types.js';
import type { Graph, GraphNode, ScanPart } from '../../ir/graph/graph.js';
import { signatureOf } from '../../ir/graph/signature.js';
import { without } from '../../ir/graph/typing.js';
import type { Host } from '../host.js';
import { problem, type Problem } from '../problem.js';
import { elementsOf } from './shape.js';

/** How much there is of what a value has copies of. `pairs`: a token and one of its past, itself included. */
export interface Room {
  readonly sequences: number;
  readonly tokens: number;
  readonly pairs: number;
}

export const NO_ROOM: Room = { sequences: 0, tokens: 0, pairs: 0 };

/** Of packed sequences, or of `batch` that have as many tokens each. */
export function roomOf(batch: number, length: number, lengths?: readonly number[]): Room {
  if (lengths === undefined) return { sequences: batch, tokens: batch * length, pairs: batch * length * (length + 1) / 2 };
  return lengths.reduce(({ sequences, tokens, pairs }, n) => (
    { sequences: sequences + 1, tokens: tokens + n, pairs: pairs + n * (n + 1) / 2 }
  ), NO_ROOM);
}

/** E509: the interpreter holds params, their gradients and what becomes of them, and every value of a call, in float64. */
export function memoryProblem(host: Host, graph: Graph, room: Room): Problem | undefined {
  const weights = signatureOf(graph).params.reduce((sum, tensor) => sum + elementsOf(tensor), 0);
  const params = 3 * 8 * weights;
  const needed = params + 8 * valuesOf(graph, room, new Map());
  if (needed <= host.memory) return undefined;
  const gib = (n: number) => `${(n / 2 ** 30).toFixed(1)} GiB`;
  const [what, help] = params > host.memory
    ? [`has ${weights.toLocaleString('en-US')} params`, 'run it at smaller sizes: --size D=64,W=256; the structure stays']
    : [`has many values at ${room.tokens.toLocaleString('en-US')} tokens`, 'run it on fewer tokens, --size B=1,T=64, or at smaller sizes'];
  return problem(
    'E509', `\`${graph.name}\` ${what}: the interpreter would need ${gib(needed)}, this machine has ${gib(host.memory)}`, help,
  );
}

/** Numbers of the values of a part and those below it. */
function valuesOf(graph: Graph, room: Room, known: Map<Graph, number>): number {
  const before = known.get(graph);
  if (before !== undefined) return before;
  const sum = graph.nodes.reduce((n, node) => n + valuesOfNode(graph, node, room, known), 0);
  known.set(graph, sum);
  return sum;
}

function valuesOfNode(graph: Graph, node: GraphNode, room: Room, known: Map<Graph, number>): number {
  switch (node.kind) {
    // These are others' values once more.
    case 'literal': case 'input': case 'param': case 'count': case 'result': case 'stop': case 'f32': case 'number': return 0;
    case 'call': {
      const { part, family } = graph.instances[node.instance];
      const members = family.length === 0 ? 1 : mostRead(graph, node.instance);
      const lanes = members * elements(without(node.mapped, family));
      return lanes * (part.kind === 'scan' ? statesOf(part) * room.tokens : valuesOf(part, room, known));
    }
    default: return elements(node.type.axes.filter((axis) => !axis.past)) * copies(node, room);
  }
}

function copies({ type }: GraphNode, { sequences, tokens, pairs }: Room): number {
  const past = type.axes.filter((axis) => axis.past);
  if (past.length > 0) return past.reduce((n, axis) => n * Math.min(axis.size, pairs / Math.max(1, tokens)), tokens);
  return type.level === 'token' ? tokens : type.level === 'sequence' ? sequences : 1;
}

function elements(axes: readonly Axis[]): number {
  return axes.reduce((n, { size }) => n * size, 1);
}

/** Numbers of the states of one head at one token. */
function statesOf({ spec, sizes }: ScanPart): number {
  return spec.states.reduce((sum, { axes }) => sum + axes.reduce((n, axis) => n * (sizes.get(axis) ?? 1), 1), 0);
}
