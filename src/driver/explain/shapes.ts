import { escapeHtml } from '../../emit/frame.js';

export const round = (value: number): string => String(Math.round(value * 100) / 100);

/** A picture of its own size, with what screen readers say of it. */
export function svg(width: number, height: number, title: string, body: readonly string[]): string {
  return `<svg viewBox="0 0 ${round(width)} ${round(height)}" width="${round(width)}" role="img" aria-label="${escapeHtml(title)}" `
    + `xmlns="http://www.w3.org/2000/svg">${body.join('')}</svg>`;
}

export const text = (x: number, y: number, content: string, kind = '', anchor = 'start'): string =>
  `<text x="${round(x)}" y="${round(y)}" class="${kind}" text-anchor="${anchor}">${escapeHtml(content)}</text>`;
export const rect = (x: number, y: number, width: number, height: number, kind: string, tip = ''): string =>
  `<rect x="${round(x)}" y="${round(y)}" width="${round(width)}" height="${round(height)}" rx="4" class="${kind}">`
  + `${tip === '' ? '' : `<title>${escapeHtml(tip)}</title>`}</rect>`;
export const arrow = (x1: number, y1: number, x2: number, y2: number): string =>
  `<path d="M${round(x1)} ${round(y1)}L${round(x2)} ${round(y2)}" class="arrow" marker-end="url(#tip)"/>`;
/** The tip that arrows end in; once in a picture. */
export const MARKER = '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
  + 'orient="auto-start-reverse"><path d="M0 0L8 4L0 8z" class="head"/></marker></defs>';

/** Widths of letters, about: of what is drawn, only captions must not be cut off. */
export const LETTER = { small: 6.3, name: 7.6 };
