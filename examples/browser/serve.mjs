// Serves this repository's pages, modules and kernels to the browser of this machine: node examples/browser/serve.mjs [PORT]
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { extname } from 'node:path';

const root = new URL('../../', import.meta.url);
// What a page asks for; all else is not served.
const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.json': 'application/json', '.wgsl': 'text/plain' };

const server = createServer(async (request, response) => {
  // One slash in front, so that no other host is meant; URL takes `..` away, so that nothing above the root can be named.
  const { pathname } = new URL((request.url ?? '').replace(/^\/*/, '/'), 'http://localhost');
  const name = pathname.endsWith('/') ? `${pathname}index.html` : pathname;
  const type = TYPES[extname(name)];
  const content = type === undefined ? undefined : await readFile(new URL(`.${name}`, root)).catch(() => undefined);
  if (content === undefined) response.writeHead(404, { 'content-type': 'text/plain' }).end(`no ${pathname}`);
  else response.writeHead(200, { 'content-type': `${type}; charset=utf-8` }).end(content);
});
server.on('error', (error) => {
  console.error(`${error.message}: node examples/browser/serve.mjs PORT takes another port`);
  process.exitCode = 1;
});
server.listen(Number(process.argv[2] ?? 8000), 'localhost', () => console.log(`http://localhost:${server.address().port}/examples/browser/`));
