import type { MathName } from '../ir/common/dag.js';
import { activation } from './activation.js';
import { arithmetic } from './arithmetic.js';
import { choice } from './choice.js';
import { circular } from './circular.js';
import { exponential } from './exponential.js';
import type { MathFunction } from './math.js';

/** Every scalar function by its name. */
export const math: Readonly<Record<MathName, MathFunction>> = { ...arithmetic, ...exponential, ...activation, ...choice, ...circular };
