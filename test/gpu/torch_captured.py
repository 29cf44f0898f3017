"""Functions of packages in CUDA graphs, of torch and of Inductor: parts of torch_runtime.py."""
import copy

import torch
from torch import nn

from scan_checks import ALLOWED, PACKED, check, error, same


class Layer(nn.Module):
    """A scan behind factors of its inputs but gates, with params of its own: something to train."""

    def __init__(self, s, drawn, keep=False):
        super().__init__()
        self.keep = keep
        signature = s.reference.signature
        self.function = getattr(s.package, s.package._reference.MODULES[s.name])
        self.io, self.count = [named.io for named in signature.inputs], len(signature.inputs)
        self.factors = nn.ParameterList(torch.ones(x.shape[3:], device="cuda") for x, io in zip(drawn, self.io) if io)
        self.names, self.params = [named.name for named in signature.params], nn.ParameterList(drawn[self.count : self.count + len(signature.params)])

    def forward(self, *given, cu_seqlens=None):
        factors = iter(self.factors)
        given = [x * next(factors).to(x.dtype) if io else x for x, io in zip(given, self.io)]
        return self.function(*given, cu_seqlens=cu_seqlens, keep=self.keep, **dict(zip(self.names, self.params)))[0]


def graphs(s):
    """Data and offsets of a captured graph change between replays."""
    args = s.draw(batch=1, tokens=PACKED[-1], sequences=len(PACKED) - 1)
    cu = torch.tensor(PACKED, dtype=torch.int32, device="cuda")
    run = lambda: (s.scan.forward(args, cu), s.scan.backward(args, cotangents, cu), s.scan.forward([*rows], None))
    cotangents = s.cotangents(s.scan.forward(args, cu))
    rows = s.draw(batch=2, tokens=100, seed=4)
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        run()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = run()
    for seed, offsets in ((11, PACKED), (12, [0, 1, 100, 200, 300, 315]), (13, [0, 0, 0, 315, 315, 315])):
        for into, new in zip([*args, *rows], [*s.draw(batch=1, tokens=PACKED[-1], sequences=len(PACKED) - 1, seed=seed), *s.draw(batch=2, tokens=100, seed=seed)]):
            into.copy_(new)
        cu.copy_(torch.tensor(offsets, dtype=torch.int32))
        graph.replay()
        # Whatever was made ready for eager calls may go: a graph keeps its own.
        for program in s.scan._programs.values():
            program.forget()
        torch.cuda.empty_cache()
        graph.replay()
        eager = run()
        torch.cuda.synchronize()
        check(f"{s.label} graph, offsets {offsets}", all(same(x, y) for x, y in zip(captured, eager)))


def compiled(s):
    """Inductor's CUDA graphs, and those of torch around a function with gradients, against the function as it is."""
    function, inputs = getattr(s.package, s.package._reference.MODULES[s.name]), len(s.reference.signature.inputs)
    names = [named.name for named in s.reference.signature.params]
    run = lambda *given: function(*given[:inputs], **dict(zip(names, given[inputs:])))[0]
    draw = lambda seed: [x.requires_grad_() for x in s.draw(groups=4, states=False, seed=seed) if x is not None]

    def results(call, given):
        o = call(*given)
        return [x.clone() for x in (o.detach(), *torch.autograd.grad(o.float().square().sum(), given))]

    def agree(what, call, seeds):
        for seed in seeds:
            given = draw(seed)
            for i, (x, y) in enumerate(zip(results(call, given), results(run, given))):
                allowed = ALLOWED[s.dtype][0 if i == 0 else 2 if x.dtype == torch.float32 else 1]
                check(f"{s.label} {what}, data {seed}, result {i}", error(x, y) <= allowed, f"error {error(x, y):.1e}, allowed {allowed}")

    agree("make_graphed_callables", torch.cuda.make_graphed_callables(run, tuple(draw(51))), (52, 53))
    whole = torch.compile(run, fullgraph=True, mode="reduce-overhead")

    def step(*given):
        torch.compiler.cudagraph_mark_step_begin()
        return whole(*given)

    # Warm up, record, replay.
    agree("reduce-overhead", step, (54, 55, 56, 57))


def captured(s):
    """torch.cuda.make_graphed_callables of a module: the bits of the module as it was, gradients of its parameters too, whether forward keeps something or not."""
    inputs = len(s.reference.signature.inputs)
    draw = lambda seed: [x.requires_grad_() for x in s.draw(states=False, seed=seed)[:inputs]]
    plain = Layer(s, s.draw(states=False, seed=60))

    def results(layer, given):
        o = layer(*given)
        return [x.clone() for x in (o.detach(), *torch.autograd.grad(o.float().square().sum(), [*given, *layer.parameters()]))]

    for keep in (False, True):
        graphed = copy.deepcopy(plain)
        graphed.keep = keep
        graphed = torch.cuda.make_graphed_callables(graphed, tuple(draw(61)))
        for seed in (62, 63):
            what = f"{s.label} graphed module{', kept' if keep else ''}, data {seed}"
            found, expected = results(graphed, draw(seed)), results(plain, draw(seed))
            check(what, same(found, expected), f"errors {[f'{error(x, y):.1e}' for x, y in zip(found, expected)]}")
            check(f"{what}: something is there", all(x.count_nonzero().item() > 0 for x in found))


def trained(s):
    """A whole step of training, forward, backward and optimizer, as one CUDA graph: losses and parameters of steps one by one, with other data and other offsets each."""
    inputs, sequences = len(s.reference.signature.inputs), len(PACKED) - 1
    draw = lambda seed: s.draw(batch=1, tokens=PACKED[-1], sequences=sequences, states=False, seed=seed)
    rows, cu = draw(70)[:inputs], torch.tensor(PACKED, dtype=torch.int32, device="cuda")
    layer = Layer(s, draw(71))
    target = torch.randn(layer(*rows, cu_seqlens=cu).shape, device="cuda", generator=torch.Generator("cuda").manual_seed(72))
    optimize = lambda layer: torch.optim.AdamW(layer.parameters(), lr=1e-2, capturable=True)
    optimizer = optimize(layer)

    def step(layer, optimizer):
        optimizer.zero_grad(set_to_none=True)
        loss = (layer(*rows, cu_seqlens=cu).float() - target).square().mean()
        loss.backward()
        optimizer.step()
        return loss.detach().view(1)

    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            step(layer, optimizer)
    torch.cuda.current_stream().wait_stream(stream)
    twin = copy.deepcopy(layer)
    twins = optimize(twin)
    twins.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    optimizer.zero_grad(set_to_none=True)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        loss = step(layer, optimizer)
    begin = [x.detach().clone() for x in layer.parameters()]
    for seed, offsets in ((73, PACKED), (74, [0, 1, 100, 200, 300, 315]), (75, [0, 0, 0, 315, 315, 315])):
        for into, new in zip(rows, draw(seed)):
            into.copy_(new)
        cu.copy_(torch.tensor(offsets, dtype=torch.int32))
        graph.replay()
        expected = step(twin, twins)
        alike = same([loss, *layer.parameters()], [expected, *twin.parameters()])
        check(f"{s.label} step of training as a graph, offsets {offsets}", alike, f"loss {loss.item():.6f}, one by one {expected.item():.6f}")
    moved = [not torch.equal(x, y) for x, y in zip(begin, layer.parameters())]
    check(f"{s.label} step of training as a graph: every parameter moves", all(moved), str(moved))
