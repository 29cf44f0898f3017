export function lengthFaults(): readonly string[];
export function ruleFaults(): readonly string[] | undefined;
