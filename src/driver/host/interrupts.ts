import type { ChildProcess } from 'node:child_process';
import { rmSync } from 'node:fs';

/** What an interrupt must not leave behind. While there is nothing, a signal ends the process at once, in the middle of any loop. */
class Held<T> extends Set<T> {
  override add(item: T): this {
    super.add(item);
    listen();
    return this;
  }

  override delete(item: T): boolean {
    const had = super.delete(item);
    listen();
    return had;
  }
}

/** Files and folders that are being filled: removed when the process is interrupted. */
export const unfinished: Set<string> = new Held<string>();
/** Programs that run: a signal to this process alone must end them too, before their folders go. */
export const children: Set<ChildProcess> = new Held<ChildProcess>();

const HANDLERS = ([['SIGINT', 130], ['SIGTERM', 143]] as const).map(([signal, code]) => [signal, () => {
  for (const child of children) child.kill('SIGKILL');
  for (const path of unfinished) rmSync(path, { recursive: true, force: true });
  process.stderr.write(`${process.stderr.isTTY ? '\r\u001b[2K' : ''}lmoec: interrupted; nothing half-written is left\n`);
  process.exit(code);
}] as const);
let listening = false;

function listen(): void {
  const wanted = unfinished.size + children.size > 0;
  if (wanted === listening) return;
  listening = wanted;
  for (const [signal, handler] of HANDLERS) {
    if (wanted) process.on(signal, handler);
    else process.removeListener(signal, handler);
  }
}
