/** `[D = 64, H = 2]` */
export function axesText(axes: readonly { readonly name: string; readonly size: number }[]): string {
  return `[${axes.map(({ name, size }) => `${name} = ${size}`).join(', ')}]`;
}
