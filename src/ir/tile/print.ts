import type { TileBuffer, TileId, TileKernel, TileLoop, TileModule, TileOp, TileStmt } from './tile.js';

/** Readable text of a module: buffers, kernels with their tiles and axes, programs. */
export function printTiles(module: TileModule): string {
  const sizes = [...module.sizes].map(([axis, size]) => `${axis}=${size}`).join(' ');
  return [
    `module ${module.name}  chunk=${module.chunk} ${sizes}`.trimEnd(),
    '',
    ...module.buffers.map(printBuffer),
    ...module.kernels.flatMap((kernel) => ['', ...printKernel(kernel)]),
    '',
    ...(['forward', 'backward', 'step'] as const).map((name) => `program ${name}: ${module.programs[name].join(', ') || '(none)'}`),
    '',
  ].join('\n');
}

function printBuffer(buffer: TileBuffer): string {
  return `buffer ${buffer.name}: ${buffer.dtype}[${[buffer.outer, buffer.inner, ...buffer.axes].join(', ')}]  ${buffer.role}`;
}

function printKernel(kernel: TileKernel): readonly string[] {
  const split = kernel.split === undefined ? '' : `, split ${kernel.split}`;
  const idle = kernel.idle === undefined ? '' : `, ${kernel.idle} idle`;
  return [`/// ${kernel.doc}`, `kernel ${kernel.name} (per ${kernel.outer}, ${kernel.inner}${split}${idle}) {`, ...printBody(kernel, kernel.body, '  '), '}'];
}

function printBody(kernel: TileKernel, body: readonly TileStmt[], indent: string): readonly string[] {
  return body.flatMap((stmt): readonly string[] => {
    switch (stmt.kind) {
      case 'let': return [`${indent}${printLet(kernel, stmt.tile, stmt.op)}`];
      case 'store': return [`${indent}${printStore(stmt.buffer, stmt.value)}`];
      case 'loop': return printLoop(kernel, stmt, indent);
    }
  });
}

/** `%7 [%row, K] = mul %5, %6` */
export function printLet(kernel: TileKernel, tile: TileId, op: TileOp): string {
  return `%${tile} [${kernel.tiles[tile].axes.join(', ')}] = ${printOp(op)}`;
}

export function printStore(buffer: string, value: TileId): string {
  return `store ${buffer}, %${value}`;
}

/** `loop chunks reversed with %1 [K, V] = %0` */
export function printLoopHead(kernel: TileKernel, loop: TileLoop): string {
  const carried = loop.carry.map((carry) => `%${carry.tile} [${kernel.tiles[carry.tile].axes.join(', ')}] = %${carry.init}`).join(', ');
  return `loop ${loop.only === undefined ? '' : `${loop.only} of `}${loop.over}${loop.reverse ? ' reversed' : ''}${carried === '' ? '' : ` with ${carried}`}`;
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

function printOp(op: TileOp): string {
  const pairs = (how: { readonly before: boolean; readonly strict: boolean }) => (how.before ? ' before' : how.strict ? ' strict' : '');
  switch (op.op) {
    case 'load': return `load ${op.buffer}${op.rows === 'none' ? '' : ` ${op.rows}`}${op.back === undefined ? '' : ` back ${op.back}`}`;
    case 'literal': return `${op.value}`;
    case 'zeros': case 'head': case 'heads': return op.op;
    case 'keep': case 'round': case 'swap': return `${op.op} %${op.arg}`;
    case 'inverse': return `inverse${op.fine ? ' fine' : ''} %${op.arg}`;
    case 'map': return `${op.fn} ${op.args.map((arg) => `%${arg}`).join(', ')}`;
    case 'reduce': return `${op.reduce}[${op.axis}] %${op.arg}`;
    case 'contract': return `contract[${op.axis}] %${op.a}, %${op.b}`;
    case 'compose': return `compose${op.fine ? ' fine' : ''} %${op.a}, %${op.b}`;
    case 'cumsum': return `cumsum${op.exclusive ? ' exclusive' : ''}${op.reverse ? ' reversed' : ''} %${op.arg}`;
    case 'shift': return `shift ${op.by} %${op.arg}${op.edge === undefined ? '' : `, edge %${op.edge}`}`;
    case 'pick': return `pick ${op.row} %${op.arg}`;
    case 'put': return `put %${op.of} at ${op.at} from the ${op.from} of %${op.arg}`;
    case 'take': return `take ${op.at} from the ${op.from} of %${op.arg}`;
    case 'mask': return `mask${op.strict ? ' strict' : ''} %${op.arg}`;
    case 'dscore': return `dscore[${op.axis}]${pairs(op)} %${op.x}, %${op.y} by %${op.g}`;
    case 'dscoreRow': return `dscoreRow[${op.axis}]${pairs(op)} %${op.a}, %${op.y} by %${op.g}`;
    case 'dscoreCol': return `dscoreCol[${op.axis}]${pairs(op)} %${op.a}, %${op.x} by %${op.g}`;
    case 'dgate': return `dgate${op.before ? ' before' : ''} %${op.a}, %${op.x}, %${op.y} by %${op.decay}`;
    case 'recur': return `recur${op.reverse ? ' reversed' : ''} %${op.decay}, %${op.write} from %${op.init}`;
  }
  op satisfies never;
}
