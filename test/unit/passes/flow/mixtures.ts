import type { Graph } from '../../../../src/ir/graph/graph.js';
import { exampleGraph } from '../../interp/graph/texts.js';

const plain = { D: 6, E: 4, F: 5 };
const sizes = { ...plain, k: 2 };
const groups = { D: 6, F: 5, S: 4, G: 3, M: 2, k: 3, keep: 2 };

/** Mixtures of the examples, and numbers to try them with. Room is small, so that tokens are left out. */
export const MIXTURES: readonly (readonly [file: string, name: string, numbers: Readonly<Record<string, number>>])[] = [
  ['noise', 'noisy_topk', sizes], ['capacity', 'gshard', { ...plain, cf: 0.6, zw: 0.1 }], ['capacity', 'st_moe', {}],
  ['capacity', 'switch', { ...plain, cf: 0.7 }], ['softmax', 'mixtral', sizes], [
    'softmax', 'qwen_moe', { ...sizes, S: 3, renorm: 1, aux: 0.1 },
  ],
  ['softmax', 'qwen3_moe', sizes], [
    'softmax', 'olmoe', { ...sizes, aux: 1e-2, zw: 1e-3 },
  ], ['groups', 'deepseek_v2', { ...groups, scale: 16 }],
  ['groups', 'deepseek_v3', { ...groups, scale: 2.5, aux: 0.1 }], ['groups', 'latent', { ...sizes, Z: 3, S: 4, scale: 5 }],
  ['softmax', 'gpt_oss_moe', { ...sizes, aux: 0.9 }], ['capacity', 'minimax', { ...sizes, cf: 0.8 }],
  ['capacity', 'hunyuan', { ...sizes, cf: 0.8, recycle: 0 }], ['capacity', 'hunyuan', { ...sizes, cf: 0.8, recycle: 1 }],
  ['balanced', 'expert_choice', { ...plain, cf: 1.5 }], [
    'balanced', 'sinkhorn_base', { ...sizes, k: 1 },
  ], ['balanced', 'sinkhorn_base', sizes],
  ['balanced', 'quantile', { ...sizes, ema: 0.9 }], ['gates', 'sqrt_softplus', sizes], [
    'balanced', 'token_rounding', { ...sizes, tile: 3 },
  ],
  ['gates', 'llama4', { ...sizes, k: 1 }], ['gates', 'remoe', { ...plain, pull: 0.1 }],
];

export function mixture([file, name, numbers]: typeof MIXTURES[number], training: boolean): Graph {
  return exampleGraph(`moe/${file}`, name, numbers, training);
}
