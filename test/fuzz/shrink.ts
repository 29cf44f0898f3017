import { argumentsOf, namesIn, printProgram, pruned, type Program, type Shape, type Term } from './program.js';

const sameShape = (a: Shape, b: Shape) => a.length === b.length && a.every((axis) => b.includes(axis));

/** Terms that say less than this one: its parts, or a name in its place. */
function* smaller(term: Term, program: Program): Generator<Term> {
  if (term.kind === 'leaf') return;
  for (const arg of term.args) if (sameShape(arg.shape, term.shape)) yield arg;
  for (const arg of term.args) for (const inner of argumentsOf(arg)) if (sameShape(inner.shape, term.shape)) yield inner;
  const plain = program.tensors.find(({ role, shape, range }) => role === 'input' && range === undefined && sameShape(shape, term.shape));
  if (plain !== undefined) yield { kind: 'leaf', text: plain.name, name: plain.name, shape: plain.shape };
  if (term.shape.length === 0) yield { kind: 'leaf', text: '0.5', name: undefined, shape: [] };
  for (const [i, arg] of term.args.entries()) {
    for (const less of smaller(arg, program)) {
      const args = term.args.map((own, j) => (i === j ? less : own));
      yield term.kind === 'call' ? { ...term, args } : term.kind === 'negated' ? { ...term, args: [args[0]] } : {
        ...term, args: [args[0], args[1]],
      };
    }
  }
}

function replaced(term: Term, name: string, value: Term): Term {
  if (term.kind === 'leaf') return term.name === name ? value : term;
  const args = term.args.map((arg) => replaced(arg, name, value));
  return term.kind === 'call'
    ? { ...term, args }
    : term.kind === 'negated'
    ? { ...term, args: [args[0]] }
    : { ...term, args: [args[0], args[1]] };
}

/** Programs a step smaller, the boldest first. */
function* candidates(program: Program): Generator<Program> {
  if (program.outputs.length > 1) for (const output of program.outputs) yield pruned({
    ...program, outputs: program.outputs.filter((other) => other !== output),
  });
  for (const line of program.lines) {
    if (line.kind !== 'let') continue;
    const lines = program.lines.filter((other) => other !== line).map((other) => ({
      ...other, value: replaced(other.value, line.name, line.value),
    }));
    if (printProgram({ ...program, lines }).length < 6000) yield pruned({ ...program, lines });
  }
  for (const [i, line] of program.lines.entries()) {
    for (const value of smaller(line.value, program)) yield pruned({
      ...program, lines: program.lines.map((other, j) => (i === j ? { ...line, value } : other)),
    });
  }
  for (const tensor of program.tensors) {
    if (tensor.group === true) yield {
      ...program, tensors: program.tensors.map((other) => (other === tensor ? { ...tensor, group: false } : other)),
    };
  }
}

const weight = (program: Program) => printProgram(program).length + program.lines.reduce(
  (sum, line) => sum + namesIn(line.value).length, 0,
);

/** The smallest program found that still shows what `fails` looks for, within some number of tries. */
export async function shrunk(program: Program, fails: (program: Program) => Promise<boolean>, tries = 400): Promise<Program> {
  let best = pruned(program);
  if (!(await fails(best))) best = program;
  let left = tries;
  for (let improved = true; improved && left > 0;) {
    improved = false;
    for (const candidate of candidates(best)) {
      if (left <= 0) break;
      const inlined = candidate.lines.length < best.lines.length;
      if (!inlined && weight(candidate) >= weight(best)) continue;
      left--;
      if (await fails(candidate)) {
        best = candidate;
        improved = true;
        break;
      }
    }
  }
  return best;
}
