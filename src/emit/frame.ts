import Handlebars from 'handlebars';

/** Fills an HTML template; values are escaped, `{{{...}}}` inserts markup. A name that is missing is an error, not an empty string. */
export function fillHtml(template: string, data: Readonly<Record<string, unknown>>): string {
  return Handlebars.compile(template, { strict: true, knownHelpersOnly: true })(data);
}
