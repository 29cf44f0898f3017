/** Node, or what stands in for it; else a browser. Some bundlers give pages a `process` without versions. */
export const IN_NODE = typeof process !== 'undefined' && process.versions?.node !== undefined;
