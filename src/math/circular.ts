import { calls, unary } from './record.js';

export const sin = unary('sin', Math.sin, (b, x) => b.map('cos', x), calls('sinf', 'm_sin'));

export const cos = unary('cos', Math.cos, (b, x) => b.map('neg', b.map('sin', x)), calls('cosf', 'm_cos'));
