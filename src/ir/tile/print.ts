import { nameOf, sizeName } from './domain.js';
import { factsOf } from './facts.js';
import type { Inner, TileBuffer, TileId, TileKernel, TileLoop, TileModule, TileOp, TileStmt, TileStore } from './tile.js';

/** Readable text of a module: buffers, kernels with their tiles and axes, programs. */
export function printTiles(module: TileModule): string {
  const sizes = [...module.sizes].map(([axis, size]) => `${axis}=${size}`).join(' ');
  return [
    `module ${module.name}  chunk=${module.chunk} ${sizes}`.trimEnd(),
    '',
    ...module.buffers.map(printBuffer),
    ...module.kernels.flatMap((kernel) => ['', ...printKernel(kernel)]),
    '',
    ...Object.entries(module.programs).map(([name, { launches }]) => `program ${name}: ${launches.join(', ') || '(none)'}`),
    '',
  ].join('\n');
}

function printBuffer(buffer: TileBuffer): string {
  const cell = [nameOf(buffer), ...innerNames(buffer.inner), ...buffer.axes];
  return `buffer ${buffer.name}: ${buffer.dtype}[${cell.join(', ')}]  ${buffer.role}`;
}

function printKernel(kernel: TileKernel): readonly string[] {
  const split = kernel.split === undefined ? '' : `, split ${kernel.split}`;
  const cut = kernel.cut === undefined ? '' : kernel.cut ? ', if cut' : ', unless cut';
  const idle = `${kernel.idle === undefined ? '' : `, ${kernel.idle} idle`}${cut}`;
  return [
    `/// ${kernel.doc}`, `kernel ${kernel.name} (per ${[nameOf(kernel), ...innerNames(kernel.inner)].join(', ')}${split}${idle}) {`,
    ...printBody(kernel, kernel.body, '  '), '}',
  ];
}

function printBody(kernel: TileKernel, body: readonly TileStmt[], indent: string): readonly string[] {
  return body.flatMap((stmt): readonly string[] => {
    switch (stmt.kind) {
      case 'let': return [`${indent}${printLet(kernel, stmt.tile, stmt.op)}`];
      case 'store': return [`${indent}${printStore(stmt)}${stmt.only === undefined ? '' : `, ${stmt.only} only`}`];
      case 'loop': return printLoop(kernel, stmt, indent);
    }
  });
}

const innerNames = (inner: Inner): readonly string[] => (inner === 'once' ? [] : [inner]);

/** `%7 [%row, K] = mul %5, %6` */
export function printLet(kernel: TileKernel, tile: TileId, op: TileOp): string {
  return `%${tile} [${kernel.tiles[tile].axes.join(', ')}] = ${factsOf(op).text(op)}`;
}

export function printStore({ buffer, value, by }: Pick<TileStore, 'buffer' | 'value' | 'by'>): string {
  return `store ${buffer}, %${value}${by === undefined ? '' : ` by ${by}`}`;
}

/** `loop chunks reversed with %1 [K, V] = %0` */
export function printLoopHead(kernel: TileKernel, loop: TileLoop): string {
  const carried = loop.carry.map((carry) => `%${carry.tile} [${kernel.tiles[carry.tile].axes.join(', ')}] = %${carry.init}`).join(', ');
  const only = loop.only === undefined ? '' : `${loop.only} of `;
  const how = `${loop.reverse ? ' reversed' : ''}${whileText(loop)}`;
  return `loop ${only}${loopName(kernel, loop)}${how}${carried === '' ? '' : ` with ${carried}`}`;
}

function whileText({ while: how }: TileLoop): string {
  return how === undefined ? '' : ` while %${how.tile} >= ${how.least}, at most ${how.most}`;
}

/** What a loop goes over, in the words of the kernel's domain. */
export function loopName({ domain }: TileKernel, { over }: TileLoop): string {
  switch (over) {
    case 'chunks': return sizeName(domain, 'chunk');
    case 'segments': return sizeName(domain, 'segment');
    case 'runs': return sizeName(domain, 'run');
    case 'rows': return sizeName(domain, 'row');
    case 'members': case 'rounds': return over;
  }
}

function printLoop(kernel: TileKernel, loop: TileLoop, indent: string): readonly string[] {
  const next = loop.carry.map((carry) => `%${carry.tile} <- %${carry.next}`).join(', ');
  return [
    `${indent}${printLoopHead(kernel, loop)} {`,
    ...printBody(kernel, loop.body, `${indent}  `),
    ...(next === '' ? [] : [`${indent}  next ${next}`]),
    `${indent}}`,
  ];
}
