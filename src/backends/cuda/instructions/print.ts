import type { Code } from '../code.js';
import type { Call, Registers, Step } from './instruction.js';

/** Who does it: so many threads, at a named barrier of their own. */
export interface Threads {
  readonly threads: number;
  readonly barrier: number | string;
  /** Which of them does what one does; the first unless said. */
  readonly one?: string;
}

/** Writes the steps of a team. */
export function printSteps(code: Code, steps: readonly Step[], team: Threads): void {
  for (const step of steps) printStep(code, step, team);
}

const registersText = ({ name, count, pairs }: Registers) => `${pairs ? 'u32' : 'float'} ${name}[${count}];`;
const callText = ({ fn, shape, args, when }: Call) => (
  `${when === undefined ? '' : `if (${when}) `}${fn}${shape.length === 0 ? '' : `<${shape.join(', ')}>`}(${args.join(', ')});`
);

function printStep(code: Code, step: Step, { threads, barrier, one = 't == 0' }: Threads): void {
  if ((step.kind === 'each' || step.kind === 'call') && step.makes !== undefined) code.line(registersText(step.makes));
  switch (step.kind) {
    case 'note': code.line(step.text); return;
    case 'registers': code.line(registersText(step)); return;
    case 'number': code.line(`${step.variable ? '' : 'const '}float ${step.name} = ${step.value};`); return;
    case 'sum': code.line(`float ${step.name} = 0.f; for (int j = 0; j < ${step.count}; ++j) ${step.name} += ${step.term};`); return;
    case 'each': code.line(`UNROLL for (int i = 0; i < ${step.count}; ++i) ${step.text}`); return;
    case 'own': case 'spread': {
      const loop = step.kind === 'spread' || step.count > threads;
      code.line(`${loop ? `for (int i = t; i < ${step.count}; i += ${threads})` : `if (const int i = t; i < ${step.count})`} ${step.text}`);
      return;
    }
    case 'turns': code.line(`UNROLL for (int k = 0; k < ${step.count}; ++k) { const int i = t + k * 128; ${step.text} }`); return;
    case 'one': code.line(`if (${one}${step.when === undefined ? '' : ` && ${step.when}`}) ${step.text}`); return;
    case 'call': code.line([...(step.declares ?? []), callText(step)].join(' ')); return;
    case 'copy': code.line(`${callText(step)}${step.group ? ' cp_commit();' : ''}`); return;
    case 'product':
      code.line(`mma_open(); ${callText({ fn: step.fn ?? 'mma', shape: step.shape, args: step.args })} mma_commit();`);
      return;
    case 'open': code.open(step.head); return;
    case 'close': code.close(); return;
    case 'barrier':
      code.line(step.fenced ? `team_sync(${barrier}${threads === 128 ? '' : `, ${threads}`});` : `bar_sync(${barrier}, ${threads});`);
      return;
    case 'copied': code.line(`cp_wait<${step.left}>();`); return;
    case 'multiplied': code.line(`mma_wait<${step.left}>();`); return;
    case 'arrived': code.line(`mma_ready<sizeof(${step.sum}) / 4>(${step.sum});`); return;
  }
  step satisfies never;
}
