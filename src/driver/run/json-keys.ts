/** The first key that some object of a JSON text has twice; JSON.parse would keep the last one and say nothing. The text must be valid. */
export function repeatedKey(text: string): string | undefined {
  const open: (Set<string> | undefined)[] = [];
  let expectsKey = false;
  for (let i = 0; i < text.length; i++) {
    switch (text[i]) {
      case '{':
        open.push(new Set());
        expectsKey = true;
        break;
      case '[':
        open.push(undefined);
        expectsKey = false;
        break;
      case '}': case ']':
        open.pop();
        expectsKey = false;
        break;
      case ',':
        expectsKey = open.at(-1) !== undefined;
        break;
      case '"': {
        const start = i++;
        while (text[i] !== '"') i += text[i] === '\\' ? 2 : 1;
        if (!expectsKey) break;
        const key = String(JSON.parse(text.slice(start, i + 1)));
        const keys = open.at(-1);
        if (keys?.has(key) === true) return key;
        keys?.add(key);
        expectsKey = false;
        break;
      }
    }
  }
  return undefined;
}
