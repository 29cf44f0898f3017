import type { Step } from '../instructions/instruction.js';

/**
 * What is said for every register, one statement after the other, as one loop that says all of it for a register: fewer are in use then.
 */
export function elementByElement(steps: readonly Step[]): readonly Step[] {
  const made: Step[] = [];
  let group: Step[] = [];
  const close = () => {
    const loops = group.filter((step) => step.kind === 'each');
    if (loops.length < 2) made.push(...group);
    else {
      for (const step of loops) if (step.makes !== undefined) made.push({ kind: 'registers', ...step.makes });
      made.push(...group.filter((step) => step.kind === 'registers'));
      made.push({ kind: 'open', head: `UNROLL for (int i = 0; i < ${loops[0].count}; ++i)` });
      for (const step of group) if (step.kind === 'each' || step.kind === 'note') made.push({ kind: 'note', text: step.text });
      made.push({ kind: 'close' });
    }
    group = [];
  };
  for (const step of steps) {
    const count = group.find((one) => one.kind === 'each')?.count;
    const joins = ['note', 'registers', 'each'].includes(step.kind);
    if (!joins || (step.kind === 'each' && step.count !== (count ?? step.count))) close();
    (joins ? group : made).push(step);
  }
  close();
  return made;
}
