import { ONCE, type FlowValue } from '../../ir/flow/flow.js';
import { gradSpec } from '../spec-gradient.js';
import type { SpecCall } from '../spec-machine.js';
import { runSpec } from '../spec.js';
import { elementMap, sizeOf } from '../graph/value.js';
import { spread, type Run } from './run.js';

type ScanValue = Extract<FlowValue, { kind: 'scan' | 'unscan' }>;

/** A scan or its gradient, by the meaning of its Spec. Slots of each index are sequences of their own. */
export function scanned(run: Run, value: ScanValue): Float64Array {
  const { flow, tokens } = run;
  const { part, args, outputs } = flow.scans[value.scan];
  const { spec, sizes } = part;
  const heads = sizeOf(value.heads);
  const rows = run.rowsOf(value.domain);
  const groups = sizeOf(rows.groups);
  const lengths = new Array<number>(groups * tokens.sequences).fill(0);
  for (let row = 0; row < rows.count; row++) {
    const [group, token] = rows.groups.length > 0 ? [rows.group[row], rows.token[row]] : [0, row];
    lengths[group * tokens.sequences + tokens.sequence[token]]++;
  }
  const call: SpecCall = { sizes, heads, groups: heads, lengths, within: { first: 0, heads } };
  const tensors = new Map<string, Float64Array>();
  [...spec.inputs, ...spec.params].forEach(({ name }, i) => {
    const domain = i < spec.inputs.length ? value.domain : ONCE;
    tensors.set(name, spread(run, value.args[i], domain, [...value.heads, ...args[i]]));
  });
  const output = spec.outputs[value.output].name;
  if (value.kind === 'scan') return ordered(found(runSpec(spec, call, tensors), output), value, [...value.heads, ...outputs[value.output]]);
  const cotangent = spread(run, value.cotangent, value.domain, [...value.heads, ...outputs[value.output]]);
  const zeros = spec.outputs.map(({ name }, i) => [`d_${name}`, name === output ? cotangent
    : new Float64Array(rows.count * heads * sizeOf(outputs[i]))] as const);
  const slopes = gradSpec(spec, call, tensors, new Map(zeros));
  return ordered(found(slopes, `d_${[...spec.inputs, ...spec.params][value.of].name}`), value, [...value.heads, ...args[value.of]]);
}

function found(tensors: ReadonlyMap<string, Float64Array>, name: string): Float64Array {
  const data = tensors.get(name);
  if (data === undefined) throw new Error(`the scan gives no ${name}`);
  return data;
}

function ordered(data: Float64Array, { type }: ScanValue, axes: ScanValue['axes']): Float64Array {
  const cells = elementMap(type.axes, axes);
  return data.map((_, i) => data[Math.floor(i / cells.length) * cells.length + cells[i % cells.length]]);
}
