// Mixtures and layers of `npm run test:gpu`: those of the examples, in every dtype and by the kernels for every architecture; random ones.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { root } from './setup.mjs';

/** File, name, sizes, and options: blocks of 64 and what is left over, one token, sequences, empty experts. */
const PLAIN = 'D=64,E=4,F=128';
const MIXTURES = [
  ...['mixtral', 'qwen3_moe', 'olmoe', 'gpt_oss_moe'].map((name) => ['softmax', name, `${PLAIN},k=2`]),
  ['softmax', 'qwen_moe', `${PLAIN},k=2,S=64`], ['noise', 'noisy_topk', `${PLAIN},k=2`],
  ...['deepseek_v2', 'deepseek_v3'].map((name) => ['groups', name, 'D=64,G=3,M=2,F=64,S=64,keep=2,k=3']),
  ['groups', 'latent', 'D=128,Z=64,E=8,F=64,S=64,k=3'], ...['gshard', 'switch', 'minimax'].map((name) => ['capacity', name, PLAIN]),
  ['capacity', 'st_moe', 'D=64'], ['capacity', 'hunyuan', `${PLAIN},k=2`, '--with', 'recycle=1'],
  ['balanced', 'expert_choice', PLAIN], ['balanced', 'sinkhorn_base', `${PLAIN},k=1`], ['balanced', 'quantile', `${PLAIN},k=2`],
  ['balanced', 'token_rounding', `${PLAIN},k=2,tile=3`],
  ['gates', 'sqrt_softplus', `${PLAIN},k=2`], ['gates', 'llama4', `${PLAIN},k=1`], ['gates', 'remoe', PLAIN],
].map(([file, ...rest]) => [`examples/moe/${file}.lmoe`, ...rest]);
const PRODUCTS = ['swiglu', 'geglu', 'clamped_swiglu'].map((name) => ['feed_forward', name, 'D=64,F=128']);
const OTHERS = [
  ...['reglu', 'silu_ffn', 'gelu_ffn', 'relu_ffn', 'relu2_ffn'].map((name) => ['feed_forward', name, 'D=64,F=128']),
  ...['norm', 'norm1', 'norm_bias'].map((name) => ['norms', name, 'D=64']), ['rwkv7', 'channel_mix', 'D=64,F=128,i=1,L=3'],
];
const [LAYERS, MORE_LAYERS] = [PRODUCTS, OTHERS].map((layers) => (
  layers.map(([file, ...rest]) => [`examples/layers/${file}.lmoe`, ...rest])
));
const CALLS = ['B=2,T=77', 'B=1,T=1'];
/** No token has an expert, all have the same one, E=512, many experts a token, each at both. */
const ENDS = [
  ['test/cli/extremes.lmoe', 'closed', 'D=64,E=4,F=128', 'B=1,T=130'], ['test/cli/extremes.lmoe', 'crowded', 'D=64,E=4,F=128', 'B=1,T=130'],
  ['examples/moe/softmax.lmoe', 'mixtral', 'D=64,E=512,F=64,k=10', 'B=2,T=77'],
  ['examples/moe/softmax.lmoe', 'mixtral', 'D=64,E=64,F=64,k=32', 'B=1,T=40'],
  ['examples/moe/softmax.lmoe', 'mixtral', 'D=64,E=2,F=64,k=2', 'B=1,T=130'],
];
/** Every dtype by the kernels for every architecture, and by the other compiler. */
function waysOf({ webgpu, nvrtc }) {
  const plain = ['f32', 'bf16', 'f16'].map((dtype) => ({ backend: 'cuda', dtype, args: [] }));
  const older = ['f32', 'bf16', 'f16'].flatMap((dtype) => ['sm80', 'sm86'].map((note) => (
    { backend: 'cuda', dtype, note, args: ['--target', `cuda.${note}`] }
  )));
  // A compiler that is not there: NVRTC's turn.
  const other = ['f32', 'bf16'].map((dtype) => ({ backend: 'cuda', dtype, note: 'nvrtc', args: [], env: { LMOEC_NVCC: 'none' } }));
  return { few: [...plain, ...(webgpu ? [{ backend: 'webgpu', dtype: 'f32', args: [] }] : [])], more: [...older, ...(nvrtc ? other : [])] };
}

const caseOf = (path, name, sizes, label, way, more) => ({
  name, label, way, ...more, args: [
    'run', path, '--name', name, '--check', '--json', '--size', sizes, ...more.args, '--backend', way.backend, '--dtype', way.dtype,
    ...way.args,
  ],
});

/** `devices`: which of webgpu and nvrtc answer. */
export function mixtureCases(devices) {
  const { few, more } = waysOf(devices);
  const named = [...MIXTURES, ...LAYERS].flatMap(([path, name, sizes, ...options]) => CALLS.flatMap((call) => (
    [...few, ...(call === CALLS[0] ? more : [])].map((way) => caseOf(path, name, `${sizes},${call}`, call, way, {
      // A router's gradient is a difference of experts' products with the cotangent, for one token a small one. A balanced plan of one
      // token is the same for all experts: which of them is the best is decided by rounding.
      response: call !== CALLS[0], args: ['--training', ...options],
    }))
  )));
  const layers = MORE_LAYERS.flatMap(([path, name, sizes]) => few.map((way) => (
    caseOf(path, name, `${sizes},${CALLS[0]}`, CALLS[0], way, { args: ['--training'] })
  )));
  // Outside of training there is other room for experts, and no noise.
  const outside = MIXTURES.filter(([path]) => /capacity|noise|balanced/.test(path)).flatMap(([path, name, sizes, ...options]) => (
    few.slice(0, 2).map((way) => caseOf(path, name, `${sizes},${CALLS[0]}`, 'eval', way, { args: options }))
  ));
  const ends = ENDS.flatMap(([path, name, sizes, call]) => few.map((way) => (
    caseOf(path, name, `${sizes},${call}`, sizes.slice(5), way, { args: ['--training'] })
  )));
  // A message, and no hang.
  const none = few.map((way) => caseOf('test/cli/extremes.lmoe', 'undefined', 'D=64,E=4,F=128,B=1,T=130', 'NaN', way, {
    said: /^error\[E508\]: a score that something is chosen by is not a number, at token \d+$/m, args: [],
  }));
  return [...named, ...layers, ...outside, ...ends, ...none];
}

/**
 * Random ones, by the generators of the tests: some have no kernels and say so. In 16 bits a choice may be decided by rounding, which the
 * check asks of the formula itself.
 */
export async function randomMixtureCases(devices, folder, count) {
  const { few, more } = waysOf(devices);
  const load = (path) => import(pathToFileURL(join(root, 'dist', path)).href);
  const [{ routedMixture }, { nest }, { frontend }] = await Promise.all(
    ['test/property/mixtures.js', 'test/property/nests.js', 'src/passes/frontend.js'].map(load),
  );
  const taken = ([, { text }]) => !frontend('drawn.lmoe', text).diagnostics.some(({ severity }) => severity === 'error');
  const drawn = Array.from({ length: count }, (_, i) => [
    [`routed${i + 1}`, routedMixture(i + 1)], ...(i % 2 === 0 ? [[`nest${i + 100}`, nest(i + 100)]] : []),
  ]).flat().filter(taken);
  return drawn.flatMap(([title, { text, name }]) => {
    const path = join(folder, `${title}.lmoe`);
    writeFileSync(path, text);
    return [...few, ...more.filter(({ note, dtype }) => note === 'nvrtc' && dtype === 'f32')].map((way) => ({
      ...caseOf(path, name, 'D=32', '70,1,9', way, {
        response: true, refusable: true, args: ['--training', '--lengths', '70,1,9'],
      }), name: title,
    }));
  });
}
