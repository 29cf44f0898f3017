import { readFileSync } from 'node:fs';
import { formatSource } from '../../driver/format.js';
import { nodeHost } from '../../driver/host.js';
import { problem, type Problem } from '../../driver/problem.js';
import { isProblem, sourceFiles } from '../../driver/session.js';
import { EXIT, guarded, parse, UsageError, type Command } from '../command.js';
import { reportProblems } from '../report.js';
import { terminalUi } from '../ui.js';

function standardInput(): string | Problem {
  try {
    return readFileSync(0, 'utf8');
  } catch (error) {
    return problem(
      'E702', `standard input cannot be read: ${error instanceof Error ? error.message : String(error)}`,
      'give it a file: `lmoec fmt - < FILE`',
    );
  }
}

/** Rewrites files in canonical form; with --check only says which are not. Files with errors stay as they are. */
export const fmt: Command = (args) => guarded(async () => {
  const { values, positionals } = parse(args, { check: { type: 'boolean' } });
  if (positionals.length === 0) throw new UsageError('fmt: name at least one file, or - for standard input');
  const ui = terminalUi();
  const host = nodeHost();
  let status: number = EXIT.ok;
  for (const file of positionals.includes('-') ? ['-'] : sourceFiles(host, positionals)) {
    const text = file === '-' ? standardInput() : undefined;
    const result = typeof text === 'object' ? text : formatSource(host, file === '-' ? '<stdin>' : file, text, ui.color);
    if (isProblem(result)) {
      reportProblems(ui, [result]);
      status = EXIT.failed;
    } else if (result.errors !== undefined) {
      ui.report(result.errors);
      status = EXIT.failed;
    } else if (file === '-') {
      ui.data(result.formatted);
    } else if (result.formatted !== result.text) {
      if (values.check === true) {
        ui.out(`${file} is not formatted`);
        status = EXIT.failed;
        continue;
      }
      const unwritten = host.write(file, result.formatted);
      if (unwritten !== undefined) {
        reportProblems(ui, [problem('E701', unwritten, 'check the path')]);
        status = EXIT.failed;
      } else ui.out(`formatted ${file}`);
    }
  }
  return status;
});
