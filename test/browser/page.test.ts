import { spawn, spawnSync } from 'node:child_process';
import { appendFileSync, cpSync, existsSync, mkdirSync, readFileSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it, type TestContext } from 'vitest';
import { ensureBuilt, folderWith, lmoec, ROOT } from '../cli/lmoec.js';
import { openChromium, type Browser, type Page } from './chromium.js';

const PAGE = join(ROOT, 'examples/browser');
const FORMULA = join(ROOT, 'examples/gla.lmoe');
const GENERATED = join(ROOT, 'generated');
const TENSORS = ['o', 'S', 'd_q', 'd_k', 'd_v', 'd_g'];
// Any other name than localhost makes a page insecure.
const chromium = existsSync(PAGE) ? await openChromium(['--host-resolver-rules=MAP insecure.test localhost']) : { why: 'no examples' };

if ('why' in chromium) it.skip(`the example page: no Chromium: ${chromium.why}`, () => undefined);
else describePage(chromium);

/** Somebody else's copy of the page, laid out as in the repository, with kernels built by the command line. */
function describePage(browser: Browser): void {
  const project = folderWith({ 'package.json': '{"type":"module"}' });
  const at = (...names: string[]): string => join(project.path, ...names);
  let stopServer = (): void => undefined;
  let address = '';

  const build = (formula: string) => {
    expect(lmoec(['build', formula, '-o', at('generated'), '--target', 'webgpu'])).toMatchObject({ code: 0, err: '' });
    const compiled = spawnSync(
      process.execPath, [join(ROOT, 'node_modules/typescript/bin/tsc'), '-p', at('examples/browser')], { encoding: 'utf8' },
    );
    expect(compiled.stdout + compiled.stderr).toBe('');
  };
  beforeAll(async () => {
    ensureBuilt();
    mkdirSync(at('node_modules'));
    symlinkSync(ROOT, at('node_modules/lmoec'));
    symlinkSync(join(ROOT, 'dist'), at('dist'));
    symlinkSync(GENERATED, at('committed'));
    cpSync(PAGE, at('examples/browser'), { recursive: true, filter: (path) => !path.endsWith('.js') });
    build(FORMULA);
    const server = spawn(process.execPath, [at('examples/browser/serve.mjs'), '0'], { stdio: ['ignore', 'pipe', 'inherit'] });
    stopServer = () => void server.kill();
    address = await new Promise((said) => { server.stdout.once('data', (data) => said(String(data).trim())); });
  });
  afterAll(async () => {
    stopServer();
    await browser.close();
    project.remove();
  });

  async function open(context: TestContext): Promise<Page> {
    const page = await browser.open(address);
    const adapter = await page.evaluate('(async () => navigator.gpu !== undefined && (await navigator.gpu.requestAdapter()) !== null)()');
    if (adapter !== true) context.skip('this Chromium has no WebGPU adapter');
    return page;
  }

  describe('the example page in Chromium', () => {
    it('runs forward and backward, and agrees with a plain loop', async (context) => {
      const { state, text, complaints } = await settled(await open(context));
      expect(complaints).toEqual([]);
      expect(state, text).toBe('agrees');
      expect(text).toMatch(/^Device: \S+/m);
      for (const name of TENSORS) expect(text).toMatch(new RegExp(`^${name}\\s+\\d\\.\\de-`, 'm'));
      expect(text).toMatch(/^forward\s+\d+\.\d ms\s+\d+\.\d ms$/m);
      expect(text).toMatch(/^backward\s+\d+\.\d ms\s+\d+\.\d ms$/m);
    });

    // Pipelines of all would take minutes of the software adapter; the language is what may differ from Node's.
    it('takes the text of every committed kernel', async (context) => {
      const page = await open(context);
      const kernels = readdirSync(GENERATED, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.wgsl')).sort();
      const refused = await page.evaluate(`(async () => {
        const { gpu } = await (await (await import('lmoec/webgpu')).webGpuStatus()).open();
        const texts = await Promise.all(${JSON.stringify(kernels)}.map(
          async (name) => [name, await (await fetch('/committed/' + name)).text()]));
        const infos = await Promise.all(texts.map(
          async ([name, code]) => [name, await gpu.createShaderModule({ code }).getCompilationInfo()]));
        return infos.flatMap(([name, { messages }]) => messages
          .filter(({ type }) => type === 'error').map(({ message }) => name + ': ' + message));
      })()`);
      expect(refused).toEqual([]);
      expect(kernels).not.toEqual([]);
    });

    it('says why there is no WebGPU', async () => {
      const page = await browser.open(address.replace('localhost', 'insecure.test'));
      const { state, text, complaints } = await settled(page);
      expect(complaints).toEqual([]);
      expect(state).toBe('absent');
      expect(text).toContain('browsers give WebGPU to secure pages only: serve the page over https, or from localhost');
    });

    it('says that kernels cannot come from the disk', async () => {
      const page = await browser.open(address);
      const read = 'import("lmoec/files").then(({ filesBeside }) => filesBeside("file:///home/someone/gla.js")("webgpu.f32/plan.json"))';
      await expect(page.evaluate(read)).rejects.toThrow('a browser cannot read file:///home/someone/webgpu.f32/plan.json');
    });

    it('notices kernels of another formula', async (context) => {
      writeFileSync(at('gla.lmoe'), readFileSync(FORMULA, 'utf8').replace(' / sqrt(K)', ''));
      build(at('gla.lmoe'));
      const { state, text } = await settled(await open(context));
      expect(state, text).toBe('differs');
      expect(text).toContain('The kernels differ from the loop: o, d_q, d_k, d_v, d_g.');
    });

    it('shows what the browser says of a kernel that does not compile', async (context) => {
      appendFileSync(at('generated/gla/webgpu.f32/step.wgsl'), '\nfn broken() { let x = y; }\n');
      const { state, text, complaints } = await settled(await open(context));
      expect(state).toBe('failed');
      expect(text).toMatch(/compiling step\.wgsl of gla: [^]*unresolved value 'y'/);
      expect(complaints.join()).toContain('step.wgsl');
    });
  });
}

/** What the page shows once it has come to an end, or if it does not after something went wrong that it did not see. */
async function settled(page: Page): Promise<{ readonly state: unknown; readonly text: string; readonly complaints: readonly string[] }> {
  // The browser complains before the page has heard of the error.
  for (let patience = 200; ; ) {
    const state = await page.evaluate('document.body.dataset.state');
    if (page.complaints.length > 0) patience--;
    if (state !== 'running' || patience === 0) {
      return { state, text: String(await page.evaluate('document.body.innerText')), complaints: page.complaints };
    }
    await setTimeout(50);
  }
}
