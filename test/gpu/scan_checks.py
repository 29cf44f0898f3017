"""What checks of a package's scans on a CUDA device share: drawn inputs, tolerances, and what has failed."""
import torch

# Of rms(difference) / rms(expected): results, gradients, gradients of gates and what else is exact (src/driver/tolerance.ts).
ALLOWED = {torch.bfloat16: (6e-3, 8e-3, 2e-2), torch.float16: (6e-3, 8e-3, 2e-2), torch.float32: (1e-4, 1e-4, 1e-4)}
NEGLIGIBLE = 1e-6
PACKED = [0, 64, 65, 65, 300, 315]
failures, passes = [], 0


def check(what, fine, detail=""):
    global passes
    if fine:
        passes += 1
    else:
        failures.append(f"{what} {detail}")
        print(f"FAILED {what} {detail}", flush=True)


def error(found, expected):
    scale = expected.double().norm().item()
    difference = (found.double() - expected.double()).norm().item()
    return difference / scale if scale > 0 else difference


class Subject:
    """One scan of a package with one plan."""

    def __init__(self, package, name, scan, plan, device="cuda"):
        self.package, self.name, self.scan, self.plan, self.device = package, name, scan, plan, device
        self.reference = package._reference.SCANS[name]
        self.label = f"{name} {plan.dtype} {plan.size_text()}"
        self.dtype = package._host.DTYPES[plan.dtype]

    def draw(self, batch=2, tokens=300, heads=4, groups=2, sequences=None, states=True, token=False, seed=0):
        signature, generator = self.reference.signature, torch.Generator(self.device).manual_seed(seed)
        lead = (batch,) if token else (batch, tokens)

        def make(named, outer):
            shape = (*outer, *(self.plan.sizes[axis] for axis in named.axes))
            x = torch.randn(shape, generator=generator, device=self.device)
            if named.high < float("inf"):
                x = named.high - torch.nn.functional.softplus(x) if named.low == -float("inf") else named.low + (named.high - named.low) * torch.sigmoid(x)
            elif named.low > -float("inf"):
                x = named.low + torch.nn.functional.softplus(x)
            elif named.axes:
                x = x / shape[-1] ** 0.5
            return x.to(self.dtype if named.io else torch.float32)

        args = [make(named, (*lead, groups if named.group else heads)) for named in signature.inputs]
        args += [make(named, (heads,)) for named in signature.params]
        return args + [make(named, (sequences or batch, heads)) if states else None for named in signature.states]

    def cotangents(self, results, states=True, seed=1):
        generator, outputs = torch.Generator("cuda").manual_seed(seed), len(self.reference.signature.outputs)
        return [torch.randn(x.shape, generator=generator, device="cuda").to(x.dtype) if i < outputs or states else None for i, x in enumerate(results)]

    def compare(self, what, found, expected):
        for i, (x, y) in enumerate(zip(found, expected)):
            if x is None:
                continue
            kind = 0 if not what.startswith("backward") else 2 if x.dtype == torch.float32 else 1
            allowed, wrong = ALLOWED[self.dtype][kind], error(x, y)
            near = (x.double() - y.double()).abs().max().item() <= NEGLIGIBLE
            check(f"{self.label} {what} result {i}", (wrong <= allowed or near) and x.shape == y.shape, f"error {wrong:.2e}, allowed {allowed}")


def wide(tensors):
    return [None if x is None else x.double() if x.is_floating_point() else x for x in tensors]


def same(found, expected):
    return all((x is None and y is None) or torch.equal(x.view(torch.uint8), y.view(torch.uint8)) for x, y in zip(found, expected))
