import type { Step } from '../instructions/instruction.js';

/** What is said for every register, one statement after the other, as one loop that says all of it for a register: fewer are in use then. */
export function elementByElement(steps: readonly Step[]): readonly Step[] {
  const made: Step[] = [];
  let group: Step[] = [];
  const close = () => {
    const loops = group.filter((step) => step.kind === 'each');
    if (loops.length < 2) made.push(...group);
    else {
      for (const step of loops) if (step.makes !== undefined) made.push({ kind: 'registers', ...step.makes });
      made.push(
        ...group.filter((step) => step.kind === 'registers'), { kind: 'open', head: `UNROLL for (int i = 0; i < ${loops[0].count}; ++i)` },
        ...group.flatMap((step): Step[] => (step.kind === 'each' ? [{ kind: 'note', text: step.text }] : step.kind === 'note' ? [step] : [])),
        { kind: 'close' },
      );
    }
    group = [];
  };
  for (const step of steps) {
    const count = group.find((one) => one.kind === 'each')?.count;
    if (!['note', 'registers', 'each'].includes(step.kind) || (step.kind === 'each' && count !== undefined && step.count !== count)) close();
    if (['note', 'registers', 'each'].includes(step.kind)) group.push(step);
    else made.push(step);
  }
  close();
  return made;
}
