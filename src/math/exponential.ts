import { calls, unary } from './record.js';

/** Ends at the largest number: infinity times 0 would be NaN where a formula goes to 0. */
const ending = (value: number): number => Math.min(value, Number.MAX_VALUE);

export const exp = unary('exp', (x) => ending(Math.exp(x)), (_b, _x, out) => out, calls('m_exp', 'm_exp'));

/** e^x - 1, with all its digits near 0. */
export const expm1 = unary('expm1', (x) => ending(Math.expm1(x)), (b, x) => b.map('exp', x), calls('m_expm1', 'm_expm1'));

export const log = unary('log', Math.log, (b, x) => b.map('div', b.literal(1), x), calls('m_log', 'm_log'));

/** log(1 + x), with all its digits near 0. */
export const log1p = unary('log1p', Math.log1p, (b, x) => b.map('div', b.literal(1), b.map('add', b.literal(1), x)), calls('log1pf', 'm_log1p'));

export const sqrt = unary('sqrt', Math.sqrt, (b, _x, out) => b.map('div', b.literal(0.5), out), calls('sqrtf', 'sqrt'));
