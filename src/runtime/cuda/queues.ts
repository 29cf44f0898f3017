import type { Launch } from '../../ir/plan/plan.js';
import type { EventHandle, NativeCuda, StreamHandle } from './addon.js';
import { expectOk } from './memory.js';

/** Runs launch i of a list by `go(i, stream)`, the first queue on `main`; `undefined` is the stream that everything else uses. */
export type InQueues = (main: StreamHandle | undefined, go: (index: number, stream: StreamHandle | undefined) => void) => void;

/** The second queue of a plan's programs: a stream that forks off the common one and joins it again. */
export function createQueues(native: NativeCuda): (launches: readonly Launch[]) => InQueues {
  let side: StreamHandle | undefined;
  const events: EventHandle[] = [];
  const event = (at: number): EventHandle => {
    while (events.length <= at) events.push(expectOk(native.createEvent(), 'making an event'));
    return events[at];
  };
  const record = (at: number, stream: StreamHandle | undefined): EventHandle => {
    expectOk(native.recordEvent(event(at), stream), 'recording an event');
    return event(at);
  };
  return (launches) => {
    if (launches.every(({ queue }) => queue === 0)) {
      return (main, go) => {
        for (let i = 0; i < launches.length; i++) go(i, main);
      };
    }
    const awaited = launches.map((_, i) => launches.some(({ waits }) => waits.includes(i)));
    return (main, go) => {
      side ??= expectOk(native.createStream(), 'making a stream');
      const streams = [main, side] as const;
      const fork = launches.length;
      expectOk(native.waitEvent(side, record(fork, main)), 'forking');
      launches.forEach(({ queue, waits }, i) => {
        for (const other of waits) expectOk(native.waitEvent(streams[queue], event(other)), 'waiting');
        go(i, streams[queue]);
        if (awaited[i]) record(i, streams[queue]);
      });
      expectOk(native.waitEvent(main, record(fork + 1, side)), 'joining');
    };
  };
}
