import type { Host } from './host.js';

const templates = new Map<string, Readonly<Record<string, string>>>();

/** Templates below templates/`folder`, by path relative to it; read once. */
export function templatesOf(host: Host, folder: string): Readonly<Record<string, string>> {
  const root = host.join(host.root, 'templates', folder);
  const known = templates.get(root) ?? Object.fromEntries(host.list(root).map((name) => [
    name, host.readText(host.join(root, name)) ?? '',
  ]));
  templates.set(root, known);
  return known;
}

let version: string | undefined;

/** Of package.json. */
export function compilerVersion(host: Host): string {
  version ??= /"version": *"([^"]*)"/.exec(host.readText(host.join(host.root, 'package.json')) ?? '')?.[1] ?? 'unknown';
  return version;
}
