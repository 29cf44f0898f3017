#!/usr/bin/env node
import { readFileSync } from 'node:fs';
import { visible, visibleLine } from '../support/text.js';
import { COMMANDS, type CommandName } from './catalogue.js';
import { didYouMean, EXIT, type Command } from './command.js';
import { endWith, watchStreams, writeErr, writeOut } from './streams.js';

/** Each command is loaded when it is asked for: `--help` must not wait for a parser. */
async function load(name: CommandName): Promise<Command> {
  switch (name) {
    case 'check': return (await import('./commands/check.js')).check;
    case 'build': return (await import('./commands/build.js')).build;
    case 'explain': return (await import('./commands/explain.js')).explain;
    case 'run': return (await import('./commands/run.js')).run;
    case 'import': return (await import('./commands/convert.js')).importing;
    case 'export': return (await import('./commands/convert.js')).exporting;
    case 'fmt': return (await import('./commands/fmt.js')).fmt;
    case 'doctor': return (await import('./commands/doctor.js')).doctor;
  }
}

function version(): string {
  // dist/src/cli -> the package
  const text = readFileSync(new URL('../../../package.json', import.meta.url), 'utf8');
  return /"version": *"([^"]*)"/.exec(text)?.[1] ?? 'unknown';
}

function help(): string {
  const width = Math.max(...COMMANDS.map((command) => command.usage.length));
  return [
    'lmoec: linear recurrences in, fused chunked-scan kernels out',
    '',
    'usage: lmoec COMMAND [options]',
    '',
    ...COMMANDS.map((command) => `  ${command.usage.padEnd(width)}  ${command.summary}`),
    '',
    '  lmoec COMMAND --help   shows the options of a command',
    '  lmoec --version',
    '',
    'exit status: 0 = done, 1 = an error in the input or a failed check, 2 = a wrong command line',
    '',
  ].join('\n');
}

async function main(argv: readonly string[]): Promise<number> {
  const [first, ...rest] = argv;
  if (first === undefined || first === '--help' || first === '-h' || first === 'help') {
    writeOut(help());
    return first === undefined ? EXIT.usage : EXIT.ok;
  }
  if (first === '--version' || first === '-V') {
    writeOut(`lmoec ${version()}\n`);
    return EXIT.ok;
  }
  const found = COMMANDS.find((command) => command.name === first);
  if (found === undefined) {
    const names = COMMANDS.map((command) => command.name);
    const meant = await didYouMean({ written: first, among: names, prefix: '' });
    writeErr(`lmoec: no command \`${visibleLine(first)}\`; there are ${names.join(', ')}${meant}\n`);
    return EXIT.usage;
  }
  if (rest.includes('--help') || rest.includes('-h')) {
    writeOut(`usage: lmoec ${found.usage}\n\n${found.summary}\n\n${found.options.join('\n')}\n`);
    return EXIT.ok;
  }
  const command = await load(found.name);
  return command(rest);
}

watchStreams();
main(process.argv.slice(2)).then(endWith, (error: unknown) => {
  const text = error instanceof Error ? error.stack ?? error.message : String(error);
  writeErr(`lmoec: internal error, please report it with the input that shows it\n${visible(text)}\n`);
  endWith(70);
});
