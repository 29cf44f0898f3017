import type { Host } from './host.js';

/** Which driver the Vulkan loader takes is the user's choice where one of these is set. */
const CHOSEN = ['VK_ICD_FILENAMES', 'VK_DRIVER_FILES', 'VK_ADD_DRIVER_FILES', 'VK_LOADER_DRIVERS_SELECT', 'VK_LOADER_DRIVERS_DISABLE'];

/**
 * What a graphics card shows itself by: those of the kernel's own drivers (render nodes have numbers from 128), NVIDIA's, and that of
 * Windows below.
 */
const CARDS = [
  ...Array.from({ length: 16 }, (_, i) => `/dev/dri/renderD${128 + i}`), ...Array.from({ length: 16 }, (_, i) => `/dev/nvidia${i}`),
  '/dev/dxg', '/dev/mali0',
];

/** Libraries of drivers that need no card, the faster first: once compiled, lavapipe's kernels run several times as fast. */
const SOFTWARE = [/lvp/, /swiftshader/];

/** Folders in which the Vulkan loader looks for drivers, in its order. */
function driverFolders(host: Host): string[] {
  const home = host.env('HOME');
  const under = (name: string, ...rest: string[]) => host.env(name) ?? (home === undefined ? undefined : host.join(home, ...rest));
  const listed = (name: string, otherwise: string) => (host.env(name) || otherwise).split(':');
  const roots = [
    under('XDG_CONFIG_HOME', '.config'), ...listed('XDG_CONFIG_DIRS', '/etc/xdg'), '/usr/local/etc', '/etc', under(
      'XDG_DATA_HOME', '.local', 'share',
    ), ...listed('XDG_DATA_DIRS', '/usr/local/share:/usr/share'),
  ];
  return [...new Set(roots.flatMap((root) => (root === undefined || root === '' ? [] : [host.join(root, 'vulkan', 'icd.d')])))];
}

/**
 * The description of the software driver that WebGPU should take, for the variables that the loader reads when Dawn is made:
 * `requestAdapter` lists no alternatives. Undefined where there is nothing to choose: a card, a choice of the user's, or fewer than two
 * such drivers.
 */
export function softwareDriver(host: Host): string | undefined {
  if (CHOSEN.some((name) => host.env(name) !== undefined) || CARDS.some((path) => host.exists(path))) return undefined;
  const drivers = driverFolders(host).filter((folder) => host.isFolder(folder)).flatMap((folder) => (
    host.list(folder).filter((name) => name.endsWith('.json')).map((name) => host.join(folder, name))
  ));
  const ranked = drivers.flatMap((path) => {
    const library = /"library_path"\s*:\s*"([^"]*)"/.exec(host.readText(path) ?? '')?.[1] ?? '';
    const rank = SOFTWARE.findIndex((pattern) => pattern.test(library));
    return rank < 0 ? [] : [{ path, rank }];
  });
  const [best, ...others] = ranked.sort((x, y) => x.rank - y.rank);
  return best === undefined || others.every(({ rank }) => rank === best.rank) ? undefined : best.path;
}
