import { RuntimeError } from '../runtime.js';

/** Calls whose errors nobody has waited for yet: so many at most, or memory of the host would grow in a loop that never waits. */
const AHEAD = 16;

/** What the device finds wrong with calls: it says so only when the program lets it, which costs as much as a step. */
export interface Checks {
  /**
   * Runs `work`. Where that made something `anew` on the device, what is wrong with it is thrown here; else it may be thrown by one of the
   * next calls, or by `settle`.
   */
  run<T>(doing: string, work: () => { readonly made: T; readonly anew: boolean }): Promise<T>;
  /** Throws what was wrong with a call before. */
  settle(): Promise<void>;
}

export function createChecks(device: GPUDevice): Checks {
  const waiting: Promise<RuntimeError | undefined>[] = [];
  const settle = async (): Promise<void> => {
    const wrong = (await Promise.all(waiting.splice(0))).find((error) => error !== undefined);
    if (wrong !== undefined) throw wrong;
  };
  const watched = <T>(doing: string, work: () => T): T => {
    watch(device);
    try {
      return work();
    } finally {
      // Taken off before anything else runs, so that scopes of calls side by side do not mix.
      const wrong = watchedFor(device, doing);
      // It fails where the device is lost; maybe nobody asks.
      wrong.catch(() => undefined);
      waiting.push(wrong);
    }
  };
  return {
    async run(doing, work) {
      const { made, anew } = watched(doing, work);
      if (anew || waiting.length >= AHEAD) await settle();
      return made;
    },
    settle,
  };
}

/** Runs `work`; what the device finds wrong with it becomes a RuntimeError. */
export async function checked<T>(device: GPUDevice, doing: string, work: () => Promise<T>): Promise<T> {
  watch(device);
  const working = work();
  working.catch(() => undefined);
  const wrong = await watchedFor(device, doing);
  if (wrong !== undefined) throw wrong;
  return working;
}

function watch(device: GPUDevice): void {
  device.pushErrorScope('out-of-memory');
  device.pushErrorScope('validation');
}

/** What was wrong since `watch`. */
async function watchedFor(device: GPUDevice, doing: string): Promise<RuntimeError | undefined> {
  const [validation, memory] = await Promise.all([device.popErrorScope(), device.popErrorScope()]);
  if (memory !== null) return new RuntimeError(
    `${doing}: ${memory.message}`, 'release tensors that are no longer needed, or make the batch smaller',
  );
  return validation === null ? undefined : new RuntimeError(
    `${doing}: ${validation.message.trim()}`, 'build for this adapter; if that does not help, this is an error in lmoec: please report it',
  );
}
