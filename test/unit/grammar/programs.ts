import fc from 'fast-check';
import { CONTEXTUAL, lexer } from '../../../grammar/tokens.js';

/** Words with a meaning at one place are names at all others. */
export const WORDS = CONTEXTUAL.map(({ PATTERN }) => (PATTERN instanceof RegExp ? PATTERN.source : ''));
const AXES = ['K', 'V', 'M', 'group', 'of', 'f32'];
const name = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom('q', 'k', 'v', 'g', 'S', 'beta', 'A_log', 'x1', '_y') },
  { weight: 1, arbitrary: fc.constantFrom(...WORDS) },
);
const axes = fc.uniqueArray(fc.constantFrom(...AXES), { maxLength: 3 }).map((list) => `[${list.join(', ')}]`);
const number = fc.constantFrom('0', '1', '64', '0.5', '.5', '1e-6', '2.5E+3', '007');
const text = fc.constantFrom('""', '"L"', '"model.{i}."', '"// no comment"', '"ä /* { } */"');
const list = (
  part: fc.Arbitrary<string>, minLength: number,
): fc.Arbitrary<string> => fc.array(part, { minLength, maxLength: 3 }).map((parts) => parts.join(', '));
const maybe = (part: fc.Arbitrary<string>): fc.Arbitrary<string> => fc.option(part, { nil: '' });

interface Levels {
  atom: string; power: string; signed: string; contraction: string;
  product: string; sum: string; comparison: string; conjunction: string; expression: string;
}

/** Levels of a formula share their depth, or each would bring as much of its own. */
const inFormula = { maxDepth: 5, depthIdentifier: fc.createDepthIdentifier() };

/** Expressions by precedence, with only the parentheses that they need or that somebody might write. */
const { sum, expression } = fc.letrec((tie: fc.LetrecTypedTie<Levels>) => {
  const chain = (part: fc.Arbitrary<string>, operators: readonly string[]): fc.Arbitrary<string> => fc.oneof(
    { ...inFormula, withCrossShrink: true },
    { weight: 3, arbitrary: part },
    { weight: 1, arbitrary: fc.tuple(
      part, fc.array(fc.tuple(fc.constantFrom(...operators), part), { minLength: 1, maxLength: 2 }),
    ).map(([first, rest]) => rest.reduce((left, [op, next]) => `${left} ${op} ${next}`, first)) },
  );
  const brackets = fc.array(tie('expression'), { maxLength: 2 }).map((indices) => `[${indices.join(', ')}]`);
  const argument = fc.tuple(maybe(name.map((n) => `${n}: `)), tie('expression')).map(([n, value]) => `${n}${value}`);
  return {
    atom: fc.oneof(
      { ...inFormula, withCrossShrink: true },
      fc.oneof(number, name, text),
      fc.tuple(name, fc.constantFrom('-', '+'), fc.constantFrom('1', '2')).map(([n, sign, steps]) => `${n}[t${sign}${steps}]`),
      fc.tuple(name, axes).map(([n, a]) => `${n}${a}`),
      tie('expression').map((inner) => `(${inner})`),
      fc.tuple(name, brackets).map(([n, b]) => `${n}${b}`),
      fc.tuple(
        name, maybe(fc.oneof(axes, brackets)), fc.array(argument, { maxLength: 2 }),
      ).map(([n, b, args]) => `${n}${b}(${args.join(', ')})`),
    ),
    power: fc.oneof(
      inFormula, { weight: 4, arbitrary: tie('atom') },
      { weight: 1, arbitrary: fc.tuple(tie('atom'), tie('signed')).map(([base, exponent]) => `${base}^${exponent}`) },
    ),
    signed: fc.oneof(inFormula, { weight: 4, arbitrary: tie('power') }, { weight: 1, arbitrary: tie('signed').map((arg) => `-${arg}`) }),
    contraction: chain(tie('signed'), ['@', '@', '@[K]', '@[]', '@[K, V]']),
    product: chain(tie('contraction'), ['*', '/', '%']),
    sum: chain(tie('product'), ['+', '-']),
    comparison: fc.oneof(
      inFormula,
      { weight: 4, arbitrary: tie('sum') },
      { weight: 1, arbitrary: tie('comparison').map((arg) => `not ${arg}`) },
      { weight: 1, arbitrary: fc.tuple(
        tie('sum'), fc.constantFrom('<', '<=', '>', '>=', '==', '!='), tie('sum'),
      ).map(([left, op, right]) => `${left} ${op} ${right}`) },
    ),
    conjunction: chain(tie('comparison'), ['and']),
    expression: chain(tie('conjunction'), ['or']),
  };
});

export { expression };

const names = fc.uniqueArray(name, { minLength: 1, maxLength: 3 }).map((all) => all.join(', '));
const range = fc.tuple(
  fc.constantFrom('-inf', '0', '-5', '-exp(-0.5)'), fc.constantFrom('0', '1', 'inf', '2 * 3'),
).map(([lo, hi]) => ` in ${lo}..${hi}`);
const declared = fc.tuple(names, axes).map(([n, a]) => `${n}: ${a}`);
const ranged = fc.tuple(declared, maybe(range)).map(([d, r]) => `${d}${r}`);
const input = fc.oneof(
  { weight: 4, arbitrary: fc.tuple(ranged, fc.constantFrom('', ' per group')).map(([p, g]) => `${p}${g}`) },
  { weight: 1, arbitrary: fc.tuple(names, name).map(([n, of]) => `${n}: one of ${of}`) },
);
const modifiers = fc.array(fc.constantFrom(' f32', ' decay', ' no decay'), { maxLength: 2 }).map((all) => all.join(''));
const parameter = fc.tuple(ranged, maybe(expression.map((law) => ` = ${law}`)), modifiers).map((all) => all.join(''));
const binding = fc.tuple(name, maybe(expression.map((value) => ` = ${value}`))).map(([n, value]) => `${n}${value}`);
const withList = maybe(list(binding, 1).map((all) => ` with ${all}`));

const path = fc.array(name, { minLength: 1, maxLength: 3 }).map((all) => all.join('.'));
const { layout } = fc.letrec<{ dim: string; layout: string }>((tie) => ({
  dim: fc.array(fc.oneof(
    { maxDepth: 2 }, fc.constantFrom('K', 'V', '1', '128', 'of'),
    fc.array(tie('dim'), { minLength: 1, maxLength: 3 }).map((all) => `(${all.join(' | ')})`),
  ), { minLength: 1, maxLength: 3 })
    .map((all) => all.join(' ')),
  layout: fc.array(tie('dim'), { maxLength: 3 }).map((all) => ` [${all.join(', ')}]`),
}));
const { entries } = fc.letrec<{ entry: string; entries: string }>((tie) => ({
  entry: fc.oneof(
    { maxDepth: 2 },
    text.map((pattern) => `ignore ${pattern}`),
    fc.tuple(list(path, 1), text, maybe(layout)).map(([p, tensor, l]) => `${p} = ${tensor}${l}`),
    // `ignore "..."` is no part of that name.
    fc.tuple(
      list(path, 1).filter((p) => p !== 'ignore'), text, maybe(name.map((n) => ` like ${n}`)), maybe(tie('entries')),
    ).map((all) => `${all[0]} ${all[1]}${all[2]}${all[3]}`),
    fc.tuple(text, tie('entries')).map(([prefix, own]) => `${prefix}${own}`),
  ),
  entries: fc.array(tie('entry'), { maxLength: 3 }).map((all) => ` {\n${all.join('\n')}\n}`),
}));

const scanStatement = fc.oneof(
  list(
    fc.tuple(name, maybe(axes.map((a) => `: ${a}`)), expression).map(([n, a, value]) => `${n}${a} = ${value}`), 1,
  ).map((constants) => `const ${constants}`),
  fc.tuple(names, maybe(axes.map((a) => `: ${a}`)), expression).map(([n, a, value]) => `let ${n}${a} = ${value}`),
  fc.tuple(name, fc.constantFrom('=', '=', '=', '+='), expression).map(([n, sign, value]) => `${n} ${sign} ${value}`),
  list(parameter, 1).map((groups) => `param ${groups}`),
  list(ranged, 1).map((groups) => `state ${groups}`),
);

interface Bodies { statement: string; block: string; otherwise: string }

const { statement } = fc.letrec<Bodies>((tie) => ({
  statement: fc.oneof(
    { maxDepth: 2 },
    { weight: 6, arbitrary: scanStatement },
    { weight: 1, arbitrary: list(parameter, 1).map((groups) => `buffer ${groups}`) },
    { weight: 1, arbitrary: fc.tuple(
      names, maybe(axes), name, withList,
    ).map(([n, family, part, given]) => `use ${n}${family} = ${part}${given}`) },
    { weight: 1, arbitrary: fc.tuple(name, expression).map(([n, value]) => `loss ${n} = ${value}`) },
    { weight: 1, arbitrary: fc.tuple(
      name, fc.constantFrom('=', '+='), expression,
    ).map(([n, sign, value]) => `update ${n} ${sign} ${value}`) },
    { weight: 1, arbitrary: expression.map((value) => `init ${value}`) },
    { weight: 1, arbitrary: fc.tuple(name, entries).map(([family, own]) => `names ${family}${own}`) },
    { weight: 1, arbitrary: fc.tuple(
      expression, tie('block'), tie('otherwise'),
    ).map(([condition, then, otherwise]) => `if ${condition}${then}${otherwise}`) },
    { weight: 1, arbitrary: fc.tuple(
      names, sum, maybe(sum.map((to) => `..${to}`)), tie('block'),
    ).map(([n, from, to, body]) => `repeat ${n} in ${from}${to}${body}`) },
  ),
  block: fc.array(tie('statement'), { maxLength: 3 }).map((body) => ` {\n${body.join('\n')}\n}`),
  otherwise: fc.oneof(
    { maxDepth: 2 }, fc.constant(''), tie('block').map((body) => ` else${body}`),
    fc.tuple(expression, tie('block'), tie('otherwise')).map(([c, then, rest]) => ` else if ${c}${then}${rest}`),
  ),
}));

const mode = fc.constantFrom('', ' sequential', ' with K = 64', ' with K = 64, V = 128');
const scan = fc.tuple(name, list(input, 0), list(declared, 1), mode, fc.array(scanStatement, { maxLength: 4 }))
  .map(([n, inputs, outputs, given, body]) => `scan ${n}(${inputs}) -> ${outputs}${given} {\n${body.join('\n')}\n}`);
const part = fc.tuple(
  fc.constantFrom('scan', 'moe', 'layer', 'model'), name, list(input, 0), list(declared, 1), withList,
  fc.array(statement, { maxLength: 4 }),
)
  .map(([kind, n, inputs, outputs, given, body]) => `${kind} ${n}(${inputs}) -> ${outputs}${given} {\n${body.join('\n')}\n}`);
const importItem = fc.tuple(names, fc.constantFrom('./a.lmoe', '../b c.lmoe')).map(([n, from]) => `import { ${n} } from "${from}"`);

/** The text of a file that follows the grammar; it need not mean anything. */
export const program = fc.array(
  fc.oneof({ arbitrary: scan, weight: 3 }, { arbitrary: part, weight: 4 }, { arbitrary: importItem, weight: 1 }), { maxLength: 3 },
).map((items) => items.join('\n'));

const comment = fc.constantFrom('// note', '/// doc', '/* short */', '/* two\n   lines */', '//', '/**/');
const gap = fc.oneof({ weight: 6, arbitrary: fc.constantFrom(' ', '\n', '  ', '\n\n', '\n\n\n', '\t') }, { weight: 2, arbitrary: comment });

/** The same tokens with other white space, and comments anywhere between them. */
export const messyProgram = program.chain((whole) => {
  const tokens = lexer.tokenize(whole).tokens.map((token) => token.image);
  return fc.array(fc.array(gap, { maxLength: 3 }), { minLength: tokens.length + 1, maxLength: tokens.length + 1 }).map((gaps) =>
    [...tokens, ''].map((token, i) => `${gaps[i].map((g) => (g.startsWith('//') ? `${g}\n` : g)).join(' ')} ${token} `).join(''));
});

export function commentsOf(whole: string): string[] {
  const { groups } = lexer.tokenize(whole);
  return (groups['comments'] ?? []).map((token) => token.image.trimEnd()).sort();
}
