/**
 * Characters of kernels in a file, on average at most. Compilers take some 0.05 to 0.25 milliseconds for one, and half a second for a file
 * without kernels: files of this size cost little more than a single one, and are compiled side by side.
 */
const LONG = 64 * 1024;

/** The file of each kernel by its text: the longest first, each into the file that has least so far. */
export function filesOf(name: string, texts: readonly string[]): readonly string[] {
  const count = Math.ceil(texts.reduce((all, { length }) => all + length, 0) / LONG);
  if (count <= 1) return texts.map(() => `${name}.cu`);
  const lengths = new Array<number>(count).fill(0);
  const places = new Array<number>(texts.length).fill(0);
  for (const i of texts.map((_, at) => at).sort((a, b) => texts[b].length - texts[a].length)) {
    const least = lengths.indexOf(Math.min(...lengths));
    places[i] = least;
    lengths[least] += texts[i].length;
  }
  // Numbered as their first kernels come.
  const order = [...new Set(places)];
  return places.map((place) => `${name}.${order.indexOf(place) + 1}.cu`);
}
