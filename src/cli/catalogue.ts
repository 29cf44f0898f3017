export type CommandName = 'check' | 'build' | 'explain' | 'run' | 'fmt' | 'doctor';

/** What `--help` tells of each command; plain data, so that help needs nothing else. */
export const COMMANDS: readonly { readonly name: CommandName; readonly usage: string; readonly summary: string; readonly options: readonly string[] }[] = [
  {
    name: 'check',
    usage: 'check FILES...',
    summary: 'parse, check axes and find the chunked form; makes no kernels',
    options: [
      '  --emit graph,spec,scan,tile  print these levels',
      '  --size K=64,V=64     sizes of axes (default: those of the file, else 64)',
      '  --watch              check again whenever a file changes',
      '  --json               diagnostics as JSON on standard output',
    ],
  },
  {
    name: 'build',
    usage: 'build FILES... -o DIR',
    summary: 'kernels, plans and TypeScript bindings; folders stand for the .lmoe files in them',
    options: [
      '  -o, --out DIR        where to write (default: lmoec-out); DIR/SCAN is replaced as a whole if lmoec made it',
      '  --target T,...       cuda.sm80, cuda.sm86, cuda.sm90, webgpu (default: these but sm86); torch: a Python package',
      '  --dtype D,...        f32, f16, bf16 (default: bf16 for CUDA, f32 for WebGPU)',
      '  --size K=64,V=64     sizes of axes (default: those of the file); given several times, a package has kernels for each',
      '  --package NAME       of the Python package (default: that of the file)',
      '  --version V          of the Python package (default: 0.1.0)',
      '  --name NAME          only this declaration',
      '  --with aux=0.01      layers, mixtures and models: numbers, texts and parts in place of those of the header; once for each',
      '  --emit spec,scan,tile,plan,kernel  print these levels and write nothing; with -o, write them beside the kernels',
      '  --sources            leave nvcc out even if it is there: no .cubin, no .ptx',
      '  --watch              build again whenever a file changes',
    ],
  },
  {
    name: 'explain',
    usage: 'explain FILE|CODE',
    summary: 'what was understood and what will run, in words and numbers; or what a code such as E202 means',
    options: [
      '  --name NAME          which declaration (default: a model, else all)',
      '  --html FILE          write a report with pictures',
      '  --target T           cuda.sm80, cuda.sm86, cuda.sm90 or webgpu (default: cuda.sm90)',
      '  --dtype D            f32, f16, bf16 (default: bf16 for CUDA, f32 for WebGPU)',
      '  --size K=64,B=2,T=16384,H=16   sizes of axes, batch, tokens, heads, groups',
      '  --with aux=0.01      layers, mixtures and models: numbers, texts and parts in place of those of the header; once for each',
      '  --json               numbers as JSON',
    ],
  },
  {
    name: 'run',
    usage: 'run FILE [--inputs IN] [--out OUT]',
    summary: 'run a scan, layer, mixture or model on tensors of a .safetensors file, or on random ones',
    options: [
      '  --name NAME          which declaration (default: the one named like the file, else the last; of several scans none)',
      '  --inputs IN.safetensors   inputs, params, initial states; cu_seqlens if packed; d_NAME for cotangents',
      '  --out OUT.safetensors     outputs, final states and, if a cotangent was given, gradients',
      '  --backend B          oracle, webgpu or cuda (default: cuda, else webgpu, else oracle: what answers)',
      '  --target T           cuda.sm80, cuda.sm86 or cuda.sm90 (default: what fits the device best)',
      '  --dtype D            f32, f16, bf16: inputs are rounded to it (gates, params and states stay f32; default: f32)',
      '  --check              compare with the oracle; exit status 1 beyond the tolerance of the dtype',
      '  --size K=64,B=2,T=100,H=2,G=1   sizes for random tensors',
      '  --lengths 64,1,77    packed random sequences with so many tokens, instead of B and T',
      '  --seed N             of the random tensors (default: 1)',
      '  --training           layers, mixtures and models: the program `train`, with noise, dropout and updates of buffers',
      '  --with aux=0.01      numbers, texts and parts in place of those of the header; once for each',
      '  --states random      draws initial states that have no declared range too, instead of zeros',
      '  --json               results of --check as JSON',
    ],
  },
  {
    name: 'fmt',
    usage: 'fmt FILES...',
    summary: 'write files in the one canonical form',
    options: [
      '  --check              change nothing; exit status 1 if a file is not in that form',
      '  -                    as a file: standard input to standard output',
    ],
  },
  {
    name: 'doctor',
    usage: 'doctor',
    summary: 'which devices and compilers are found, or why not, and which backend is the default',
    options: ['  --json               as JSON'],
  },
];
