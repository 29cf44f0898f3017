import Handlebars from 'handlebars';
import { visible } from '../support/text.js';

/** Fills an HTML template; values are escaped, `{{{...}}}` inserts markup. A name that is missing is an error, not an empty string. */
export function fillHtml(template: string, data: Readonly<Record<string, unknown>>): string {
  return visible(Handlebars.compile(template, { strict: true, knownHelpersOnly: true })(data));
}

/** Text as it stands in HTML and SVG, between tags and in attributes. */
export function escapeHtml(text: string): string {
  return Handlebars.escapeExpression(text);
}
