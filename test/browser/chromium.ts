import { spawn } from 'node:child_process';
import { accessSync, constants, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { Readable, Writable } from 'node:stream';
import { BROWSERS } from '../../scripts/setup.mjs';

/** A page in a browser. */
export interface Page {
  /** The JSON value of an expression, awaited. */
  evaluate(expression: string): Promise<unknown>;
  /** What the browser's console shows in red: uncaught errors, files that are not there. */
  readonly complaints: readonly string[];
}

export interface Browser {
  /** Resolves when the page is read, but not what its scripts wait for. */
  open(url: string): Promise<Page>;
  close(): Promise<void>;
}

const FLAGS = [
  '--headless=new', '--remote-debugging-pipe', '--no-first-run', '--disable-background-networking', '--disable-component-update',
  // Containers have neither what the sandbox needs nor much shared memory; the only pages are ours.
  '--no-sandbox', '--disable-dev-shm-usage',
  // The same everywhere. Clearing workgroup memory takes this driver seconds per kernel: src/runtime/webgpu/adapter.ts has the same toggle.
  '--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader', '--enable-dawn-features=disable_workgroup_init',
];

function findChromium(): string | undefined {
  const folders = (process.env.PATH ?? '').split(delimiter);
  return BROWSERS.flatMap((name) => folders.map((folder) => join(folder, name))).find((path) => {
    try {
      accessSync(path, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** A message of the DevTools protocol (https://chromedevtools.github.io/devtools-protocol/), as far as it is read here. */
interface Message {
  readonly id?: number;
  readonly sessionId?: string;
  readonly method?: string;
  readonly error?: { readonly message: string };
  readonly result?: {
    readonly targetId?: string; readonly sessionId?: string;
    readonly result?: { readonly value?: unknown }; readonly exceptionDetails?: Thrown;
  };
  readonly params?: {
    readonly exceptionDetails?: Thrown;
    readonly entry?: { readonly level: string; readonly text: string; readonly url?: string };
  };
}
interface Thrown {
  readonly text: string;
  readonly exception?: { readonly description?: string };
}

/** Resolves when the page has its body and its import map. */
const PARSED = 'document.readyState === "loading" && '
  + 'new Promise((done) => { document.addEventListener("DOMContentLoaded", done); }).then(() => true)';

const told = ({ text, exception }: Thrown): string => exception?.description ?? text;

/** Starts a headless Chromium with flags besides those that every test needs, or says why it cannot. */
export async function openChromium(flags: readonly string[]): Promise<Browser | { readonly why: string }> {
  const program = findChromium();
  if (program === undefined) return { why: `none of ${BROWSERS.join(', ')} is on the PATH` };
  const profile = mkdtempSync(join(tmpdir(), 'lmoec-chromium-'));
  const child = spawn(program, [...FLAGS, ...flags, `--user-data-dir=${profile}`], { stdio: ['ignore', 'ignore', 'pipe', 'pipe', 'pipe'] });
  const [, , , commands, answers] = child.stdio;
  if (!(commands instanceof Writable) || !(answers instanceof Readable) || child.stderr === null) throw new Error('spawn made no pipes');

  let said = '';
  child.stderr.on('data', (data) => { said += String(data); });
  const waiting = new Map<number, (message: Message) => void>();
  const exited = new Promise<void>((done) => { child.on('close', () => done()).on('error', () => done()); }).then(() => {
    for (const answer of waiting.values()) answer({ error: { message: `${program} ended: ${said.trim().split('\n').at(-1)}` } });
    rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
  });
  // Writing to a browser that has gone is told by its exit.
  commands.on('error', () => undefined);

  const complaints = new Map<string | undefined, string[]>();
  const hear = (message: Message): void => {
    if (message.id !== undefined) waiting.get(message.id)?.(message);
    const thrown = message.params?.exceptionDetails;
    const entry = message.params?.entry;
    if (message.method === 'Runtime.exceptionThrown' && thrown !== undefined) complaints.get(message.sessionId)?.push(told(thrown));
    if (message.method === 'Log.entryAdded' && entry?.level === 'error') {
      complaints.get(message.sessionId)?.push(`${entry.text} ${entry.url ?? ''}`);
    }
  };
  let heard = '';
  answers.setEncoding('utf8').on('data', (data) => {
    const parts = (heard + String(data)).split('\0');
    heard = parts.pop() ?? '';
    for (const text of parts) hear(JSON.parse(text));
  });

  let last = 0;
  const ask = async (method: string, params: object = {}, sessionId?: string): Promise<NonNullable<Message['result']>> => {
    const id = ++last;
    const { error, result } = await new Promise<Message>((done) => {
      waiting.set(id, done);
      commands.write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
    });
    waiting.delete(id);
    if (error !== undefined || result === undefined) throw new Error(`${method}: ${error?.message ?? 'no result'}`);
    return result;
  };

  try {
    await ask('Browser.getVersion');
  } catch (error) {
    return { why: String(error) };
  }
  return {
    async open(url) {
      const { targetId } = await ask('Target.createTarget', { url: 'about:blank' });
      const { sessionId } = await ask('Target.attachToTarget', { targetId, flatten: true });
      const ours: string[] = [];
      complaints.set(sessionId, ours);
      for (const domain of ['Runtime', 'Log']) await ask(`${domain}.enable`, {}, sessionId);
      await ask('Page.navigate', { url }, sessionId);
      const evaluate = async (expression: string) => {
        const { result, exceptionDetails } = await ask(
          'Runtime.evaluate', { expression, awaitPromise: true, returnByValue: true }, sessionId,
        );
        if (exceptionDetails !== undefined) throw new Error(told(exceptionDetails));
        return result?.value;
      };
      await evaluate(PARSED);
      return { complaints: ours, evaluate };
    },
    async close() {
      // It may be gone before it answers.
      await ask('Browser.close').catch(() => undefined);
      await exited;
    },
  };
}
