import type { MathName } from '../../ir/common/dag.js';

/** How tight an expression holds together: what stands in a looser place goes without brackets. */
export const LEVEL = { sum: 1, product: 2, sign: 3, power: 4, atom: 5 } as const;

export type TorchText =
  | { readonly kind: 'infix'; readonly operator: string; readonly level: number }
  | { readonly kind: 'sign' }
  /** A function of tensors: numbers are wrapped (`number` of _algebra.py). */
  | { readonly kind: 'call'; readonly name: string };

const infix = (operator: string, level: number): TorchText => ({ kind: 'infix', operator, level });
const call = (name: string): TorchText => ({ kind: 'call', name });

/** Every scalar function in PyTorch. Names without a dot are those of templates/torch/_algebra.py. */
export const TORCH: Readonly<Record<MathName, TorchText>> = {
  add: infix('+', LEVEL.sum),
  sub: infix('-', LEVEL.sum),
  mul: infix('*', LEVEL.product),
  div: infix('/', LEVEL.product),
  pow: infix('**', LEVEL.power),
  neg: { kind: 'sign' },
  exp: call('torch.exp'),
  log: call('torch.log'),
  sigmoid: call('torch.sigmoid'),
  log_sigmoid: call('torch.nn.functional.logsigmoid'),
  softplus: call('softplus'),
  tanh: call('torch.tanh'),
  silu: call('silu'),
  relu: call('torch.relu'),
  gelu: call('gelu'),
  sin: call('torch.sin'),
  cos: call('torch.cos'),
  sqrt: call('torch.sqrt'),
  abs: call('torch.abs'),
  min: call('torch.minimum'),
  max: call('torch.maximum'),
  expm1: call('torch.expm1'),
  log1p: call('torch.log1p'),
  sign: call('torch.sign'),
  less: call('less'),
  erf: call('torch.erf'),
  chain: call('chain'),
};

export const ALGEBRA_FUNCTIONS = Object.values(TORCH).flatMap((text) => (text.kind === 'call' && !text.name.includes('.') ? [text.name] : []));
