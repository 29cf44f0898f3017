"""What a plan (plan.json) says to a host: which plan a call fits, its extents, which launches it needs, and where workspaces may lie."""
import json
from pathlib import Path

from . import _host as host
from ._driver import ELEMENT, LmoecError

FORMAT = "lmoec-plan-4"
# Of launches: before all others.
START = -1


class Plan:
    def __init__(self, path):
        self.path, self.folder = path, Path(path).parent
        self.json = json.loads(Path(path).read_text(encoding="utf-8"))
        found = self.json.get("format")
        if found != FORMAT:
            remedy = "build plans and package together (lmoec build --target torch)"
            raise LmoecError(f"{path} has the format {found}, expected {FORMAT}", remedy)
        self.scan, self.target, self.sizes, self.dtype = (self.json[key] for key in ("scan", "target", "sizes", "dtype"))
        # Beside the sources, which include it.
        self.prelude = self.json["prelude"]
        self.tensors = {tensor["name"]: tensor for tensor in self.json["tensors"]}
        self.kernels = {kernel["name"]: kernel for kernel in self.json["kernels"]}
        self.programs, self.extents, self.dims, self.tables = (self.json[key] for key in ("programs", "extents", "dims", "tables"))
        # What users of a scan see of extents, which may have any name: rows are its tokens, runs its sequences.
        self.named_extent = {extent["of"]: name for name, extent in self.extents.items()}
        # By domain: those whose rows launches of the program count.
        self.made_rows = self.json.get("made", {})
        # They make the tables of a call on the device; no program names them.
        self.table_kernels = [{**kernel, "name": name} for name, kernel in self.json["tableKernels"].items()]
        self.launchable = (*self.kernels.values(), *self.table_kernels)
        self.args = self.named("input", "param", "initial")
        self.cotangents = self.named("cotangent")
        self.results = self.named("output", "final")
        self.gradients = tuple(self._gradient(name) for name in self.args)
        # Where the state after the last token replaces the one before the first.
        self.in_place = {name: self._initial(name) for name in self.named("final")}

    def named(self, *roles):
        return tuple(tensor["name"] for role in roles for tensor in self.json["tensors"] if tensor["role"] == role)

    def taken(self, program, role):
        """What a program takes of one role."""
        return tuple(name for name in self.programs[program]["takes"] if self.tensors[name]["role"] == role)

    def kept(self, program):
        """Workspaces that one program leaves for another, in one piece of memory: what `forward_kept` gives and `backward_kept` takes."""
        found = self.programs.get(program)
        return () if found is None else tuple(name for name in (*found["takes"], *found["gives"]) if self.tensors[name]["role"] == "workspace")

    def launches_of(self, program, extents):
        """Of a call: where it has one chunk of rows there may be fewer."""
        found = self.programs[program]
        few = found.get("few")
        return few["launches"] if few is not None and extents[few["extent"]] == 1 else found["launches"]

    def expect(self, program):
        """Builds for serving have programs without launches."""
        if not self.programs[program]["launches"]:
            raise LmoecError(f"{self.scan} was built with --eval: it has no kernels of {program}", "build it again without --eval")

    def _gradient(self, name):
        """The plan's name of a gradient: a state's is told from the cotangent of the final state, which users call the same."""
        base = name.removeprefix("initial.")
        return next((found for found in (f"d_{base}", f"d_initial.{base}") if self.tensors.get(found, {}).get("role") == "gradient"), None)

    def _initial(self, final):
        base = final.removeprefix("final.")
        return next(found for found in (base, f"initial.{base}") if self.tensors.get(found, {}).get("role") == "initial")

    def kind(self, extent):
        """What there is so many of as an extent says: `row`, `run`, `head`, ...; None: it is a number."""
        return None if isinstance(extent, int) else self.extents[extent]["of"]

    def per_token(self, shape):
        """Is the first extent the tokens of a call? Rows of other domains are no tokens."""
        return bool(shape) and self.kind(shape[0]) == "row" and self.extents[shape[0]]["domain"] == next(iter(self.dims))

    def size_text(self):
        return ", ".join(f"{axis}={size}" for axis, size in self.sizes.items())


LETTERS = {"head": "H", "group": "G", "run": "N"}


def user_shape(plan, declared, step):
    """Extents as users see them, by letters: a token tensor is [B, T, ...], or [B, ...] in a step."""
    lead, *rest = [extent if isinstance(extent, int) else LETTERS.get(plan.kind(extent), extent) for extent in declared]
    return (*(("B",) if step else ("B", "T")), *rest) if plan.per_token(declared) else (lead, *rest)


def _symbols(shape):
    return "[" + ", ".join(map(str, shape)) + "]"


class Call:
    """What a call brings: B, T, heads, groups, sequences; found by holding the shapes of its tensors against a plan."""

    def __init__(self, plan, program, tensors, offsets):
        self.plan, self.step = plan, program == "step"
        self.known = {}
        self.complaint = None
        # Inputs decide what the others must agree with.
        for name, tensor in tensors:
            self._take(name, tensor)
        known = self.known
        if offsets is not None:
            if known.get("B") != 1 or self.step:
                self._complain("cu_seqlens cuts one row of tokens", "pass tensors with B = 1, and no cu_seqlens to a step", None)
            elif offsets.dim() != 1 or len(offsets) < 1 or not offsets.is_contiguous() or offsets.dtype not in host.OFFSETS:
                self._complain(f"cu_seqlens is {offsets.dtype} {list(offsets.shape)}", "it is int32 or int64 [N + 1] without gaps", None)
        self.sequences = known.get("B") if offsets is None else len(offsets) - 1
        expected = known.get("N")
        if expected is not None and self.complaint is None and expected != self.sequences:
            what = f"states are given for {expected} sequences, the call has {self.sequences}"
            self._complain(what, "the first extent of a state is the number of sequences", None)
        self.heads = known.get("H", known.get("G"))
        self.groups = known.get("G", self.heads)
        if self.complaint is None and self.groups and self.heads % self.groups != 0:
            what = f"{self.heads} heads cannot share {self.groups} groups"
            self._complain(what, "the number of heads is a multiple of the number of groups", None)

    def _complain(self, what, remedy, kind):
        if self.complaint is None:
            self.complaint = (LmoecError(f"{self.plan.scan}: {what}", remedy), kind)

    def _take(self, name, tensor):
        declared = self.plan.tensors[name]
        if tensor is None:
            if declared["role"] in ("input", "param"):
                self._complain(f"{name} is missing", "only states and cotangents may be None", None)
            return
        shape = user_shape(self.plan, declared["shape"], self.step)
        wanted = host.DTYPES[declared["dtype"]]
        if tensor.dtype != wanted:
            self._complain(f"{name} is {tensor.dtype}, expected {wanted}", f"convert it: {name}.to({wanted})", "dtype")
        found = tuple(tensor.shape)
        if len(found) != len(shape):
            return self._complain(f"{name} has shape {list(found)}, expected {_symbols(shape)}", f"{name} has {len(shape)} extents", "rank")
        for extent, size in zip(shape, found):
            if isinstance(extent, int):
                if extent != size:
                    self._complain(f"{name} has shape {list(found)}, expected {_symbols(shape)}", "give it that shape", "size")
            elif self.known.setdefault(extent, size) != size:
                what = f"{name} has shape {list(found)}, but {extent} = {self.known[extent]} in other tensors"
                self._complain(what, "all tensors of a call agree in batch, tokens, heads and groups", None)

    def extents(self, lengths):
        """`lengths`: of the sequences where the host knows them; else extents are bounds, and rows of tables beyond real ones are empty."""
        tokens = self.known["B"] * (1 if self.step else self.known["T"])
        return extents_of(self.plan, tokens, self.heads, self.groups, self.sequences, lengths)


def extents_of(plan, tokens, heads, groups, n, lengths):
    """Numbers for the names in a plan, of `n` sequences whose lengths may be unknown (None)."""
    cut, chunk = plan.json["segmentation"], plan.json["chunk"]
    pays = cut.get("pays", 1)
    if lengths is not None:
        counts = [-(-length // chunk) for length in lengths]
        chunks = sum(counts)
        longest = max(cut["least"], -(-chunks * heads // cut["programs"]))
        if pays > 1:
            longest = fitting(counts, longest, cut["programs"] // max(1, heads))
        whole = max(counts, default=0) < pays * longest
        segments = sum(1 if whole else max(1, -(-count // longest)) for count in counts)
    else:
        chunks = (tokens + n * (chunk - 1)) // chunk
        # A sequence of c chunks has at most 1 + c / longest segments, and `longest` is no less than either of these makes it.
        more = min(chunks // cut["least"], cut["programs"] // max(1, heads))
        segments = n + (more if more >= pays else 0)
    sizes = {"row": tokens, "head": heads, "group": groups, "run": n, "chunk": chunks, "segment": segments}
    counted = {domain: most_of(plan, rows, tokens) for domain, rows in plan.made_rows.items()}
    return {name: counted.get(extent.get("domain"), sizes)[extent["of"]] for name, extent in plan.extents.items()}


def kept_places(plan, call, packed):
    """Where what `forward_kept` leaves lies in its piece of memory, and the bytes of that: by shapes alone, so that tracers can tell. Of packed sequences
    there are as many chunks as lengths may make."""
    chunk, tokens = plan.json["chunk"], call.known["B"] * call.known["T"]
    n = call.sequences
    chunks = (tokens + n * (chunk - 1)) // chunk if packed else call.known["B"] * ((call.known["T"] + chunk - 1) // chunk)
    sizes = {"row": tokens, "chunk": chunks, "head": call.heads, "group": call.groups}
    extents = {name: sizes.get(extent["of"]) for name, extent in plan.extents.items()}
    places, end = {}, 0
    for name in plan.kept("forward_kept"):
        places[name] = end
        end = end + (tensor_bytes(plan.tensors[name], extents) + 255) // 256 * 256
    return places, end


def fitting(counts, even, most):
    """The shortest segments of `even` chunks or more, but below twice as many, of which sequences have `most` at most; `even` where they
    have more."""
    fits = lambda longest: sum(max(1, -(-count // longest)) for count in counts) <= most
    short, long = even, 2 * even - 1
    if len(counts) > most or fits(even) or not fits(long):
        return even
    while long - short > 1:
        middle = (short + long) // 2
        if fits(middle):
            long = middle
        else:
            short = middle
    return long


# Numbers of rows are f32 in kernels.
EXACT = 2 ** 24


def most_of(plan, made, tokens):
    """As many as there may be of a domain whose rows launches count."""
    rows, runs = made["perRow"] * tokens, made["runs"]
    if rows > EXACT:
        what = f"{plan.scan}: a call of {tokens} tokens has {rows} places for them, more than 2^24"
        raise LmoecError(what, "split the call: fewer tokens at once")
    return {"row": rows, "run": runs, "segment": runs, "chunk": (rows + runs * (plan.json["chunk"] - 1)) // plan.json["chunk"]}


def product(factors, extents):
    n = 1
    for factor in factors:
        n *= factor if isinstance(factor, int) else extents[factor]
    return n


class Launches:
    """The launches of a program that a call needs, in the order of the plan, with what must come before each."""

    def __init__(self, plan, program, wanted, extents, one_queue):
        """`wanted`: results that somebody asked for. Launches that sum over the heads of groups, or hand on what segments make, are not needed where
        the extents that they name agree: every head is a group of its own, or every sequence one segment. Those for `whole` sequences are only then."""
        self.all = plan.launches_of(program, extents)
        self.few = self.all is not plan.programs[program]["launches"]
        agree = lambda pair: pair is not None and extents[pair[0]] == extents[pair[1]]
        ungrouped = agree([plan.named_extent["head"], plan.named_extent["group"]])
        self.one_queue = one_queue
        elsewhere = {name: tensor["ungrouped"] for name, tensor in plan.tensors.items() if ungrouped and "ungrouped" in tensor}
        self.place = lambda name: elsewhere.get(name, name)
        self.touched = []
        needed, kept = set(wanted), []
        for i in reversed(range(len(self.all))):
            launch, kernel = self.all[i], plan.kernels[self.all[i]["kernel"]]
            args = [(self._touched(arg), arg.get("access", "read")) for arg in kernel["args"] if "tensor" in arg or "table" in arg]
            needless = agree(launch.get("grouped")) or agree(launch.get("cut")) or ("whole" in launch and not agree(launch["whole"]))
            if needless or not any(access != "read" and name in needed for name, access in args):
                continue
            needed.update(name for name, access in args)
            kept.append(i)
        self.kept = kept[::-1]
        self.kernels = {i: plan.kernels[self.all[i]["kernel"]] for i in self.kept}
        if all(self.queue(i) == 0 for i in self.kept):
            self.one_queue = True
        self._before = {START: frozenset()}

    def _touched(self, arg):
        """The tensor that is used, or the table: launches make those of rows that they count."""
        return self.place(arg["tensor"]) if "tensor" in arg else f"%{arg['table']}"

    def queue(self, i):
        return 0 if self.one_queue else self.all[i]["queue"]

    def before(self, i):
        """Launches that have finished when launch i begins. One that is left out still hands on what it waited for."""
        found = self._before.get(i)
        if found is None:
            same_queue = [j for j in range(i) if self.queue(j) == self.queue(i)]
            direct = same_queue if self.one_queue else [*self.all[i]["waits"], *same_queue[-1:]]
            found = self._before[i] = {START}.union(direct, *(self.before(j) for j in direct))
        return found

    def begins(self, i):
        """What launch i of the second queue, or any before it there, waits for; START if for nothing."""
        waits = [wait for j in range(i + 1) if self.queue(j) == 1 for wait in self.all[j]["waits"]]
        return waits or [START]

    def joined(self, i):
        """Does the first queue wait for launch i of the second, or for a later one?"""
        return any(wait >= i for j in range(i, len(self.all)) if self.queue(j) == 0 for wait in self.all[j]["waits"])

    def users(self, name):
        return [i for i in self.kept if any("tensor" in arg and self.place(arg["tensor"]) == name for arg in self.kernels[i]["args"])]


def apart(launches, users):
    """For each workspace those that it must not share memory with: none of the two is done with before the other is first used.
    `users`: launches, by name."""
    def over(first, second):
        return all(second_at != START and first_at in launches.before(second_at) for first_at in first for second_at in second)
    def at_once(x, y):
        return x != y and not over(users[x], users[y]) and not over(users[y], users[x])
    return {name: [other for other in users if at_once(name, other)] for name in users}


def arena(sizes, conflicts):
    """Places of workspaces in one piece of memory, the largest first, each in the lowest gap. Returns them and the bytes in all."""
    places, end = {}, 0
    for name in sorted(sizes, key=lambda name: -sizes[name]):
        taken = sorted((places[other], places[other] + sizes[other]) for other in conflicts[name] if other in places)
        at = 0
        for first, last in taken:
            if first - at >= sizes[name]:
                break
            at = max(at, -(-last // 256) * 256)
        places[name] = at
        end = max(end, at + sizes[name])
    return places, end


def tensor_bytes(tensor, extents):
    return product(tensor["shape"], extents) * ELEMENT[tensor["dtype"]]
