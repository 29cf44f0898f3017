import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { filesBeside } from '../../../src/runtime/files.js';

const server = createServer((request, response) => {
  if (request.url === '/kernels/webgpu.f32/plan.json') response.setHeader('content-type', 'application/json').end('{}');
  else if (request.url === '/kernels/page.wgsl') response.setHeader('content-type', 'text/html; charset=utf-8').end('<!doctype html>');
  else response.writeHead(404).end();
});
let site = '';
beforeAll(async () => {
  await new Promise<void>((listening) => { server.listen(0, 'localhost', listening); });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the server has no port');
  site = `http://localhost:${address.port}`;
});
afterAll(() => void server.close());

it('reads from the disk beside a module', async () => {
  const read = filesBeside(import.meta.url);
  expect(new TextDecoder().decode(await read('files.test.ts'))).toBe(readFileSync(import.meta.filename, 'utf8'));
  await expect(read('nowhere.json')).rejects.toMatchObject({
    name: 'RuntimeError', message: expect.stringMatching(/nowhere\.json cannot be read: ENOENT/), remedy: expect.stringContaining('outDir'),
  });
});

it('fetches from beside an address', async () => {
  const read = filesBeside(`${site}/kernels/binding.js`);
  expect(new TextDecoder().decode(await read('webgpu.f32/plan.json'))).toBe('{}');
});

it('says what a site does not have, and what helps', async () => {
  const read = filesBeside(`${site}/kernels/binding.js`);
  const remedy = expect.stringContaining('serve the folder of the binding');
  await expect(read('nowhere.json')).rejects.toMatchObject({
    name: 'RuntimeError', message: `${site}/kernels/nowhere.json: 404 Not Found`, remedy,
  });
  await expect(read('page.wgsl')).rejects.toMatchObject({
    name: 'RuntimeError', message: `${site}/kernels/page.wgsl is a page, not a file of the binding`, remedy,
  });
});
