// Breaks lines of more than 140 characters where the style of the project has them: in lists, at commas; in conditions, before operators;
// comments between words.
//   node scripts/reflow.mjs FILE...
// A file whose tokens would not be the same afterwards (but for commas before a closing bracket) is left as it is.
import { readFileSync, writeFileSync } from 'node:fs';
import ts from 'typescript-6';

const LONGEST = 140;
const OPEN = new Map([['(', ')'], ['[', ']'], ['{', '}']]);
const CLOSE = new Set(OPEN.values());
const { SyntaxKind } = ts;

/** Every token of a text with its place; templates and regular expressions are one token. */
function tokensOf(text) {
  const file = ts.createSourceFile('t.ts', text, ts.ScriptTarget.Latest, true);
  if (file.parseDiagnostics.length > 0) return undefined;
  const found = [];
  const visit = (node) => {
    if (node.kind === SyntaxKind.TemplateExpression || node.getChildCount(file) === 0) {
      if (node.getEnd() > node.getStart(file)) found.push({
        text: text.slice(node.getStart(file), node.getEnd()), start: node.getStart(file), end: node.getEnd(),
      });
    } else node.getChildren(file).forEach((child) => (child.kind === SyntaxKind.JSDoc ? undefined : visit(child)));
  };
  visit(file);
  return found;
}

/** What must stay the same. */
const essence = (tokens) => tokens.map(({ text }) => text).filter((text, i, all) => !(text === ',' && CLOSE.has(all[i + 1]))).join('\n');

/** Words in lines with this in front. */
function wrapped(words, first, rest) {
  const lines = [first];
  for (const word of words) {
    const last = lines[lines.length - 1];
    if (last.length + 1 + word.length <= LONGEST) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(`${rest} ${word}`);
  }
  return lines;
}

function comment(line) {
  const [, indent, mark, body] = /^(\s*)(\/\/|\*|\/\*\*)\s(.*)$/.exec(line) ?? [];
  if (mark === undefined) return undefined;
  if (mark !== '/**') return wrapped(body.split(' '), `${indent}${mark}`, `${indent}${mark}`);
  if (!body.endsWith('*/')) return undefined;
  return [`${indent}/**`, ...wrapped(body.slice(0, -2).trim().split(' '), `${indent} *`, `${indent} *`), `${indent} */`];
}

/** Brackets that open and close among these tokens: [index of one, of the other, depth]. */
function groupsOf(tokens) {
  const open = [];
  const groups = [];
  tokens.forEach(({ text }, i) => {
    if (OPEN.has(text)) open.push(i);
    else if (CLOSE.has(text)) {
      const from = open.pop();
      if (from !== undefined && i > from + 1) groups.push([from, i, open.length]);
    }
  });
  return groups;
}

/** Places between tokens `from` and `to` at their own level: after commas, else before operators of these texts. */
function cuts(tokens, from, to, before) {
  const places = [];
  let depth = 0;
  for (let i = from; i < to; i++) {
    const { text } = tokens[i];
    if (OPEN.has(text)) depth++;
    else if (CLOSE.has(text)) depth--;
    else if (depth === 0 && before === undefined && text === ',' && i + 1 < to) places.push(i + 1);
    else if (depth === 0 && before?.includes(text) && i > from) places.push(i);
  }
  return places;
}

/** Pieces of a line as lines of their own, as many on one as fit. */
function filled(pieces, indent) {
  const lines = [];
  for (const piece of pieces) {
    const last = lines[lines.length - 1];
    if (last !== undefined && last.length + 1 + piece.length <= LONGEST) lines[lines.length - 1] = `${last} ${piece}`;
    else lines.push(indent + piece);
  }
  return lines;
}

function pieces(line, tokens, from, to, places) {
  const at = [from, ...places, to];
  return at.slice(0, -1).map((start, i) => line.slice(tokens[start].start, tokens[at[i + 1] - 1].end));
}

const OPERATORS = [['&&', '||'], ['??'], ['?', ':']];

/** The line in several, or undefined. `tokens`: those of the line, from its start. */
function broken(line, tokens) {
  const indent = /^\s*/.exec(line)[0];
  const cases = tokens[0].text === 'case' ? tokens.flatMap(({ text }, i) => (text === 'case' && i > 0 ? [i] : [])) : [];
  if (cases.length > 0) {
    const lines = filled(pieces(line, tokens, 0, tokens.length, cases), indent);
    if (lines.length > 1) return lines;
  }
  const whole = (list) => list.every((each) => each.length <= LONGEST);
  const operators = (sets) => sets.map((texts) => {
    const places = cuts(tokens, 0, tokens.length, texts).filter((i) => i > 1 && tokens[0].text !== 'case');
    if (places.length === 0 || (texts[0] === '?' && (places.length % 2 !== 0 || !/^\s*(return|const|let)\b/.test(line)))) return undefined;
    const list = pieces(line, tokens, 0, tokens.length, places);
    return [indent + list[0], ...list.slice(1).map((piece) => `${indent}  ${piece}`)];
  }).find((lines) => lines !== undefined && whole(lines));
  const choice = operators([['?', ':']]);
  if (choice !== undefined) return choice;
  const ways = [];
  const groups = groupsOf(tokens);
  // What stands in a condition stays together where there is something behind it.
  const condition = ['if', 'for', 'while'].includes(tokens[0].text) ? groups.find(([from]) => from === 1)?.[1] ?? 0 : 0;
  const behind = groups.filter(([from, to]) => from > condition && to - from >= 4);
  for (const [from, to, depth] of condition > 0 && behind.length > 0 ? behind : groups) {
    if (to - from < 4) continue;
    const [first, last] = [tokens[from], tokens[to]];
    // A few names are no list.
    if (last.start - first.end < 30) continue;
    const commas = cuts(tokens, from + 1, to);
    const places = commas.length > 0
      ? commas
      : OPERATORS.map((texts) => cuts(tokens, from + 1, to, texts)).find((list) => list.length > 0) ?? [];
    if (places.length === 0) continue;
    // The condition of a `for`, types of an object: nothing to break at commas.
    if (tokens.slice(from + 1, to).some(
      ({ text }, i) => text === ';' && cuts(tokens, from + 1, to, [';']).includes(from + 1 + i)
    )) continue;
    const list = pieces(line, tokens, from + 1, to, places);
    const rest = list.some((piece, i) => i === list.length - 1 && piece.startsWith('...'));
    const params = first.text === '(' || (first.text === '[' && /^\s*(const|let)\b/.test(line));
    const end = commas.length === 0 || list[list.length - 1].endsWith(',') || (rest && params) ? '' : ',';
    list[list.length - 1] += first.text === '{' || first.text === '[' || first.text === '(' ? end : '';
    const lines = [line.slice(0, first.end), ...filled(list, `${indent}  `), indent + line.slice(last.start)];
    if (lines[0].trim().length < 2) continue;
    ways.push({ lines, depth, size: last.start - first.end, commas: commas.length > 0 });
  }
  ways.sort((a, b) => a.depth - b.depth || Number(b.commas) - Number(a.commas) || b.size - a.size);
  const fits = ways.find(({ lines }) => whole(lines));
  if (fits !== undefined) return fits.lines;
  return operators([['&&', '||'], ['??']]) ?? ways.find(
    ({ lines, size }) => size > 40 && lines.every((each) => each.length < line.length)
  )?.lines;
}

/** A text with its long lines broken, as far as that goes. */
function reflowed(text) {
  let now = text;
  for (let round = 0; round < 6; round++) {
    const tokens = tokensOf(now);
    if (tokens === undefined) return undefined;
    let start = 0;
    let next = 0;
    // Words that the comment in the line before had no room for.
    let carried = '';
    const all = now.split('\n');
    const lines = all.flatMap((given, at) => {
      const [from, to] = [start, start + given.length];
      start = to + 1;
      const line = carried === '' ? given : given.replace(/^(\s*(?:\/\/|\*) )/, `$1${carried} `);
      carried = '';
      while (next < tokens.length && tokens[next].end <= from) next++;
      const inside = tokens.slice(next).filter((token) => token.start < to && token.end > from);
      if (line.length <= LONGEST) return [line];
      if (inside.length === 0) {
        const made = comment(line) ?? [line];
        // Prose goes on in the next line of the same comment.
        const [mark] = /^\s*(\/\/|\*) /.exec(line) ?? [];
        const next = all[at + 1] ?? '';
        if (mark === undefined || made.length < 2 || !next.startsWith(mark) || /^\s*(\/\/|\*) (\s|[-*|`@]|$)/.test(next)) return made;
        carried = made.slice(1).map((own) => own.slice(mark.length)).join(' ');
        return [made[0]];
      }
      // Parts of what goes on in other lines, such as templates, and comments behind code stay.
      if (
        inside[0].start < from || inside[inside.length - 1].end > to || inside[inside.length - 1].end !== from + line.trimEnd().length
      ) return [line];
      const made = broken(line, inside.map((token) => ({ text: token.text, start: token.start - from, end: token.end - from })));
      return made ?? [line];
    });
    const after = lines.join('\n');
    if (after === now) break;
    now = after;
  }
  const [before, after] = [tokensOf(text), tokensOf(now)];
  return before !== undefined && after !== undefined && essence(before) === essence(after) ? now : undefined;
}

for (const path of process.argv.slice(2)) {
  const text = readFileSync(path, 'utf8');
  const made = reflowed(text);
  const long = (whole) => whole.split('\n').filter((line) => line.length > LONGEST).length;
  if (made === undefined) console.log(`${path}: left as it is`);
  else if (made !== text) {
    writeFileSync(path, made);
    console.log(`${path}: ${long(text)} -> ${long(made)}`);
  }
}
