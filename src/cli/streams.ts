import { EXIT } from './command.js';

let lost = false;

export function writeOut(text: string): void {
  process.stdout.write(text);
}

export function writeErr(text: string): void {
  process.stderr.write(text);
}

/**
 * Output that nobody takes: a closed pipe (`lmoec explain x | head`) is no error, and work goes on, for its exit status tells more. A full
 * disk is one. What cannot be said on standard error is not said.
 */
export function watchStreams(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (lost || error.code === 'EPIPE') return;
    lost = true;
    writeErr(`lmoec: standard output cannot be written: ${error.code === 'ENOSPC' ? 'the disk is full' : error.message}\n`);
    process.exitCode = EXIT.failed;
  });
  process.stderr.on('error', () => undefined);
}

/** The process ends with this status once its output is written, or as failed if that cannot be written. */
export function endWith(status: number): void {
  process.exitCode = lost && status === EXIT.ok ? EXIT.failed : status;
}
