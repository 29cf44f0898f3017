export function longLines(): Readonly<Record<string, number>>;
export function lengthFaults(): readonly string[];
export function ruleFaults(): readonly string[] | undefined;
