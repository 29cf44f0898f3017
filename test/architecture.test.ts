import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { describe, expect, it } from 'vitest';

const ROOT = join(import.meta.dirname, '..');
const IR_LEVELS = ['ast', 'spec', 'scan', 'tile', 'plan'].map((level) => `ir/${level}`);

/** Folder (longest prefix of the path wins) -> folders it may import. Its own folder is always allowed. docs/architecture.md says why. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  support: [],
  'ir/common': [],
  ...Object.fromEntries(IR_LEVELS.map((level) => [level, ['ir/common', 'math', 'support']])),
  // The meaning of a layer has the meanings of the scans that it calls.
  'ir/graph': ['ir/common', 'ir/spec', 'math', 'support'],
  // The same with its calls inlined: axes and folds are those of graphs.
  'ir/flow': ['ir/common', 'ir/graph', 'math', 'support'],
  grammar: ['ir/ast', 'ir/common', 'diagnostics', 'support'],
  diagnostics: ['ir/common', 'support'],
  math: ['ir/common', 'support'],
  ops: ['ir', 'support'],
  passes: ['ir', 'math', 'ops', 'diagnostics', 'support', 'grammar'],
  interp: ['ir/common', 'ir/spec', 'ir/tile', 'ir/graph', 'ir/flow', 'math', 'ops', 'support', 'runtime'],
  backends: ['ir', 'math', 'ops', 'support'],
  emit: ['ir/plan', 'ir/spec', 'ir/scan', 'ir/graph', 'ir/flow', 'ir/common', 'math', 'support'],
  runtime: ['ir/plan', 'ir/common', 'support'],
  // Runs graphs where there are no kernels, without the compiler.
  'runtime/interpreter': ['runtime', 'interp/graph', 'interp/flow', 'ir/graph', 'ir/flow', 'ir/common', 'support'],
  driver: ['ir', 'grammar', 'diagnostics', 'math', 'ops', 'passes', 'interp', 'backends', 'emit', 'runtime', 'support'],
  cli: ['driver', 'diagnostics', 'support'],
  editor: ['driver', 'diagnostics', 'ir/ast'],
};

const NODE_ALLOWED = [/^src\/driver\/host(\.ts$|\/)/, /^src\/cli\//, /^src\/runtime\/(?!webgpu\/)/, /^src\/editor\/server\.ts$/];

function filesBelow(folder: string, pattern: RegExp): string[] {
  const path = join(ROOT, folder);
  if (!existsSync(path)) return [];
  return readdirSync(path, { recursive: true, encoding: 'utf8' })
    .map((name) => `${folder}/${name}`)
    .filter((name) => pattern.test(name) && !name.includes('/build/'))
    .sort();
}

const sources = [...filesBelow('src', /\.ts$/), ...filesBelow('grammar', /\.ts$/)];
const text = (file: string): string => readFileSync(join(ROOT, file), 'utf8');

/** Import paths, static and dynamic, types included. */
function importsOf(file: string): { readonly path: string; readonly dynamic: boolean; readonly typeOnly: boolean }[] {
  const found = [];
  const pattern =
    /(?:^|\n)\s*(?:import|export)\s+(type\s)?[^'";]*?from\s*'([^']+)'|(?:^|\n)import\s*'([^']+)'|\bimport\(\s*'([^']+)'\s*\)/g;
  for (const match of text(file).matchAll(pattern)) {
    found.push({ path: match[2] ?? match[3] ?? match[4], dynamic: match[4] !== undefined, typeOnly: match[1] !== undefined });
  }
  return found;
}

/** `src/passes/x.ts` and `../ir/y.js` -> `src/ir/y.ts`; undefined for packages. */
function target(file: string, path: string): string | undefined {
  if (!path.startsWith('.')) return undefined;
  return relative(ROOT, join(ROOT, dirname(file), path)).replace(/\.js$/, '.ts');
}

const inSource = (file: string): string => file.replace(/^src\//, '');

/** The row of the table that holds for a file. */
function layerOf(file: string): string {
  const layers = Object.keys(MAY_IMPORT).filter((layer) => inSource(file).startsWith(`${layer}/`));
  const longest = layers.sort((a, b) => b.length - a.length)[0];
  if (longest === undefined) throw new Error(`${file} lies in no layer that the table knows`);
  return longest;
}

describe('architecture', () => {
  it('reads the import statements', () => {
    expect(sources.length).toBeGreaterThan(50);
    expect(sources.flatMap(importsOf).length).toBeGreaterThan(200);
  });

  it('imports go downwards only', () => {
    const breaches: string[] = [];
    for (const file of sources) {
      const layer = layerOf(file);
      for (const { path } of importsOf(file)) {
        const to = target(file, path);
        if (to === undefined) continue;
        const other = inSource(to);
        const allowed = [layer, ...MAY_IMPORT[layer]].some((folder) => other.startsWith(`${folder}/`));
        if (!allowed) breaches.push(`${file} imports ${to}`);
        const crossed = /^backends\/(\w+)\//.exec(inSource(file))?.[1];
        const reached = /^backends\/(\w+)\//.exec(other)?.[1];
        if (crossed !== undefined && reached !== undefined && crossed !== reached) breaches.push(`${file} imports another back end: ${to}`);
      }
    }
    expect(breaches).toEqual([]);
  });

  it('commands know kinds of declarations by their table, and Specs are known where scans are', () => {
    const breaches = sources.flatMap((file) => importsOf(file).flatMap(({ path }) => {
      const to = inSource(target(file, path) ?? '');
      const kinds = /^driver\/(scan|graph)\//.test(to) && !/^driver\/(scan|graph|kinds\.ts|checkpoint)/.test(inSource(file));
      const specs = to.startsWith('ir/spec/') && /^(cli|driver)\//.test(inSource(file)) && !inSource(file).startsWith('driver/scan/');
      return kinds || specs ? [`${file} imports ${to}`] : [];
    }));
    expect(breaches).toEqual([]);
  });

  it('the oracle knows none of what it judges', () => {
    const reached = new Set<string>();
    const visit = (file: string): void => {
      if (reached.has(file) || !existsSync(join(ROOT, file))) return;
      reached.add(file);
      for (const { path } of importsOf(file)) {
        const to = target(file, path);
        if (to !== undefined) visit(to);
      }
    };
    for (const file of sources.filter((name) => name.startsWith('src/interp/spec'))) visit(file);
    expect(reached.size).toBeGreaterThan(2);
    expect([...reached].filter((file) => /^src\/(passes|backends|emit|driver|ir\/(scan|tile))\//.test(file))).toEqual([]);
  });

  it('has no import cycles', () => {
    const cycles: string[] = [];
    const state = new Map<string, 'open' | 'done'>();
    const visit = (file: string, trail: readonly string[]): void => {
      if (state.get(file) === 'done') return;
      if (state.get(file) === 'open') {
        cycles.push([...trail.slice(trail.indexOf(file)), file].join(' -> '));
        return;
      }
      state.set(file, 'open');
      for (const { path, typeOnly } of importsOf(file)) {
        const to = target(file, path);
        if (to !== undefined && !typeOnly) visit(to, [...trail, file]);
      }
      state.set(file, 'done');
    };
    for (const file of sources) visit(file, []);
    expect(cycles).toEqual([]);
  });

  it('touches the machine only where it may', () => {
    const breaches = sources.filter(
      (file) => importsOf(file).some(({ path }) => path.startsWith('node:')) && !NODE_ALLOWED.some((allowed) => allowed.test(file))
    );
    expect(breaches).toEqual([]);
  });

  it('loads ts-morph in one file, and the parser not at all for --help', () => {
    expect(sources.filter((file) => importsOf(file).some(({ path }) => path === 'ts-morph'))).toEqual(['src/emit/bindings/project.ts']);
    const early = new Set<string>();
    const visit = (file: string): void => {
      if (early.has(file)) return;
      early.add(file);
      for (const { path, dynamic, typeOnly } of importsOf(file)) {
        const to = target(file, path);
        if (to !== undefined && !dynamic && !typeOnly) visit(to);
      }
    };
    visit('src/cli/main.ts');
    expect([...early].filter((file) => !/^src\/(cli|support)\//.test(file))).toEqual([]);
  });

  it('keeps files small', () => {
    const long = [
      ...sources, ...filesBelow('scripts', /\.(ts|mjs)$/), ...filesBelow('templates', /\.\w+$/), ...filesBelow('src', /\.(cc|h)$/)
    ]
      .map((file) => [file, text(file).split('\n').length] as const)
      .filter(([, lines]) => lines > 600);
    expect(long).toEqual([]);
  });

  it('knows no variant by name', () => {
    // Folders of layers and mixtures have files by family, whose names are plain words.
    const examples = filesBelow('examples', /\.lmoe$/).filter((file) => !/^examples.(layers|moe)\W/.test(file)).map(
      (file) => /([^/]+)\.lmoe$/.exec(file)?.[1] ?? ''
    );
    const known = [
      'mixtral', 'qwen', 'deepseek', 'olmoe', 'kimi', 'minimax', 'hunyuan', 'nemotron', 'granite', 'gpt_oss', 'gshard', 'st_moe', 'remoe',
      'expert_choice', 'swiglu', 'geglu', 'reglu', 'gqa', 'mla', 'gdn',
      'retention', 'lightning', 'gla', 'simple_gla', 'delta_net', 'gated_delta', 'kda',
      'rwkv', 'mamba', 'hgrn', 'rg_lru', 'mlstm', 'titans', 'deltaproduct',
    ];
    const names = [...new Set([...examples, ...known])];
    const pattern = new RegExp(`(?<![a-z])(${names.join('|')})(?![a-z])`, 'i');
    const found: string[] = [];
    for (const file of [...sources, ...filesBelow('templates', /\.\w+$/)]) {
      text(file).split('\n').forEach((line, i) => {
        if (pattern.test(line)) found.push(`${file}:${i + 1}: ${line.trim()}`);
      });
    }
    expect(found).toEqual([]);
  });

  it('templates decide nothing', () => {
    const blocks = filesBelow('templates', /\.hbs$/)
      .flatMap((file) => [...text(file).matchAll(/\{\{[#~]*\s*#?(\w+)/g)].map((match) => `${file}: ${match[1]}`));
    expect(blocks.filter((block) => /: (if|unless|with|lookup|else)$/.test(block))).toEqual([]);
  });

  it('has no `any` and no default exports', () => {
    const found: string[] = [];
    for (const file of sources) {
      text(file).split('\n').forEach((line, i) => {
        const code = line.replace(/'(?:[^'\\]|\\.)*'|`[^`]*`|\/\/.*|\/\*.*?\*\/|^\s*\*.*/g, '');
        if (/:\s*any\b|<any>|\bas any\b|\bexport default\b/.test(code)) found.push(`${file}:${i + 1}: ${line.trim()}`);
      });
    }
    expect(found).toEqual([]);
  });
});
