import type { ChildProcess } from 'node:child_process';
import { rmSync } from 'node:fs';

/** Files and folders that are being filled: removed when the process is interrupted. */
export const unfinished = new Set<string>();
/** Programs that run: a signal to this process alone must end them too, before their folders go. */
export const children = new Set<ChildProcess>();
let interruptible = false;

export function catchInterrupts(): void {
  if (interruptible) return;
  interruptible = true;
  for (const [signal, code] of [['SIGINT', 130], ['SIGTERM', 143]] as const) {
    process.once(signal, () => {
      for (const child of children) child.kill('SIGKILL');
      for (const path of unfinished) rmSync(path, { recursive: true, force: true });
      process.stderr.write(`${process.stderr.isTTY ? '\r\u001b[2K' : ''}lmoec: interrupted; nothing half-written is left\n`);
      process.exit(code);
    });
  }
}
