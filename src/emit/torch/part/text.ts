import { className, pythonName } from '../names.js';
import { lastName, type PartField } from './program.js';

/** `moe` as `Moe`; another name where it is the function's. */
export function partClass(module: string): string {
  const name = className(module);
  return name === module ? `${name}Module` : name;
}

export const shape = (lead: readonly string[], { axes }: PartField): string => `[${[...lead, ...axes.map(lastName)].join(', ')}]`;
export const leadOf = ({ token }: PartField): readonly string[] => (token ? ['B', 'T'] : []);
export const indent = (lines: readonly string[]): readonly string[] => lines.map((line) => (line === '' ? '' : `    ${line}`));

export const OPTIONS = ['training: bool = True', 'cu_seqlens: Tensor | None = None', 'seed: int | Tensor | None = None', 'step: int = 0'];
/** Of what chooses. */
export const CHECK = 'check: bool = False';

export function definition(name: string, given: readonly string[], returns: string): readonly string[] {
  const line = `def ${name}(${given.join(', ')}) -> ${returns}:`;
  return line.length <= 130 ? [line] : [`def ${name}(`, ...given.map((one) => `    ${one},`), `) -> ${returns}:`];
}

export function sizesText({ axes, sizes }: PartField): string {
  return axes.length === 0 ? '' : ` with ${axes.map((axis, i) => `${lastName(axis)} = ${sizes[i]}`).join(', ')}`;
}

/** A param of a module by its path. */
export function attribute(path: string): string {
  return path.split('.').reduce((at, step) => (
    /^[A-Za-z_]\w*$/.test(step) && pythonName(step) === step ? `${at}.${step}` : `getattr(${at}, "${step}")`
  ), 'self');
}
