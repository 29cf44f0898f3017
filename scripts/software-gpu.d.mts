export interface SoftwareGpu {
  readonly name: 'swiftshader' | 'lavapipe';
  /** Description of the Vulkan driver, for VK_ICD_FILENAMES. */
  readonly icd: string;
}
export function softwareGpus(): SoftwareGpu[];
export function environmentOf(gpu: SoftwareGpu): Record<string, string | undefined>;
