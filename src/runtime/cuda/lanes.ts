import type { Launch } from '../../ir/plan/plan.js';
import type { EventHandle, NativeCuda, StreamHandle } from './addon.js';
import { expectOk } from './memory.js';

export interface Lanes {
  /** Runs launch i of the list by `go(i, stream)`; `undefined` is the stream that everything else uses. */
  run(launches: readonly Launch[], go: (index: number, stream: StreamHandle | undefined) => void): void;
}

/** The second lane of a plan's programs: a stream that forks off the common one and joins it again. */
export function createLanes(native: NativeCuda): Lanes {
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
  return {
    run(launches, go) {
      if (launches.every(({ lane }) => lane === 0)) {
        launches.forEach((_, i) => go(i, undefined));
        return;
      }
      side ??= expectOk(native.createStream(), 'making a stream');
      const streams = [undefined, side] as const;
      const fork = launches.length;
      expectOk(native.waitEvent(side, record(fork, undefined)), 'forking');
      launches.forEach(({ lane, waits }, i) => {
        for (const other of waits) expectOk(native.waitEvent(streams[lane], event(other)), 'waiting');
        go(i, streams[lane]);
        if (launches.some((later) => later.waits.includes(i))) record(i, streams[lane]);
      });
      expectOk(native.waitEvent(undefined, record(fork + 1, side)), 'joining');
    },
  };
}
