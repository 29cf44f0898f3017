import { spawn } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ROOT } from '../cli/lmoec.js';
import { NO_EXAMPLES } from '../examples.js';
import { emptyFolder, packageIn } from './package.js';
import { NO_TORCH, PYTHON } from './python.js';

const SMALL = ['--batch', '2', '--tokens', '64', '--width', '32', '--layers', '3', '--heads', '2', '--size', '16', '--lr', '1e-2'];
const reason = NO_TORCH ?? (NO_EXAMPLES ? 'there are no examples' : undefined);

describe.skipIf(reason !== undefined)(`examples/torch/train.py on two ranks${reason === undefined ? '' : `: ${reason}`}`, () => {
  const folder = emptyFolder();
  let path = '';
  beforeAll(async () => {
    // A text of its own, which no edit of the project changes.
    mkdirSync(join(folder.path, 'text'));
    writeFileSync(join(folder.path, 'text/words.md'), 'The state of a scan is all that it remembers of what was there.\n'.repeat(100));
    // A rank whose interpreter is taken down says so: threads of gloo that let a tensor go meanwhile would abort it, rarely.
    const site = ['import atexit, os', 'if "RANK" in os.environ: atexit.register(print, "taken down")', ''].join('\n');
    writeFileSync(join(folder.path, 'sitecustomize.py'), site);
    path = await packageIn(
      folder.path, 'gated_delta', readFileSync(join(ROOT, 'examples/gated_delta.lmoe'), 'utf8'), new Map([['K', 16], ['V', 16]]),
    );
  });
  afterAll(() => folder.remove());

  /** Starts ranks; they have a port of their own choice. */
  function start(args: readonly string[], ranks = 2) {
    const run = [
      '-m', 'torch.distributed.run', '--standalone', '--nproc-per-node', String(ranks), join(ROOT, 'examples/torch/train.py'),
      ...SMALL, '--text', join(folder.path, 'text'), ...args
    ];
    const child = spawn(
      PYTHON ?? 'python3', run,
      { cwd: folder.path, env: { ...process.env, OMP_NUM_THREADS: '1', PYTHONPATH: `${path}:${folder.path}`, CUDA_VISIBLE_DEVICES: '' } },
    );
    let text = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (part: Buffer) => { text += part.toString(); });
    return {
      child, ended: new Promise<{ code: number | null; text: string }>((resolve) => child.on('close', (code) => resolve({ code, text }))),
    };
  }

  /** The losses of a whole run, by step. */
  async function losses(args: readonly string[], ranks = 2): Promise<ReadonlyMap<number, number>> {
    const { code, text } = await start(args, ranks).ended;
    if (code !== 0) throw new Error(text.slice(-8000));
    expect(text).not.toContain('taken down');
    return new Map([...text.matchAll(/^step (\d+) loss (\S+)$/gm)].map(([, step, loss]) => [Number(step), Number(loss)]));
  }

  it('learns, and goes on from a checkpoint as if nothing had been', async () => {
    const [whole, broken] = ['whole', 'broken'].map((name) => join(folder.path, name));
    const all = await losses(['--steps', '6', '--every', '3', '--checkpoints', whole]);
    expect([...all.keys()]).toEqual([1, 2, 3, 4, 5, 6]);
    expect(all.get(6)).toBeLessThan((all.get(1) ?? 0) - 1);
    mkdirSync(broken);
    cpSync(join(whole, 'step-3'), join(broken, 'step-3'), { recursive: true });
    const rest = await losses(['--steps', '6', '--every', '3', '--checkpoints', broken]);
    expect([...rest]).toEqual([...all].slice(3));
    // One rank that reads both shares goes on from what two have written.
    rmSync(join(broken, 'step-6'), { recursive: true });
    const alone = await losses(['--steps', '5', '--every', '9', '--shares', '2', '--checkpoints', broken], 1);
    expect([...alone.keys()]).toEqual([4, 5]);
    for (const [step, loss] of alone) expect(loss).toBeCloseTo(all.get(step) ?? 0, 4);
  });

  it('leaves whole checkpoints alone when a rank is killed while it writes one', async () => {
    const at = join(folder.path, 'killed');
    const run = start(['--steps', '100000', '--every', '1', '--checkpoints', at]);
    const left = (): readonly string[] => (existsSync(at) ? readdirSync(at) : []);
    // One is whole, and the next under way.
    while (!(left().some((name) => /^step-\d+$/.test(name)) && left().some((name) => name.endsWith('.part')))) {
      if (run.child.exitCode !== null) throw new Error((await run.ended).text);
      await new Promise((resolve) => { setTimeout(resolve, 1); });
    }
    const ranks = readdirSync('/proc').filter((pid) => /^\d+$/.test(pid) && parentOf(pid) === run.child.pid);
    expect(ranks).toHaveLength(2);
    process.kill(Number(ranks[1]), 'SIGKILL');
    expect((await run.ended).code).not.toBe(0);
    const last = Math.max(...left().flatMap((name) => /^step-(\d+)$/.exec(name)?.slice(1).map(Number) ?? []));
    const after = await losses(['--steps', String(last + 1), '--every', '1', '--checkpoints', at]);
    expect([...after.keys()]).toEqual([last + 1]);
    expect(left().filter((name) => name.endsWith('.part'))).toEqual([]);
    rmSync(at, { recursive: true });
  });
});

function parentOf(pid: string): number | undefined {
  try {
    return Number(readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ')[1]);
  } catch {
    return undefined;
  }
}
