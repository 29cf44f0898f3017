import { randomSource } from '../../src/support/random.js';

/** A mixture by its routing: how tokens are scored, chosen, given room and weighed, and what experts are. */
export interface RoutedMixture {
  readonly text: string;
  readonly name: 'routed';
}

/** Products of experts, with what stands between them; `I` and `O` are widths in and out. */
const EXPERTS: readonly string[] = [
  'param up: [I, F], down: [F, I]   y = relu(u @ up) @ down',
  'param up: [I, F] = normal(0.5), down: [F, I], c: [F] = normal(0.3), e: [I] = normal(0.2)   y = tanh(u @ up + c) @ down + e',
  'param a, b: [I, F], down: [F, I]   y = (silu(u @ a) * (u @ b)) @ down',
  'param a, b: [I, F] = normal(1), down: [F, I]   y = (clamp(u @ a, -1, 1) * (1 + min(u @ b, 0.5))) @ down',
  'param a: [I, F], b: [F, J], c: [J, I]   y = gelu(relu(u @ a)^2 @ b) @ c',
  'param a: [I, F], b: [I, F], c: [F, I]   let h = u @ a   y = (sigmoid(h) * h + h * (u @ b)) @ c',
  'param s: [I] = normal(1)   y = u * s',
];

/** A random mixture that the checker should take: every line is one of several ways to say that step. */
export function routedMixture(seed: number): RoutedMixture {
  const random = randomSource(seed, 'routed');
  const chance = (p: number): boolean => random.uniform() < p;
  const pick = <T>(list: readonly T[]): T => list[random.below(list.length)];
  const grouped = chance(0.25);
  const E = pick(grouped ? [2, 3, 4] : [2, 3, 4, 5, 7, 8, 13, 33, chance(0.1) ? 512 : 6]);
  const M = pick([2, 3, 5]);
  const axes = grouped ? 'G, M' : 'E';
  const all = grouped ? E * M : E;
  const k = 1 + random.below(Math.min(all, pick([1, 2, 4, 32])));
  const latent = !grouped && chance(0.2);
  const lines: string[] = [];
  const params = [`gate: [D, ${axes}] = normal(${pick([0.3, 1, 2])})`];
  const family = pick(['expert', 'expert', 'part']);
  const body = (text: string, width: string): string => text.replaceAll('I', width);
  const [own, shared] = [pick(EXPERTS), pick(EXPERTS)];
  const expertOf = (name: string, text: string, width: string): string => {
    const sizes = [`${width} = 4`, ...(text.includes('F') ? ['F = 3'] : []), ...(text.includes('J') ? ['J = 2'] : [])].join(', ');
    return `layer ${name}(u: [${width}]) -> y: [${width}] with ${sizes} {\n  ${body(text, width)}\n}\n`;
  };

  // Scores.
  const scored = pick(['x @ gate', 'f32(x) @ f32(gate)', 'f32(x @ gate)', '(x * (1 + 0.01 * training * uniform[D](-1, 1))) @ gate']);
  lines.push(`let z = ${scored}`);
  const noisy = chance(0.2) ? pick([` + 0.3 * training * normal[${axes}]()`, ` + training * uniform[${axes}](0, 0.1)`]) : '';
  const p = pick([`softmax[${axes}](z)`, 'sigmoid(z)', 'exp(z / 4)', 'relu(z) + 0.01', 'sqrt(softplus(z))', 'z * z']);
  lines.push(`let p = ${p}`);
  const biased = chance(0.3);
  if (biased) lines.push('let s = p + b' + noisy);
  else lines.push(`let s = ${pick(['z', 'p', '-p', 'p * 2', 'round(4 * p)', '0 * p'])}${noisy}`);

  // The choice.
  const chosen = ((): string => {
    if (grouped && chance(0.7)) {
      const keep = 1 + random.below(E);
      const rank = pick(['max[M](s)', 'sum[M](s)', 'sum[M](s[best])']);
      lines.push(`let best = top[M, ${Math.min(2, M)}](s)`, `let groups = top[G, ${keep}](${rank})`);
      return `top[${axes}, ${Math.min(k, keep * M)}](s[groups])`;
    }
    if (grouped) return `top[${axes}, ${k}](s)`;
    return pick([
      `top[E, ${k}](s)`, `top[E, ${k}](s)`, `top[E, ${k}](s)`, 's > 0.4', `s >= mean[E](s)`,
      `top[tokens, ceil(${pick([0.5, 1, 2])} * tokens / ${E})](s)`, `top[time, ${1 + random.below(3)}](s)`,
    ]);
  })();
  lines.push(`let chosen = ${chosen}`);
  let kept = 'chosen';
  if (chosen.startsWith('top[')) {
    const room = pick(['', '', 'score', 'position', 'reverse', 'second', 'both']);
    const many = `ceil(${pick([0.5, 1, 1.5])} * tokens / ${all})`;
    if (room === 'score') lines.push(`let kept = top[tokens, ${many}](p[chosen])`);
    if (room === 'position') lines.push('let turn = -index[tokens]', `let kept = top[tokens, ${many}](turn[chosen])`);
    if (room === 'reverse') lines.push('let turn = index[time] + 0', `let kept = top[time, ${1 + random.below(3)}](turn[chosen])`);
    if (room === 'second') lines.push(`let kept = chosen and p > ${pick([0, 0.2, 0.5])}`);
    if (room === 'both') lines.push(`let other = top[${axes}, 1](-s)`, 'let kept = chosen or other');
    if (room !== '') kept = 'kept';
  }

  // Weights, on what comes out or on what goes in.
  const w = pick([
    `p[${kept}]`, `p[${kept}] / (sum[${axes}](p[${kept}]) + 1e-3)`, `softmax[${axes}](z[${kept}])`, `2.5 * p[${kept}]`, `mask(${kept}) * p`,
    `stop(p[${kept}])`,
  ]);
  lines.push(`let w = ${w}`);
  const weight = w.startsWith('mask') ? `w[${kept}]` : 'w';
  const into = latent ? 'h' : 'x';
  if (latent) {
    params.push('into: [D, Z] = normal(0.5), out: [Z, D] = normal(0.5)');
    lines.push('let h = x @ into');
  }
  const routedSum = pick([
    `sum[${axes}](${weight} * ${family}(${into}))`, `sum[${axes}](${family}(${into}) * ${weight})`,
    `sum[${axes}](${family}(outer(${weight}, ${into})))`,
    `sum[${axes}](${weight} * ${family}(${into} + ${into} * ${into}))`,
  ]);
  const routed = latent ? `(${routedSum}) @ out` : routedSum;
  const rest = pick(['', '', ' + x', ' + shared(x)', ' + shared(x) * sigmoid(x @ lone)', ' - shared(shared2(x))']);
  if (rest.includes('lone')) params.push('lone: [D] = normal(1)');
  lines.push(`y = ${pick(['', '', '0.5 * '])}${routed}${rest}`);

  // What is trained and counted.
  if (chance(0.5)) lines.push(pick([
    `loss balance = 0.1 * sum[${axes}](mean[tokens](mask(chosen)) * mean[tokens](p))`,
    `loss balance = mean[batch](sum[${axes}](mean[time](mask(chosen)) * mean[time](p)))`,
    `loss z = 0.01 * mean[tokens](logsumexp[${axes}](z)^2)`,
    `loss size = mean[tokens](sum[${axes}](p))`,
    `loss most = 0.1 * mean[tokens](max[${axes}](p))`,
  ]));
  if (biased) lines.push(pick([
    `let n = sum[tokens, calls](mask(${kept}))\n  update b += 0.01 * sign(mean[${axes}](n) - n)`,
    'update b = 0.9 * b + 0.1 * mean[calls](mean[tokens](p))',
    '',
  ]));
  const sizes = [grouped ? `G = ${E}, M = ${M}` : `E = ${E}`, ...(latent ? ['Z = 3'] : [])].join(', ');
  const uses = [
    `use ${family}[${axes}] = expert_part`,
    ...(rest.includes('shared') ? ['use shared = shared_part'] : []), ...(rest.includes('shared2') ? ['use shared2 = shared_part'] : []),
  ];
  const beside = rest.includes('shared') ? [expertOf('shared_part', shared, 'D')] : [];
  const parts = [expertOf('expert_part', own, latent ? 'Z' : 'D'), ...beside];
  return { name: 'routed', text: `${parts.join('')}
moe routed(x: [D]) -> y: [D] with D = 4, ${sizes} {
  param ${params.join(', ')}
${biased ? `  buffer b: [${axes}] = normal(0.2)\n` : ''}  ${uses.join('\n  ')}

  ${lines.filter((line) => line !== '').join('\n  ')}
}
` };
}
