/** Small models of public classes (public_models.py), and what of the examples' text says what they are. */
export interface PublicModel {
  readonly name: string;
  readonly file: string;
  readonly family: string;
  /** Sizes of the small model; all else is the text's. */
  readonly sizes: Readonly<Record<string, number>>;
  readonly library: 'transformers' | 'fla';
}

const model = (
  name: string, file: string, sizes: PublicModel['sizes'], family = 'hf', library: PublicModel['library'] = 'transformers',
): PublicModel => (
  { name, file: file.includes('/') ? file : `examples/models/${file}.lmoe`, family, sizes: { D: 32, W: 96, ...sizes }, library }
);

export const PUBLIC_MODELS: readonly PublicModel[] = [
  model('mixtral', 'mixtral_8x7b', { L: 3, E: 4, 'ffn.F': 24, 'gqa.J': 2, 'gqa.R': 2, 'gqa.K': 8, 'gqa.I': 4 }),
  model('qwen3_next', 'qwen3_next', {
    L: 8, 'ffn.E': 12, 'ffn.F': 16, 'ffn.S': 20, 'gated_gqa.J': 2, 'gated_gqa.R': 2,
    'gated_gqa.K': 16, 'gated_gqa.I': 2, 'gdn.J': 2, 'gdn.R': 2, 'gdn.K': 8, 'gdn.V': 12,
  }),
  model(
    'deepseek_v3',
    'deepseek_v3_671b',
    {
      L: 5, 'dense.F': 40, 'ffn.G': 8, 'ffn.M': 3, 'ffn.F': 20, 'ffn.S': 20, 'mla.H': 4, 'mla.A': 24, 'mla.C': 16, 'mla.N': 8, 'mla.V': 12,
    },
  ),
  model('gpt_oss', 'gpt_oss_20b', { L: 4, 'attn.J': 2, 'attn.R': 2, 'ffn.E': 6, 'ffn.F': 24 }, 'unpacked'),
  model('mamba2', 'mamba2_130m', { L: 3, 'mixer.R': 8, 'mixer.V': 8, 'mixer.K': 16 }),
  model(
    'granite_hybrid',
    'granite_4_h_small',
    { L: 8, E: 12, 'ffn.F': 16, 'shared.F': 24, 'mamba.R': 8, 'mamba.V': 8, 'mamba.K': 16, 'attn.J': 2, 'attn.R': 2, 'attn.K': 8 },
  ),
  model(
    'minimax',
    'minimax_text_01',
    { L: 9, 'ffn.E': 4, 'ffn.F': 24, 'attn.J': 2, 'attn.R': 2, 'attn.K': 16, 'attn.I': 8, 'la.H': 4, 'la.K': 16, 'la.V': 16 },
  ),
  model('nemotron_h', 'nemotron_3_nano', {
    'mamba.G': 2, 'mamba.R': 4, 'mamba.V': 8, 'mamba.K': 16, 'ffn.M': 8, 'ffn.F': 16, 'ffn.S': 24, 'attn.J': 2, 'attn.R': 2, 'attn.K': 8,
  }),
  model('kimi_linear', 'kimi_linear', {
    L: 6, 'attn.H': 4, 'attn.C': 16, 'attn.N': 8, 'attn.R': 8, 'attn.V': 12,
    'la.H': 4, 'la.K': 8, 'la.V': 8, 'la.Z': 8, 'dense.F': 40, 'ffn.M': 12, 'ffn.F': 20, 'ffn.S': 20,
  }),
  model('gla', 'gla_1b3', { L: 3, 'attn.H': 2, 'attn.K': 8, 'attn.V': 16, 'mlp.F': 48 }, 'hf', 'fla'),
  model(
    'gated_deltanet', 'test/checkpoints/gated_deltanet.lmoe', { L: 3, 'attn.J': 2, 'attn.K': 16, 'attn.V': 32, 'mlp.F': 48 }, 'hf', 'fla',
  ),
  model(
    'rwkv7', 'rwkv7_1b5', { L: 3, H: 2, V: 16, 'att.K': 16, 'att.Z': 8, 'att.A': 12, 'att.M': 4, 'att.P': 20, 'ffn.F': 48 }, 'hf', 'fla',
  ),
];
