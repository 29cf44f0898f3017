import fc from 'fast-check';
import { lexer } from '../../../grammar/tokens.js';

const NAMES = ['q', 'k', 'v', 'g', 'S', 'beta', 'A_log', 'from', 'group', 'with', 'per', 'sequential', 'x1', '_y'];
const AXES = ['K', 'V', 'M', 'group'];
const name = fc.constantFrom(...NAMES);
const axes = fc.uniqueArray(fc.constantFrom(...AXES), { maxLength: 3 }).map((list) => `[${list.join(', ')}]`);
const number = fc.constantFrom('0', '1', '64', '0.5', '.5', '1e-6', '2.5E+3', '007');

/** Expressions by precedence, with only the parentheses that they need or that somebody might write. */
const { sum } = fc.letrec<{ atom: string; power: string; signed: string; contraction: string; product: string; sum: string }>((tie) => {
  const chain = (part: fc.Arbitrary<string>, operators: readonly string[]): fc.Arbitrary<string> =>
    fc.tuple(part, fc.array(fc.tuple(fc.constantFrom(...operators), part), { maxLength: 2 })).map(([first, rest]) => rest.reduce((text, [op, next]) => `${text} ${op} ${next}`, first));
  return {
    atom: fc.oneof(
      { maxDepth: 3, withCrossShrink: true },
      number, name,
      fc.tuple(name, fc.constantFrom('-', '+'), fc.constantFrom('1', '2')).map(([n, sign, steps]) => `${n}[t${sign}${steps}]`),
      fc.tuple(name, axes).map(([n, a]) => `${n}${a}`),
      tie('sum').map((inner) => `(${inner})`),
      fc.tuple(name, fc.option(axes, { nil: '' }), fc.array(tie('sum'), { maxLength: 3 })).map(([n, a, args]) => `${n}${a}(${args.join(', ')})`),
    ),
    power: fc.oneof({ maxDepth: 3 }, tie('atom'), fc.tuple(tie('atom'), tie('signed')).map(([base, exponent]) => `${base}^${exponent}`)),
    signed: fc.oneof({ maxDepth: 3 }, tie('power'), tie('signed').map((arg) => `-${arg}`)),
    contraction: chain(tie('signed'), ['@']),
    product: chain(tie('contraction'), ['*', '/']),
    sum: chain(tie('product'), ['+', '-']),
  };
});

export const expression = sum;

const names = fc.uniqueArray(name, { minLength: 1, maxLength: 3 }).map((list) => list.join(', '));
const range = fc.tuple(fc.constantFrom('-inf', '0', '-5', '-exp(-0.5)'), fc.constantFrom('0', '1', 'inf', '2 * 3')).map(([lo, hi]) => ` in ${lo}..${hi}`);
const declared = fc.tuple(names, axes).map(([n, a]) => `${n}: ${a}`);
const ranged = fc.tuple(declared, fc.option(range, { nil: '' })).map(([d, r]) => `${d}${r}`);
const input = fc.tuple(ranged, fc.constantFrom('', ' per group')).map(([p, g]) => `${p}${g}`);
const list = (part: fc.Arbitrary<string>, minLength: number): fc.Arbitrary<string> => fc.array(part, { minLength, maxLength: 3 }).map((parts) => parts.join(', '));

const statement = fc.oneof(
  fc.tuple(fc.constantFrom('const', 'let'), name, fc.option(axes, { nil: undefined }), expression).map(([kind, n, a, value]) => `${kind} ${n}${a === undefined ? '' : `: ${a}`} = ${value}`),
  fc.tuple(name, expression).map(([n, value]) => `${n} = ${value}`),
  list(ranged, 1).map((groups) => `param ${groups}`),
  list(ranged, 1).map((groups) => `state ${groups}`),
);

const scan = fc.tuple(name, list(input, 0), list(declared, 1), fc.constantFrom('', ' sequential'), fc.constantFrom('', ' with K = 64', ' with K = 64, V = 128'), fc.array(statement, { maxLength: 4 }))
  .map(([n, inputs, outputs, mode, sizes, body]) => `scan ${n}(${inputs}) -> ${outputs}${mode}${sizes} {\n${body.join('\n')}\n}`);
const importItem = fc.tuple(names, fc.constantFrom('./a.lmoe', '../b c.lmoe')).map(([n, path]) => `import { ${n} } from "${path}"`);

/** The text of a file that follows the grammar; it need not mean anything. */
export const program = fc.array(fc.oneof({ arbitrary: scan, weight: 4 }, { arbitrary: importItem, weight: 1 }), { maxLength: 3 }).map((items) => items.join('\n'));

const comment = fc.constantFrom('// note', '/// doc', '/* short */', '/* two\n   lines */', '//', '/**/');
const gap = fc.oneof({ weight: 6, arbitrary: fc.constantFrom(' ', '\n', '  ', '\n\n', '\n\n\n', '\t') }, { weight: 2, arbitrary: comment });

/** The same tokens with other white space, and comments anywhere between them. */
export const messyProgram = program.chain((text) => {
  const tokens = lexer.tokenize(text).tokens.map((token) => token.image);
  return fc.array(fc.array(gap, { maxLength: 3 }), { minLength: tokens.length + 1, maxLength: tokens.length + 1 }).map((gaps) =>
    [...tokens, ''].map((token, i) => `${gaps[i].map((g) => (g.startsWith('//') ? `${g}\n` : g)).join(' ')} ${token} `).join(''));
});

export function commentsOf(text: string): string[] {
  const { groups } = lexer.tokenize(text);
  return (groups['comments'] ?? []).map((token) => token.image.trimEnd()).sort();
}
