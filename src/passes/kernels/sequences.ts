import { isRuns, sameDomain } from '../../ir/tile/domain.js';
import { loadedBuffers, storedBuffers } from '../../ir/tile/buffers.js';
import type { TileModule, TileOp, TileStmt } from '../../ir/tile/tile.js';
import { TOKENS } from '../chunk/programs.js';

/**
 * Is it nothing to a module where a sequence of tokens ends and the next begins? All tokens of a call may be one sequence then: fewer
 * chunks, where sequences are short, as in decoding.
 */
export function joinsSequences({ kernels, buffers }: TileModule): boolean {
  const ofSequences = new Set(buffers.filter((one) => isRuns(one) && sameDomain(one.domain, TOKENS)).map(({ name }) => name));
  return kernels.every(({ domain, outer, idle, cut, body }) => (
    [...loadedBuffers(body), ...storedBuffers(body)].every((name) => !ofSequences.has(name))
    && (!sameDomain(domain, TOKENS) || (outer !== 'run' && idle === undefined && cut === undefined && body.every(anywhere)))
  ));
}

function anywhere(stmt: TileStmt): boolean {
  switch (stmt.kind) {
    case 'let': return !asks(stmt.op);
    case 'store': return stmt.only === undefined;
    case 'loop': return stmt.only === undefined && stmt.over !== 'runs' && stmt.over !== 'rows' && stmt.body.every(anywhere);
  }
}

/** Does it look at the run of a row, or at rows before and after it? */
function asks(op: TileOp): boolean {
  switch (op.op) {
    case 'load': return op.back !== undefined || op.whole !== undefined;
    case 'number': return op.of !== 'row';
    case 'size': return op.of !== 'rows';
    case 'shift': case 'put': case 'take': case 'recur': return true;
    default: return false;
  }
}
