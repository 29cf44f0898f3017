// Writes grammar/lmoe.ebnf and grammar/lmoe.tmLanguage.json, which follow from the tokens and the rules.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { compile, root } from './setup.mjs';

if (!compile()) process.exit(1);
const { derivedFiles } = await import(join(root, 'dist/grammar/derive.js'));
for (const [name, text] of Object.entries(derivedFiles())) {
  writeFileSync(join(root, 'grammar', name), text);
  console.log(`grammar/${name}`);
}
