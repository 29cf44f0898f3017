import type { LayoutDim, LayoutFactor } from '../../ir/graph/names.js';
import type { PieceAxis } from '../../ir/graph/stored.js';
import type { Axis } from '../../ir/graph/types.js';

/** What a layout is of: the axes of a param that lie in the tensor, and their steps in the param. */
export interface Laid {
  readonly path: string;
  readonly axes: readonly (Axis & { readonly native: number })[];
}

export interface Layout {
  readonly dims: readonly number[];
  /** Where each param lies, in their order. */
  readonly places: readonly { readonly at: number; readonly axes: readonly PieceAxis[] }[];
}

/** Why a layout does not hold each axis once. */
export interface LayoutFault {
  readonly fault: string;
  readonly help: string;
}

type Joined = Extract<LayoutFactor, { readonly kind: 'joined' }>;
/** One way through a layout: the alternative that is taken in each join. */
type Way = ReadonlyMap<Joined, LayoutDim>;

/**
 * Where params lie in a tensor. Each way through the joins of the layout is the place of one param; `undefined` params are not there, and
 * neither are their places.
 */
export function layOut(layout: readonly LayoutDim[], params: readonly (Laid | undefined)[]): Layout | LayoutFault {
  const found = params.flatMap((param) => (param === undefined ? [] : [param]));
  const whole = waysThrough(layout);
  if (whole.length !== params.length) {
    const help = params.length > 1 ? 'write `( | )` where they follow one another, with one place for each'
      : 'name one param for each place in `( | )`';
    return { fault: `${count(params.length, 'param')}, but the layout has ${count(whole.length, 'place')}`, help };
  }
  const dims = found.length === params.length ? layout : layout.map((dim) => pruned(dim, whole.filter((_, i) => params[i] !== undefined)));
  const ways = waysThrough(dims);
  if (ways.length !== found.length) return {
    fault: 'some of the params are not there, and what is left fills no tensor',
    help: 'name those that may be missing in entries of their own',
  };
  return new Placing(dims, found, ways).result();
}

function count(n: number, thing: string): string {
  return `${n === 1 ? 'one' : n} ${thing}${n === 1 ? '' : 's'}`;
}

/** All ways through the joins of some dimensions, the last one turning fastest. */
function waysThrough(dims: readonly LayoutDim[]): readonly Way[] {
  return dims.flat().reduce<readonly Way[]>((ways, factor) => {
    if (factor.kind !== 'joined') return ways;
    const own = factor.alternatives.flatMap(
      (alternative) => waysThrough([alternative]).map((way): Way => new Map([...way, [factor, alternative]])),
    );
    return ways.flatMap((way) => own.map((more): Way => new Map([...way, ...more])));
  }, [new Map()]);
}

/** Without the alternatives that no way takes. */
function pruned(dim: LayoutDim, ways: readonly Way[]): LayoutDim {
  return dim.map((factor) => {
    if (factor.kind !== 'joined') return factor;
    const taken = factor.alternatives.filter((alternative) => ways.some((way) => way.get(factor) === alternative));
    return { ...factor, alternatives: taken.map((alternative) => pruned(alternative, ways)) };
  });
}

class Fault extends Error {
  constructor(readonly fault: string, readonly help: string) {
    super(fault);
  }
}

/** Sizes and steps of one layout. */
class Placing {
  private readonly through = new Map<LayoutDim, Laid[]>();
  private readonly sizes = new Map<LayoutDim, number>();

  constructor(
    private readonly dims: readonly LayoutDim[], private readonly params: readonly Laid[], private readonly ways: readonly Way[],
  ) {
    for (const dim of dims) this.through.set(dim, [...params]);
    ways.forEach((way, i) => {
      for (const alternative of way.values()) this.through.set(alternative, [...(this.through.get(alternative) ?? []), params[i]]);
    });
  }

  result(): Layout | LayoutFault {
    try {
      const dims = this.dims.map((dim) => this.sizeOf(dim));
      const places = this.params.map((param, i) => this.place(param, this.ways[i], dims));
      const filled = this.params.reduce((sum, { axes }) => sum + product(axes.map(({ size }) => size)), 0);
      if (filled !== product(dims)) {
        throw new Fault(
          `it has ${product(dims)} elements, of which params fill ${filled}`,
          'a number is an extent that no axis has: only 1 leaves nothing empty',
        );
      }
      return { dims, places };
    } catch (error) {
      if (error instanceof Fault) return error;
      throw error;
    }
  }

  private sizeOf(dim: LayoutDim): number {
    const known = this.sizes.get(dim);
    if (known !== undefined) return known;
    const size = product(dim.map((factor) => this.extent(factor, dim)));
    this.sizes.set(dim, size);
    return size;
  }

  /** An axis that several params share has one size. */
  private extent(factor: LayoutFactor, dim: LayoutDim): number {
    if (factor.kind === 'number') return factor.value;
    if (factor.kind === 'joined') return factor.alternatives.reduce((sum, alternative) => sum + this.sizeOf(alternative), 0);
    const [first, ...others] = this.through.get(dim) ?? [];
    const size = sizeIn(first, factor.name);
    for (const other of others) {
      const found = sizeIn(other, factor.name);
      if (found !== size) throw new Fault(
        `\`${factor.name}\` is ${size} in \`${first.path}\` and ${found} in \`${other.path}\``,
        'params in one tensor share the axes that stand outside of `( | )`',
      );
    }
    return size;
  }

  private place(param: Laid, way: Way, dims: readonly number[]): Layout['places'][number] {
    const steps = new Map<string, number>();
    let at = 0;
    let step = 1;
    const walk = (dim: LayoutDim): void => {
      for (const factor of [...dim].reverse()) {
        if (factor.kind === 'axis') {
          if (steps.has(factor.name)) throw new Fault(
            `axis \`${factor.name}\` of \`${param.path}\` stands in it twice`, `write it once: the axes are [${namesOf(param)}]`,
          );
          steps.set(factor.name, step);
        }
        if (factor.kind !== 'joined') {
          step *= this.extent(factor, dim);
          continue;
        }
        const taken = way.get(factor);
        const outer = step;
        for (const alternative of factor.alternatives) {
          if (alternative === taken) break;
          at += this.sizeOf(alternative) * outer;
        }
        if (taken !== undefined) walk(taken);
        step = outer * this.extent(factor, dim);
      }
    };
    for (const dim of [...this.dims].reverse()) walk(dim);
    const axes = param.axes.map(({ name, size, native }): PieceAxis => {
      const stored = steps.get(name);
      if (stored === undefined) throw new Fault(
        `axis \`${name}\` of \`${param.path}\` is not in it`,
        `the axes are [${namesOf(param)}]: each stands in the layout, or in the braces of the name, once`,
      );
      return { size, native, stored };
    });
    if (step !== product(dims)) throw new Error('a layout was measured in two ways');
    return { at, axes };
  }
}

function sizeIn(param: Laid, name: string): number {
  const axis = param.axes.find((own) => own.name === name);
  if (axis === undefined) throw new Fault(`\`${param.path}\` has no axis \`${name}\``, `the axes are [${namesOf(param)}]`);
  return axis.size;
}

function namesOf({ axes }: Laid): string {
  return axes.map(({ name }) => name).join(', ');
}

function product(sizes: readonly number[]): number {
  return sizes.reduce((n, size) => n * size, 1);
}
