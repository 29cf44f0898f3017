import type { Plan } from '../ir/plan/plan.js';
import { cubinName, ptxName } from './cuda/names.js';
import { RuntimeError, type LoadedPlan, type Runtime } from './runtime.js';

/** Reads one file of a package of kernels, by its name relative to the binding. */
export type ReadFile = (name: string) => Promise<Uint8Array>;

/** Folder names (`cuda.sm90.bf16`) in the order in which a runtime should try them. */
function preferred(runtime: Runtime, folders: readonly string[]): readonly string[] {
  const targets = runtime.kind === 'webgpu' ? ['webgpu.'] : ['cuda.sm90.', 'cuda.sm80.', 'cuda.sm86.'];
  return targets.flatMap((target) => folders.filter((folder) => folder.startsWith(target)));
}

/** Finds the plan that fits the runtime's device and loads it. `sizes`: those that the binding is made for. */
export async function openPlan(
  runtime: Runtime, readFile: ReadFile, folders: readonly string[], sizes: Readonly<Record<string, number>>,
): Promise<LoadedPlan> {
  const candidates = preferred(runtime, folders);
  let refusal: unknown = new RuntimeError(
    `nothing was built for ${runtime.kind}: there is ${folders.join(', ')}`,
    `build with --target ${runtime.kind === 'webgpu' ? 'webgpu' : 'cuda.sm80,cuda.sm86,cuda.sm90'}`,
  );
  for (const folder of candidates) {
    const plan = await readPlan(readFile, folder);
    const different = Object.keys(sizes).find((axis) => plan.sizes[axis] !== sizes[axis]);
    if (different !== undefined) throw new RuntimeError(
      `${folder}/plan.json is made for ${different} = ${plan.sizes[different]}, the binding for ${sizes[different]}`, 'build both together',
    );
    try {
      return await runtime.load(plan, await readFiles(readFile, folder, plan));
    } catch (error) {
      // A device of another generation refuses; an older target may do.
      refusal = error;
    }
  }
  throw refusal;
}

async function readPlan(readFile: ReadFile, folder: string): Promise<Plan> {
  const text = new TextDecoder().decode(await readFile(`${folder}/plan.json`));
  const plan: Plan = JSON.parse(text);
  if (plan.format !== 'lmoec-plan-4') throw new RuntimeError(
    `${folder}/plan.json has the format ${String(plan.format)}, expected lmoec-plan-4`, 'build again with this version of lmoec',
  );
  return plan;
}

async function readFiles(readFile: ReadFile, folder: string, plan: Plan): Promise<ReadonlyMap<string, Uint8Array>> {
  const included = plan.prelude === undefined ? [] : [plan.prelude];
  const sources = [...included, ...new Set(plan.kernels.map((kernel) => kernel.file))];
  // Lies beside the source only where nvcc was found; NVRTC does without.
  const machineCode = sources.filter((name) => name.endsWith('.cu')).flatMap((name) => [cubinName(name), ptxName(name)]);
  // All at once: in a browser each is a request.
  const contents = await Promise.all([
    ...sources.map((name) => readFile(`${folder}/${name}`)),
    ...machineCode.map((name) => readFile(`${folder}/${name}`).catch(() => undefined)),
  ]);
  return new Map([...sources, ...machineCode].flatMap((name, i) => {
    const content = contents[i];
    return content === undefined ? [] : [[name, content] as const];
  }));
}
