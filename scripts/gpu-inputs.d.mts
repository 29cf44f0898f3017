import type { DrawnTensor } from '../src/driver/scan/run/draw.js';

export type Adjust = (drawn: ReadonlyMap<string, DrawnTensor>) => void;

export declare function times(factors: Readonly<Record<string, number>>): Adjust;
export declare function repeated(strength: number): Adjust;
export declare function nearlyRepeated(low: number, high: number, noise?: number): Adjust;
export declare const RANGES: Readonly<Record<'states' | 'cotangents' | 'erasedCotangents' | 'small', Readonly<Record<string, number>>>>;
export declare const FEW: number;
