import Handlebars from 'handlebars';

/** Fills the template of a text that is no HTML; a name that is missing is an error, not an empty string. */
export function textFrame<Data extends object>(template: string): (data: Data) => string {
  return Handlebars.compile<Data>(template, { strict: true, knownHelpersOnly: true, noEscape: true });
}
