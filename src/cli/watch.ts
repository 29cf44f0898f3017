import type { Host } from '../driver/host.js';
import type { Ui } from './ui.js';

/** What one round saw: the files whose change starts the next one. */
export interface Round {
  readonly status: number;
  readonly files: readonly string[];
}

/** Editors write a file in several steps; one round for all of them. */
const SETTLE_MS = 50;

/** Repeats `round` whenever one of its files changes, until the process is interrupted. */
export async function watching(host: Host, ui: Ui, round: () => Promise<Round>): Promise<never> {
  for (;;) {
    const { files } = await round();
    await nextChange(host, ui, files);
  }
}

function nextChange(host: Host, ui: Ui, files: readonly string[]): Promise<void> {
  return new Promise((done) => {
    let timer: NodeJS.Timeout | undefined;
    const stops: (() => void)[] = [];
    const changed = (): void => {
      clearTimeout(timer);
      timer = setTimeout(() => {
        for (const stop of stops) stop();
        done();
      }, SETTLE_MS);
    };
    for (const file of files) stops.push(host.watch(file, changed));
    ui.err(`watching ${files.length} file${files.length === 1 ? '' : 's'}; Ctrl-C ends`);
  });
}
