export interface GpuWay {
  readonly backend: string;
  readonly dtype: string;
  readonly note?: string;
}

export interface GpuCase {
  readonly name: string;
  readonly label: string;
  readonly way: GpuWay;
  readonly args: readonly string[];
  /** What it has to complain of. */
  readonly said?: RegExp;
}

export interface Answers {
  readonly webgpu: boolean;
  readonly nvrtc: boolean;
}

export declare function mixtureCases(devices: Answers): readonly GpuCase[];
export declare function randomMixtureCases(devices: Answers, folder: string, count: number): Promise<readonly GpuCase[]>;
