import { restored, written } from '../graph/json.js';
import type { Flow } from './flow.js';

const FORMAT = 'lmoec-flow-1';

/** A Flow as JSON, for hosts without the compiler; places in the source are left out. */
export function flowJson(flow: Flow): string {
  return JSON.stringify({ format: FORMAT, flow: written(flow) });
}

/** What `flowJson` wrote. Throws where the text is something else. */
export function readFlow(text: string): Flow {
  const read: { readonly format?: string; readonly flow?: Flow } = JSON.parse(text, (_, value: unknown) => restored(value));
  if (read.format !== FORMAT || read.flow === undefined) throw new Error(`no flow of the format ${FORMAT}`);
  return read.flow;
}
