"""What the programs beside this file mean, by plain torch in float64, written from the papers and from docs/language.md alone.

    python references.py DATA    reads DATA/NAME.safetensors (inputs, params, buffers, cotangents, cu_seqlens) and adds what is expected:
                                 expect.OUT and expect.eval.OUT, expect.loss.PATH, expect.update.PATH, expect.count.PATH, expect.d_NAME

A program is a function of params and buffers by path, of inputs as a list of sequences, and of whether this is training. It gives outputs
(a list of sequences, or all tokens), losses, updates and counts. Gradients are those of autograd.
"""
import math
import pathlib
import sys

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

torch.set_default_dtype(torch.float64)
INPUTS = ('x', 'ids', 'labels')


def rms(x, eps=1e-05, dims=(-1,)):
    return x / (x.pow(2).mean(dims, keepdim=True) + eps).sqrt()


def l2(x, eps=1e-06, dims=(-1,)):
    return x / (x.pow(2).sum(dims, keepdim=True) + eps).sqrt()


def topmask(s, n, dim=-1):
    order = torch.sort(s.detach(), dim=dim, descending=True, stable=True).indices
    m = torch.zeros_like(s, dtype=torch.bool)
    idx = order.narrow(dim, 0, n)
    return m.scatter(dim, idx, True)


def causal(T):
    return torch.ones(T, T).tril().bool()


def msoft(x, m, dim=-1):
    return torch.nan_to_num(torch.softmax(x.masked_fill(~m, -math.inf), dim))


def shift(x):
    return torch.cat([torch.zeros_like(x[:1]), x[:-1]])


def conv(x, w):
    n = w.shape[0]
    pad = torch.cat([torch.zeros((n - 1,) + x.shape[1:]), x])
    return sum((w[j] * pad[j:j + x.shape[0]] for j in range(n)))


def each(fn, *lists):
    return [fn(*xs) for xs in zip(*lists)]


def rope(x, f, pairs='halves'):
    T = x.shape[0]
    I = len(f)
    ang = torch.arange(T)[:, None] * torch.as_tensor(f)
    ang = ang.reshape([T] + [1] * (x.dim() - 2) + [I])
    c, s = (ang.cos(), ang.sin())
    if pairs == 'halves':
        a, b = (x[..., :I], x[..., I:2 * I])
        return torch.cat([a * c - b * s, a * s + b * c, x[..., 2 * I:]], -1)
    a, b = (x[..., 0:2 * I:2], x[..., 1:2 * I:2])
    o = torch.stack([a * c - b * s, a * s + b * c], -1).flatten(-2)
    return torch.cat([o, x[..., 2 * I:]], -1)


def ffn(x, P, p, i=...):
    return F.silu(x @ P[p + 'up'][i]) @ P[p + 'down'][i]


def device_limited(P, I, training):
    ys, le, ld, lc, cnt = ([], 0, 0, 0, 0)
    for x in I['x']:
        s = torch.softmax(torch.einsum('td,dnm->tnm', x, P['gate']).flatten(1), -1).view(-1, 3, 2)
        dm = topmask(s.max(-1).values, 2)
        c = topmask(s.masked_fill(~dm[..., None], -1).flatten(1), 3).view(-1, 3, 2)
        y = F.silu(x @ P['shared.up']) @ P['shared.down']
        for n in range(3):
            for m in range(2):
                y = y + (s * c)[:, n, m:m + 1] * (F.silu(x @ P['routed.up'][n, m]) @ P['routed.down'][n, m])
        ys.append(y)
        cnt = cnt + c.sum(0)
        f = c.double().mean(0) * 6 / 3
        p = s.mean(0)
        le = le + 0.3 * (f * p).sum() / 3
        ld = ld + 0.5 * (f.mean(1) * p.sum(1)).sum() / 3
        lc = lc + 0.7 * (c.any(-1).double().mean(0) * 3 / 2 * p.sum(1)).sum() / 3
    return {'y': ys}, {'expert': le, 'device': ld, 'comm': lc}, {}, {'routed': cnt}


def switch_head(P, I, training):
    f = [100 ** (-i / 2) for i in range(2)]

    def one(x):
        T = len(x)
        q = rope(torch.einsum('td,dhk->thk', x, P['Wq']), f, 'adjacent')
        k = rope(torch.einsum('td,dhk->thk', x, P['Wk']), f, 'adjacent')
        gs = torch.sigmoid(torch.einsum('td,dhe->the', x, P['Ss']))
        gd = torch.sigmoid(torch.einsum('td,dhe->the', x, P['Sd']))
        v = torch.einsum('td,dhev,the->thv', x, P['Wv'], gs * topmask(gs, 2))
        lo = torch.einsum('thk,shk->hts', q, k) / 2
        a = torch.einsum('hts,shv->thv', msoft(lo, causal(T)), v)
        return torch.einsum('thv,hevd,the->td', a, P['Wo'], gd * topmask(gd, 2))
    return {'y': each(one, I['x'])}, {}


def depths(P, I, training):

    def one(x):
        T = len(x)
        r = x @ P['w']
        m = topmask(r, math.ceil(T / 2))
        i = m.nonzero()[:, 0]
        z = x[i]
        q, k, v = (z @ P['block.W' + n] for n in 'qkv')
        o = msoft(q @ k.T / 3 ** 0.5, causal(len(z))) @ v @ P['block.Wo']
        return x + torch.zeros_like(x).index_add(0, i, r[i, None] * o)
    return {'y': each(one, I['x'])}, {}


def griffin(P, I, training):
    n = lambda x, p: (1 + P[p + 'w']) * rms(x, 1e-06)

    def rec(x, p):
        u = conv(x @ P[p + 'main'], P[p + 'taps']) + P[p + 'cb']
        h = torch.zeros(5)
        hs = []
        la = -8 * F.softplus(P[p + 'lru.a']) * torch.sigmoid(u * P[p + 'wr'])
        for t in range(len(x)):
            h = la[t].exp() * h + (1 - (2 * la[t]).exp()).sqrt() * torch.sigmoid(u[t] * P[p + 'wi']) * u[t]
            hs.append(h)
        return F.gelu(x @ P[p + 'gate']) * torch.stack(hs) @ P[p + 'out']

    def att(x, p):
        T = len(x)
        q = rope(torch.einsum('td,dhk->thk', x, P[p + 'Wq']), [1.0])
        k = rope(x @ P[p + 'Wk'], [1.0])
        v = x @ P[p + 'Wv']
        a = msoft(torch.einsum('thk,sk->hts', q, k) / 2, causal(T) & torch.ones(T, T).triu(-2).bool())
        return torch.einsum('hts,sk,hkd->td', a, v, P[p + 'Wo'])

    def one(ids):
        x = 2 * P['embed'][ids]
        for i, c in enumerate('RRA'):
            r = x + (rec(n(x, f'n1.{i}.'), f'rec.{i}.') if c == 'R' else att(n(x, f'n1.{i}.'), f'att.{i}.'))
            z = n(r, f'n2.{i}.')
            p = f'mlp.{i}.'
            x = r + F.gelu(z @ P[p + 'a']) * (z @ P[p + 'b']) @ P[p + 'c']
        return 3 * torch.tanh(n(x, 'final.') @ P['embed'].T / 3)
    lo = each(one, I['ids'])
    a = torch.cat(lo)
    l = torch.cat(I['labels'])
    return {'logits': lo}, {'lm': F.cross_entropy(a, l, ignore_index=-1)}


def zamba(P, I, training):

    def blk(x, e):
        def both(n):
            return torch.einsum('td,dhk->thk', x, P[f'shared.W{n}x']) + torch.einsum('td,dhk->thk', e, P[f'shared.W{n}e'])
        q, k, v = (both(n) for n in 'qkv')
        a = msoft(torch.einsum('thk,shk->hts', q, k) / 2, causal(len(x)))
        return torch.einsum('hts,shk,hkd->td', a, v, P['shared.Wo'])

    def one(ids):
        e = x = P['embed'][ids]
        for i in range(4):
            z = x
            if i % 2:
                z = z + blk(x, e) @ P[f'after.{i}.W'] @ P[f'after.{i}.V']
            o = torch.zeros(4)
            os = []
            for t in range(len(x)):
                o = torch.sigmoid(z[t]) * o + z[t]
                os.append(o)
            x = x + torch.stack(os)
        return x @ P['embed'].T
    return {'logits': each(one, I['ids'])}, {}


def xlstm(P, I, training):

    def one(x):
        u = rms(x)
        pr = lambda z, w: torch.einsum('td,dha->tha', z, P[w])
        i, f, z, o = (pr(u, w) for w in ('Wi', 'Wf', 'Wz', 'Wo'))
        r = P['slstm.r']
        c = n = m = h = torch.zeros(2, 3)
        hs = []
        for t in range(len(x)):
            rec = r * h
            li = i[t] + rec
            lf = F.logsigmoid(f[t] + rec)
            m2 = torch.maximum(lf + m, li)
            c = torch.exp(lf + m - m2) * c + torch.exp(li - m2) * torch.tanh(z[t] + rec)
            n = torch.exp(lf + m - m2) * n + torch.exp(li - m2)
            m = m2
            h = torch.sigmoid(o[t] + rec) * c / n.clamp(min=1e-06)
            hs.append(h)
        hh = x + torch.einsum('tha,had->td', torch.stack(hs), P['out'])
        w = rms(hh)
        q, k, v = (pr(w, 'Wq'), pr(w, 'Wk') / 2 ** 0.5, pr(w, 'Wv'))
        i, f = (torch.exp(w @ P['wi']), torch.sigmoid(w @ P['wf']))
        C = torch.zeros(2, 2, 3)
        n = torch.zeros(2, 2)
        o = []
        for t in range(len(x)):
            C = f[t][:, None, None] * C + i[t][:, None, None] * torch.einsum('hk,hv->hkv', k[t], v[t])
            n = f[t][:, None] * n + i[t][:, None] * k[t]
            o.append(torch.einsum('hk,hkv->hv', q[t], C) / (q[t] * n).sum(-1).abs().clamp(min=1)[:, None])
        s = torch.stack(o)
        return hh + torch.einsum('thv,hvd->td', F.layer_norm(s, (3,)), P['out2'])
    return {'y': each(one, I['x'])}, {}


def ttt_layer(P, I, training):

    def one(x):
        p = lambda n: torch.einsum('td,dhk->thk', x, P[n])
        q, k, v = (p('Wq'), p('Wk'), p('Wv'))
        eta = torch.sigmoid(x @ P['we'])
        G = P['ttt.gamma']
        W = torch.zeros(2, 3, 2) + P['ttt.W0']
        b = torch.zeros(2, 2)
        o = []
        for t in range(len(x)):
            u = torch.einsum('hk,hkv->hv', k[t], W) + b
            mu = u.mean(-1, keepdim=True)
            sd = (((u - mu) ** 2).mean(-1, keepdim=True) + 1e-06).sqrt()
            h = (u - mu) / sd
            g = G * (G * h - (v[t] - G))
            d = (g - g.mean(-1, keepdim=True) - h * (g * h).mean(-1, keepdim=True)) / sd
            W = W - eta[t][:, None, None] * torch.einsum('hk,hv->hkv', k[t], d)
            b = b - eta[t][:, None] * d
            o.append(torch.einsum('hk,hkv->hv', q[t], W) + b)
        return torch.einsum('thv,hvd->td', torch.stack(o), P['Wo'])
    return {'y': each(one, I['x'])}, {}


def hyper(P, I, training):

    def one(ids):
        h = torch.stack([P['embed'][ids]] * 3, 1)
        for i in (1, 2):
            p = f'f.{i}.'
            n = rms(h)
            a = P[p + 'alpha0'] + P[p + 'sa'] * torch.tanh(n @ P[p + 'wa'])
            b = P[p + 'beta'] + P[p + 'sb'] * torch.tanh(n @ P[p + 'wb'])
            A = P[p + 'alphaM'] + P[p + 'sm'] * torch.tanh(n @ P[p + 'wm'])
            z = torch.tanh(torch.einsum('tn,tnd->td', a, h) @ P[p + 'f.a']) @ P[p + 'f.b']
            h = torch.einsum('tnm,tnd->tmd', A, h) + b[..., None] * z[:, None]
        return h.sum(1) @ P['embed'].T
    return {'logits': each(one, I['ids'])}, {}


def recursions(P, I, training):

    def one(x):
        T = len(x)
        h = x
        left = torch.ones(T).bool()
        for r in (1, 2, 3):
            g = torch.sigmoid(h @ P['w'])
            m = topmask(g.masked_fill(~left, -1), math.ceil((3 - r + 1) / 3 * T - 1e-12)) & left
            i = m.nonzero()[:, 0]
            z = h[i]
            q, k, v = (z @ P['f.W' + c] for c in 'qkv')
            o = z + msoft(q @ k.T / 3 ** 0.5, causal(len(z))) @ v @ P['f.Wo']
            h = h + torch.zeros_like(x).index_add(0, i, 0.5 * g[i, None] * (o - z))
            left = m
        return h
    return {'y': each(one, I['x'])}, {}


def noisy(P, I, training):
    x = torch.cat(I['x'])
    h = x @ P['Wg']
    sd = F.softplus(x @ P['Wn']) + 0.01
    m = topmask(h, 2)
    g = msoft(h, m)
    y = sum((g[:, e:e + 1] * (F.gelu(x @ P['expert.up'][e]) @ P['expert.down'][e]) for e in range(4)))
    so = h.sort(-1, descending=True).values
    th = torch.where(m, so[:, 2:3], so[:, 1:2])
    load = torch.distributions.Normal(0, 1).cdf((h - th) / sd).sum(0)
    imp = g.sum(0)
    cv = lambda v: 0.1 * v.var(unbiased=False) / (v.mean() ** 2 + 1e-10)
    return {'y': y}, {'importance': cv(imp), 'load': cv(load)}, {}, {'expert': m.sum(0)}


def remoe(P, I, training):
    x = torch.cat(I['x'])
    r = F.relu(x @ P['Wg'])
    m = r > 0
    y = sum((r[:, e:e + 1] * (F.relu(x @ P['expert.up'][e]) @ P['expert.down'][e]) for e in range(4)))
    l = P['lambda'] * (r * (4 * m.double().mean(0))).mean()
    updates = {'lambda': P['lambda'] * 1.2 ** torch.sign(m.double().mean() - 0.25), '_seen': P['_seen'] + m.sum(0) * P['lambda']}
    return {'y': y}, {'l1': l}, updates, {'expert': m.sum(0)}


def soft(P, I, training):

    def one(x):
        z = torch.einsum('td,des->tes', x, P['phi'])
        d = torch.softmax(z, 0)
        s = torch.einsum('tes,td->esd', d, x)
        o = torch.stack([ffn(s[e], P, 'expert.', e) for e in range(2)])
        return torch.einsum('tes,esd->td', torch.softmax(z.flatten(1), -1).view_as(z), o)
    tokens = torch.tensor([sum(len(x) for x in I['x'])] * 2)
    return {'y': each(one, I['x'])}, {}, {}, {'expert': tokens}


def nested(P, I, training):
    x = torch.cat(I['x'])
    p = torch.softmax(x @ P['w'], -1)
    m = topmask(p, 2)
    y = torch.zeros_like(x)
    even = 0
    leaf = torch.zeros(3, 2)
    for e in range(3):
        i = m[:, e].nonzero()[:, 0]
        z = x[i]
        q = torch.softmax(z @ P['node.w'][e], -1)
        c = topmask(q, 1)
        o = sum(((q * c)[:, k:k + 1] * ffn(z, P, 'node.leaf.', (e, k)) for k in range(2)))
        y = y.index_add(0, i, p[i, e][:, None] * o)
        even = even + 0.5 * (c.double().mean(0) * q.mean(0)).sum()
        leaf[e] = c.sum(0)
    losses = {'z': (torch.logsumexp(x @ P['w'], -1) ** 2).mean(), 'node.even': even}
    return {'y': y}, losses, {}, {'node': m.sum(0), 'node.leaf': leaf}


def experts(P, I, training):

    def one(x):
        p = torch.softmax(x @ P['w'], -1)
        m = topmask(p, 2)
        y = torch.zeros_like(x)
        for e in range(3):
            i = m[:, e].nonzero()[:, 0]
            z = x[i]
            T = len(z)
            if T == 0:
                continue
            u = conv(z, P['e.taps'][e]) + z
            q, k, v = (u @ P['e.W' + c][e] for c in 'qkv')
            q, k = (rope(q, [0.5]), rope(k, [0.5]))
            mm = causal(T) & torch.ones(T, T).triu(-1).bool()
            y = y.index_add(0, i, p[i, e][:, None] * (msoft(q @ k.T, mm) @ v @ P['e.Wo'][e]))
        return y
    count = sum(topmask(torch.softmax(x @ P['w'], -1), 2).sum(0) for x in I['x'])
    return {'y': each(one, I['x'])}, {}, {}, {'e': count}


def memories(P, I, training):

    def one(x):
        T = len(x)
        z = torch.einsum('td,dgm->tgm', x, P['wr'])
        gm = topmask(z.max(-1).values, 1)
        best = topmask(z.masked_fill(~gm[..., None], -1e9).flatten(1), 1).view_as(z)
        c = best | gm[..., None] & (torch.arange(2) == 0)
        g = msoft(z.flatten(1), c.flatten(1)).view_as(z)
        q = x @ P['Wq']
        k0 = torch.einsum('td,dgmk->tgmk', x, P['Wk'])
        v = torch.einsum('td,dgv->tgv', x, P['Wv'])
        d = -F.softplus(x @ P['wg'])
        y = torch.zeros(T, 3)
        for a in range(2):
            for b in range(2):
                i = c[:, a, b].nonzero()[:, 0]
                if len(i) == 0:
                    continue
                k = F.silu(conv(k0[i, a, b], P['taps'][:, a, b]))
                S = torch.zeros(2, 3)
                for n, t in enumerate(i.tolist()):
                    S = d[t, a].exp() * S + torch.outer(k[n], v[t, a])
                    y = y.index_add(0, torch.tensor([t]), (g[t, a, b] * (q[t] @ S))[None])
        return y @ P['Wo']
    return {'y': each(one, I['x'])}, {}


def joined(values):
    return torch.cat(values) if isinstance(values, list) else values


def complete(path):
    """Adds what is expected to a file."""
    tensors = {name: value for name, value in load_file(path).items() if not name.startswith('expect.')}
    lengths = tensors['cu_seqlens'].diff().tolist()
    program = globals()[path.stem]
    numbers = {name: value for name, value in tensors.items() if name != 'cu_seqlens' and not name.startswith('d_')}
    made = {}
    for training in (False, True):
        given = {name: value.long() if name in ('ids', 'labels') else value.double().requires_grad_() for name, value in numbers.items()}
        params = {name: value for name, value in given.items() if name not in INPUTS}
        inputs = {name: list(torch.split(value, lengths)) for name, value in given.items() if name in INPUTS}
        outputs, losses, updates, counts = (list(program(params, inputs, training)) + [{}, {}])[:4]
        for name, value in outputs.items():
            made[f'expect.{name}' if training else f'expect.eval.{name}'] = joined(value)
    for kind, values in (('loss', losses), ('update', updates), ('count', counts)):
        made.update({f'expect.{kind}.{name}': value.double() for name, value in values.items()})
    objective = sum((joined(value) * tensors[f'd_{name}'].double()).sum() for name, value in outputs.items()) + sum(losses.values())
    leaves = {name: value for name, value in given.items() if value.requires_grad}
    for (name, leaf), slope in zip(leaves.items(), torch.autograd.grad(objective, list(leaves.values()), allow_unused=True)):
        made[f'expect.d_{name}'] = torch.zeros_like(leaf) if slope is None else slope
    save_file({**tensors, **{name: value.detach().contiguous() for name, value in made.items()}}, path)


if __name__ == '__main__':
    for file in sorted(pathlib.Path(sys.argv[1]).glob('*.safetensors')):
        complete(file)
