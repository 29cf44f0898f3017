import { type Failed, type Problem, problemText } from '../driver/problem.js';
import { isProblem, type Source } from '../driver/session.js';
import type { Ui } from './ui.js';

/** Prints what went wrong with a scan of `source`. */
export function reportFailure(ui: Ui, source: Source, failed: Failed): void {
  ui.report(isProblem(failed) ? problemText(failed, ui.color) : source.renderThese(failed.diagnostics, ui.color));
}

/** Prints warnings and errors of a source; nothing if it has none. */
export function reportSource(ui: Ui, source: Source): void {
  const text = source.render(ui.color);
  if (text !== '') ui.report(text);
}

export function reportProblems(ui: Ui, problems: readonly Problem[]): void {
  for (const item of problems) ui.report(problemText(item, ui.color));
}
