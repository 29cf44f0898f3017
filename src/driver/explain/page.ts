import { CODES, isCode } from '../../diagnostics/codes.js';
import { didYouMean } from '../../diagnostics/suggest.js';
import type { Host } from '../host.js';
import { problem, type Problem } from '../problem.js';

/** What a code means: its page in docs/diagnostics. */
export function pageOf(host: Host, code: string): string | Problem {
  if (!isCode(code)) return problem(
    'E702', `there is no code ${code}`, ...didYouMean(code, Object.keys(CODES)), `codes are ${Object.keys(CODES).join(', ')}`,
  );
  return host.readText(host.join(host.root, 'docs', 'diagnostics', `${code}.md`)) ?? `# ${code}: ${CODES[code].about}\n`;
}
