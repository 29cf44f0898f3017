import type { Axis } from '../graph/types.js';
import {
  ONCE, type Along, type Domain, type DomainId, type Flow, type FlowResult, type FlowType, type FlowValue, type ValueId,
} from './flow.js';

/** One line per domain, tensor and value: `%7 = contract[D] %5 %6 : [F = 8] slot1`. */
export function printFlow(flow: Flow): string {
  const lines = [`flow ${flow.name}${flow.training ? ' training' : ''}`];
  const put = (text: string): number => lines.push(`  ${text}`);
  flow.domains.forEach((domain, id) => {
    if (domain.kind === 'slot' || domain.kind === 'pair') put(`domain ${nameOf(flow, id)} = ${domainText(domain)}`);
  });
  for (const { name, axes, domain, of } of flow.inputs) {
    put(`input ${name}: ${of === undefined ? shape(axes) : `one of ${of.name} `}${domain === ONCE ? '' : ` ${nameOf(flow, domain)}`}`);
  }
  for (const { path, axes, buffer } of flow.params) put(`${buffer ? 'buffer' : 'param'} ${path}: ${shape(axes)}`);
  for (const { path, part } of flow.scans) put(`scan ${path} = ${part.name}`);
  flow.values.forEach((value, id) => put(`%${id} = ${valueText(flow, value)} : ${typeText(flow, value.type)}`));
  const results = (what: string, list: readonly FlowResult[]): void => {
    for (const { name, value } of list) put(`${what} ${name} = %${value}`);
  };
  results('output', flow.outputs);
  results('loss', flow.losses);
  results('count', flow.counts);
  results('check', flow.checks);
  for (const { name, over, value } of flow.update.takes) put(`take ${name} = ${over} %${value}`);
  results('update', flow.update.results);
  const { backward } = flow;
  if (backward !== undefined) {
    put(`kept ${backward.kept.map(ref).join(' ')}`);
    results('gradient', backward.gradients);
  }
  return `${lines.join('\n')}\n`;
}

export function nameOf({ domains }: Flow, id: DomainId): string {
  const { kind } = domains[id];
  return kind === 'slot' || kind === 'pair' ? `${kind}${id - 2}` : kind;
}

function domainText(domain: Domain): string {
  switch (domain.kind) {
    case 'slot': {
      return `token x ${shape(domain.groups)} where ${ref(domain.choice)}, at most ${domain.perToken} a token`;
    }
    case 'pair': return `token x ${domain.window.name}`;
    case 'once': case 'sequence': case 'token': return domain.kind;
  }
}

export function valueText(flow: Flow, value: FlowValue): string {
  switch (value.kind) {
    case 'literal': return String(value.value);
    case 'input': return `input ${flow.inputs[value.input].name}`;
    case 'param': return `param ${flow.params[value.param].path}`;
    case 'count': return `count ${value.of}`;
    case 'index': return `index${names(value.axes, value.over)}`;
    case 'draw': {
      return `${value.law}${names(value.axes)} ${value.path === '' ? '' : `${value.path} `}#${value.number}${
        value.lanes.length > 0 ? ` of ${names(value.lanes)}` : ''}`;
    }
    case 'map': return `${value.fn} ${refs(value.args)}`;
    case 'contract': return `contract${group(flow, value.along, value)} ${ref(value.left)} ${ref(value.right)}`;
    case 'fold': return `${value.op}${group(flow, value.along, value)} ${ref(value.arg)}`;
    case 'softmax': return `softmax${group(flow, value.along, value)} ${ref(value.arg)}${
      value.sink === undefined ? '' : ` sink ${ref(value.sink)}`}`;
    case 'top': return `top${group(flow, value.along, value)} ${ref(value.count)} of ${ref(value.arg)}`;
    case 'first': return `first ${value.op}${group(flow, value.along, value)} ${ref(value.arg)}`;
    case 'others': return `others${group(flow, value.along, value)} ${ref(value.arg)}`;
    case 'gather': return `gather ${ref(value.arg)}${value.by === 'source' ? ' seen' : ''}`;
    case 'restrict': return `${ref(value.arg)}[${ref(value.choice)}]`;
    case 'compare': return `${ref(value.left)} ${value.op} ${ref(value.right)}`;
    case 'logic': return `${value.op} ${refs(value.args)}`;
    case 'mask': return `mask ${ref(value.choice)}`;
    case 'pick': return `${ref(value.arg)}[${value.axis.name} = ${ref(value.index)}]`;
    case 'place': return `place ${ref(value.arg)} at ${value.axis.name} = ${ref(value.index)}`;
    case 'lift': case 'stop': case 'f32': case 'rounded': return `${value.kind} ${ref(value.arg)}`;
    case 'taps': case 'untap': return `${value.kind}[${value.axis.name}] ${ref(value.arg)}`;
    case 'rope': return `rope[${value.axis.name}] ${ref(value.arg)} by ${value.back ? '-' : ''}${ref(value.frequency)} ${value.pairs}`;
    case 'scan': return `scan ${flow.scans[value.scan].path} ${refs(value.args)} .${value.output}`;
    case 'unscan': {
      const { scan, args, output, cotangent, of } = value;
      return `unscan ${flow.scans[scan].path} ${refs(args)} .${output} by ${ref(cotangent)} of ${of}`;
    }
    case 'sinkhorn': return `sinkhorn[tokens, ${value.axis.name}] ${ref(value.arg)} tol ${value.tolerance}`;
  }
}

/** `[D]`, `[token]`: rows that lie in one token; `[D, once E]`: one sum for each index of E. */
function group(flow: Flow, { axes, to, kept, by, ranks }: Along, value: FlowValue): string {
  const own = 'arg' in value ? flow.values[value.arg].type.domain
    : 'left' in value ? Math.max(flow.values[value.left].type.domain, flow.values[value.right].type.domain) : to;
  const rows = to === own
    ? []
    : [['to', nameOf(flow, to), ...kept.map(({ name }) => name), ...(by === 'source' ? ['seen'] : [])].join(' ')];
  return `[${[...axes.map(({ name }) => name), ...rows, ...(ranks ? ['ranks'] : [])].join(', ')}]`;
}

function typeText(flow: Flow, { kind, axes, domain, where }: FlowType): string {
  const there = where.length === 0 ? '' : ` where ${refs(where)}`;
  const box = axes.map(({ name, size }) => `${name} = ${size}`).join(', ');
  return `${kind === 'number' ? '' : `${kind} `}[${box}] ${nameOf(flow, domain)}${there}`;
}

function ref(id: ValueId): string {
  return `%${id}`;
}

function refs(ids: readonly ValueId[]): string {
  return ids.map(ref).join(' ');
}

function names(axes: readonly Axis[], over?: string): string {
  return `[${[...axes.map(({ name }) => name), ...(over === undefined ? [] : [over])].join(', ')}]`;
}

function shape(axes: readonly Axis[]): string {
  return names(axes);
}
