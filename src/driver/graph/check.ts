import { distinct } from '../../diagnostics/diagnostic.js';
import type { Checked, CheckRequest, Declaration } from '../kind.js';
import { settingsFor, withUnsaid } from '../parts.js';

/** Levels that can be printed. */
export const LEVELS = ['graph', 'flow', 'clusters', 'tile'];
export const BUILD_LEVELS = ['tile', 'plan', 'kernel'];

/** A layer, mixture or model at the settings that it has of these, in training and outside. */
export async function checkGraph({ source, part }: Declaration, { given: all, levels }: CheckRequest): Promise<Checked> {
  const given = withUnsaid(part, settingsFor(part, all));
  const [training, other] = [true, false].map((mode) => source.parts.elaborate(part.name, given, mode));
  const diagnostics = distinct([...training.diagnostics, ...other.diagnostics]).filter((d) => !source.diagnostics.includes(d));
  return {
    found: diagnostics.length === 0 ? [] : [{ diagnostics }],
    text: training.graph === undefined || !LEVELS.some((level) => levels.includes(level)) ? ''
      : (await import('./levels.js')).levelsText(training.graph, levels),
  };
}
