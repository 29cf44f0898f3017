import { math } from '../../math/index.js';

/** Functions of templates/torch/_math.py that printed formulas call. */
export const ALGEBRA_FUNCTIONS: readonly string[] = Object.values(math)
  .flatMap(({ torch }) => (torch.kind === 'call' && !torch.name.includes('.') ? [torch.name] : []));
