// Runs the built compiler from scripts: one process per call, several at a time.
import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './setup.mjs';

export const main = join(root, 'dist/src/cli/main.js');

/** `examples/*.lmoe`, sorted. */
export function examples() {
  return readdirSync(join(root, 'examples')).filter((name) => name.endsWith('.lmoe')).sort().map((name) => `examples/${name}`);
}

/** Status and texts of one call, and its standard output as JSON if it is that. */
export function lmoec(args, env = process.env) {
  return new Promise((done) => {
    const child = spawn(process.execPath, [main, ...args], { cwd: root, env, stdio: ['ignore', 'pipe', 'pipe'] });
    let out = '';
    let err = '';
    child.stdout.on('data', (data) => { out += data; });
    child.stderr.on('data', (data) => { err += data; });
    child.on('close', (code) => done({ code, out, err, json: jsonOf(out) }));
  });
}

function jsonOf(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Calls `work` for every item, `width` at a time, and `show` for every result in the order of the items. */
export async function inOrder(items, width, work, show) {
  const results = [];
  let next = 0;
  let shown = 0;
  const worker = async () => {
    while (next < items.length) {
      const index = next++;
      results[index] = { item: items[index], result: await work(items[index]) };
      while (shown < items.length && results[shown] !== undefined) {
        show(results[shown].item, results[shown].result);
        shown++;
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(width, items.length) }, worker));
}

/** How a call is made, as `cuda bf16 sm80`. */
export const wayText = ({ backend, dtype, note }) => [backend, dtype, note].join(' ').trim();

/** One line of a table; a negative width stands for a column of numbers. */
export function columns(cells, widths) {
  return cells.map((cell, i) => (widths[i] < 0 ? cell.padStart(-widths[i]) : cell.padEnd(widths[i] ?? 0))).join(' ').trimEnd();
}

/** The largest error of the tensors with these roles, as text. */
export function worst(report, ...roles) {
  const errors = report.tensors.filter((tensor) => roles.includes(tensor.role)).map((tensor) => tensor.error);
  if (errors.length === 0) return '';
  return errors.includes(null) ? 'not finite' : Math.max(...errors).toExponential(1);
}

/** Why a call failed, in one line. */
export function reason({ code, out, err, json }) {
  const failed = json?.tensors?.find((tensor) => !tensor.passed);
  if (failed !== undefined) return `${failed.name} (${failed.role}) is beyond ${failed.allowed}`;
  return (err.trim() || out.trim()).split('\n')[0] || `exit status ${code}`;
}
