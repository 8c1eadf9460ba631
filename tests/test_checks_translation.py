"""The checks of lesson 12 accept right answers and name each wrong one."""

import torch
import torch.nn.functional as F
from judging import Answers, Exercise, mutant

from utils.attention import causal_mask
from utils.checks import translation as lesson
from utils.training import shift_target, token_loss
from utils.translation import accumulate, smoothed_loss
from utils.translator.data import plain

# ---- 12.1 and 12.5 ----

RIGHT = "(1 - smoothing) * right"
SUM = "loss.masked_fill(target == pad_id, 0.0).sum()"
OTHERS = "logits.sum(dim=-1) - logits[..., pad_id] - right"
SHARE = "smoothing / (logits.size(-1) - 2)"


def loss(*texts):
    return mutant(smoothed_loss, *texts)


def by_one_hot(logits, target, pad_id, smoothing):
    shares = torch.full_like(logits, smoothing / (logits.size(-1) - 2))
    shares[..., pad_id] = 0
    shares.scatter_(-1, target.unsqueeze(-1), 1 - smoothing)
    return -(shares * logits.log_softmax(-1))[target != pad_id].sum()


def by_two_sums(logits, target, pad_id, smoothing):
    real = target != pad_id
    log_p, target = logits.log_softmax(-1)[real], target[real]
    right = log_p[torch.arange(len(target)), target]
    others = log_p.sum(-1) - right - log_p[:, pad_id]
    return -((1 - smoothing) * right + smoothing / (log_p.size(-1) - 2) * others).sum()


def by_a_loop(logits, target, pad_id, smoothing):
    total, size = 0.0, logits.size(-1)
    for row, token in zip(logits.flatten(0, -2).log_softmax(-1), target.flatten().tolist()):
        if token != pad_id:
            for n in range(size):
                share = 1 - smoothing if n == token else smoothing / (size - 2)
                total = total - (0 if n == pad_id else share) * row[n]
    return total


def by_kl(logits, target, pad_id, smoothing):
    shares = torch.full_like(logits, smoothing / (logits.size(-1) - 2))
    shares[..., pad_id] = 0
    shares.scatter_(-1, target.unsqueeze(-1), 1 - smoothing)
    return F.kl_div(logits.log_softmax(-1), shares, reduction="none")[target != pad_id].sum()


def by_logs_of_shares(logits, target, pad_id, smoothing):
    shares = torch.full_like(logits, smoothing / (logits.size(-1) - 2))
    shares[..., pad_id] = 0
    shares.scatter_(-1, target.unsqueeze(-1), 1 - smoothing)
    divergence = shares * (shares.log() - logits.log_softmax(-1)) - shares * shares.log()
    return divergence[target != pad_id].sum()


def by_log_of_softmax(logits, target, pad_id, smoothing):
    return smoothed_loss(logits.softmax(-1).log().nan_to_num(neginf=-1e4), target, pad_id,
                         smoothing)


def by_torch(logits, target, pad_id, smoothing):
    return F.cross_entropy(logits.flatten(0, 1), target.flatten(), ignore_index=pad_id,
                           label_smoothing=smoothing, reduction="sum")


SMOOTHED = Exercise(
    lesson.check_smoothed_loss,
    right=[smoothed_loss, by_one_hot, by_two_sums, by_a_loop],
    wrong=[
        (loss(OTHERS, "logits.sum(dim=-1) - right", SHARE, "smoothing / (logits.size(-1) - 1)"),
         "<pad> gets a share"),
        (loss(SHARE, "smoothing / logits.size(-1)", "logits.logsumexp(dim=-1) -",
              "(1 - 2 * smoothing / logits.size(-1)) * logits.logsumexp(dim=-1) -"),
         "divided by V: the shares"),
        (by_torch, "among all V tokens"),
        (lambda z, y, p, a: smoothed_loss(z, y, p, 1 - a), "the other way round"),
        (lambda z, y, p, a: smoothed_loss(z, y, p, 1 - a if a else a), "the other way round"),
        (loss("logits.logsumexp(dim=-1) -", "(1 + smoothing) * logits.logsumexp(dim=-1) -", RIGHT,
              "right"), "the truth still gets 1"),
        (lambda z, y, p, a: (1 - a) * token_loss(z, y, p), "nobody gets the rest"),
        (lambda z, y, p, a: token_loss(z, y, p), "nothing is smoothed"),
        (loss("logits[..., pad_id]", "logits[..., 0]"), "number 0 is taken for padding"),
        (loss(SUM, "loss.sum()"), "places of padding are counted"),
        (loss(SUM, f"{SUM} / (target != pad_id).sum()"), "mean over the tokens"),
        (loss(SUM, f"{SUM} / target.numel()"), "mean over all places"),
        (loss(SUM, f"{SUM} / len(target)"), "mean over the sentences"),
        (loss(SUM, SUM.removesuffix(".sum()")), "losses of the single places"),
        (loss(SUM, f"-{SUM}"), "the sign is wrong"),
        (by_kl, "KL divergence"),
        (by_logs_of_shares, "log(0)"),
        (by_log_of_softmax, "log_softmax or logsumexp is not"),
        (loss("logits.float()", "logits.float().softmax(-1)"), "softmax is applied twice"),
        (loss(SUM, SUM.replace("pad_id", "0")), "want"),
        (loss("logits.float()", "logits.detach().float()"), "no gradient reaches `logits`"),
    ],
    twins=["the other way round"],
)
MEMORY = Exercise(
    lesson.check_smoothing_from_memory,
    right=SMOOTHED.right,
    wrong=SMOOTHED.wrong[::3],
    twins=SMOOTHED.twins,
)

# ---- 12.2 ----

COUNT = "sum((tgt_out != pad_id).sum().item() for tgt_out in wanted)"
DIVIDED = "smoothed_loss(logits, tgt_out, pad_id, smoothing) / n_tokens"
ADDED = "total += loss.item()"


def step(*texts):
    return mutant(accumulate, *texts)


def by_one_loss(model, parts, pad_id):
    targets = [shift_target(tgt)[1] for _, _, tgt in parts]
    total = sum(token_loss(model(src, mask, tgt[:, :-1]), out, pad_id)
                for (src, mask, tgt), out in zip(parts, targets))
    loss = total / sum(int((out != pad_id).sum()) for out in targets)
    loss.backward()
    return loss


def by_scaling_at_the_end(model, parts, pad_id):
    before = [None if p.grad is None else p.grad.clone() for p in model.parameters()]
    model.zero_grad()
    total, n = 0.0, 0
    for src, mask, tgt in parts:
        loss = token_loss(model(src, mask, tgt[:, :-1]), tgt[:, 1:], pad_id)
        loss.backward()
        total, n = total + loss.detach(), n + (tgt[:, 1:] != pad_id).sum()
    for parameter, old in zip(model.parameters(), before):
        parameter.grad = parameter.grad / n + (0 if old is None else old)
    return total / n


def by_shares(model, parts, pad_id):
    counts = [(tgt[:, 1:] != pad_id).sum() for _, _, tgt in parts]
    total = 0.0
    for (src, mask, tgt), n in zip(parts, counts):
        logits = model(src, mask, tgt[:, :-1])
        mean = F.cross_entropy(logits.transpose(1, 2), tgt[:, 1:], ignore_index=pad_id)
        (mean * n / sum(counts)).backward()
        total += mean.item() * n.item() / sum(counts).item()
    return total


def without_backward(model, parts, pad_id):
    src, mask, tgt = parts[0]
    return token_loss(model(src, mask, tgt[:, :-1]), tgt[:, 1:], pad_id).item()


ACCUMULATED = Exercise(
    lesson.check_accumulate,
    right=[accumulate, by_one_loss, by_scaling_at_the_end, by_shares],
    wrong=[
        (step(DIVIDED, DIVIDED.replace("n_tokens", "((tgt_out != pad_id).sum() * len(parts))")),
         "mean of the parts' means: a token"),
        (step(DIVIDED, DIVIDED.replace("n_tokens", "(tgt_out != pad_id).sum()")),
         "the means of the parts are added up"),
        (step(COUNT, "sum(tgt_out.numel() for tgt_out in wanted)"), "among the tokens: count"),
        (step(DIVIDED, "token_loss(logits, tgt_out, -1) / n_tokens",
              "wanted =", "from utils.training import token_loss; wanted ="), "loss of padding"),
        (step(DIVIDED, "token_loss(logits, tgt_out, -1) / n_tokens", COUNT,
              "sum(tgt_out.numel() for tgt_out in wanted)",
              "wanted =", "from utils.training import token_loss; wanted ="), "in the loss and in"),
        (step(COUNT, COUNT.replace("pad_id", "0")), "padding is taken to be 0"),
        (step(DIVIDED, DIVIDED.replace("n_tokens", "1")), "the sums are not divided"),
        (step(COUNT, "len(parts)"), "by the number of parts"),
        (step(COUNT, "sum(map(len, wanted))"), "number of sentences"),
        (step("loss.backward()", "model.zero_grad(); loss.backward()"), "throws"),
        (step(ADDED, "total = loss.item()"), "that of the last part"),
        (step(ADDED, "total += loss.item() / len(parts)"), "once more"),
        (step("wanted = [shift_target(tgt)[1]", "wanted = [tgt", "shift_target(tgt)[0]", "tgt",
              COUNT, COUNT.replace("tgt_out !=", "tgt_out[:, 1:] !=")),
         "the very tokens"),
        (step("model(src, src_mask, shift_target(tgt)[0])", "model(src, src_mask, tgt[:, 1:])",
              "wanted = [shift_target(tgt)[1]", "wanted = [tgt[:, :-1]"), "are exchanged"),
        (step("zip(parts, wanted)", "zip(parts[:1], wanted)"), "the loss is"),
        (lambda m, parts, pad_id: accumulate(m, parts[:1], pad_id), "only the first part"),
        (lambda m, parts, pad_id: accumulate(m, parts[-1:], pad_id), "only the last part"),
        (step("smoothing: float = 0.0", "smoothing: float = 0.1"), "smoothed"),
        (without_backward, "call .backward()"),
        (step("return total", "return total / 2"), "the loss is"),
    ],
)

# ---- 12.3 ----


def mended(read="tgt[:, :-1]", wanted="tgt[:, 1:]", mask="causal_mask(tgt_in.size(1))",
           rest="smoothed_loss(model.out(x), tgt_out, pad_id, 0.0) / (tgt_out != pad_id).sum()",
           source="src_mask"):
    """A step with one of its lines changed."""
    names = {"causal_mask": causal_mask, "smoothed_loss": smoothed_loss, "torch": torch}
    exec(f"""
def answer(model, batch, pad_id):
    src, src_mask, tgt = batch
    tgt_in, tgt_out = {read}, {wanted}
    past = {mask}
    memory = model.encode(src, src_mask)
    x = model.decoder(model.tgt_embedding(tgt_in), memory, past, {source})
    return {rest}
""", names)
    return names["answer"]


def by_predict(model, batch, pad_id):
    src, src_mask, tgt = batch
    logits = model.predict(tgt[:, :-1], model.encode(src, src_mask), src_mask)
    return smoothed_loss(logits, tgt[:, 1:], pad_id, 0.0) / (tgt[:, 1:] != pad_id).sum()


def by_forward(model, batch, pad_id):
    tgt_in, tgt_out = shift_target(batch.tgt)
    logits = model(batch.src, batch.src_mask, tgt_in)
    return token_loss(logits, tgt_out, pad_id) / tgt_out.ne(pad_id).sum()


LOSS = "smoothed_loss(model.out(x), tgt_out, pad_id, 0.0)"
MENDED = Exercise(
    lesson.check_mended_loss,
    right=[mended(), by_predict, by_forward, lesson.mended_loss],
    wrong=[
        (mended("tgt", "tgt", "~causal_mask(tgt_in.size(1))"), "both leaks are still there"),
        (mended(mask="~causal_mask(tgt_in.size(1))"), "the mask is inverted"),
        (mended("tgt", "tgt"), "Shift the two by one"),
        (mended("tgt", "tgt", "None"), "without a mask all"),
        (mended(mask="None"), "the shift is right, but"),
        (mended(mask="causal_mask(tgt_in.size(1)).tril(-1)"), "diagonal"),
        (mended(mask="causal_mask(tgt_in.size(1)).mT"), "upper triangle"),
        (mended("tgt[:, :-2]", "tgt[:, 2:]"), "shifted twice"),
        (mended("tgt[:, 1:]", "tgt[:, :-1]"), "the wrong way"),
        (mended("tgt", "tgt.roll(-1, 1)"), "roll brings"),
        (mended("tgt[:, :-1]", "tgt[:, :-1]"), "the last word is cut off both"),
        (mended("tgt[:, 1:]", "tgt[:, 1:]"), "the first word is cut off both"),
        (mended(source="None"), "padding of the source"),
        (mended(rest=f"{LOSS.replace('0.0', '0.1')} / (tgt_out != pad_id).sum()"), "smoothed now"),
        (mended(rest=f"{LOSS} / tgt_out.numel()"), "padding is counted"),
        (mended(rest=LOSS), "number of tokens"),
        (mended(rest=f"({LOSS} / (tgt_out != pad_id).sum()).item()"), "no gradient reaches"),
    ],
)

# ---- 12.4 ----


def report(best="max", choose="valid", fold="plain(w), plain(t)", known="plain(s) in seen",
           seen="{plain(s) for s, _ in train}", scored="new", result="name, score, len(test) - "
           "len(new)", bleu="bleu(list(written), list(truths))"):
    """A report with one step changed."""
    names = {"plain": plain}
    exec(f"""
def answer(systems, train, valid, test, bleu):
    def points(name, pairs):
        rows = zip(systems[name]([s for s, _ in pairs]), pairs)
        written, truths = zip(*[({fold}) for w, (_, t) in rows])
        return {bleu}
    seen = {seen}
    new = [(s, t) for s, t in test if not ({known})]
    name = {best}(systems, key=lambda name: points(name, {choose}))
    score = points(name, {scored})
    return {result}
""", names)
    return names["answer"]


def by_sorting(systems, train, valid, test, bleu):
    truth = [tgt.lower() for _, tgt in valid]
    table = [(bleu([w.lower() for w in write([src for src, _ in valid])], truth), name)
             for name, write in systems.items()]
    name = sorted(table)[-1][1]
    known = [src.lower() for src, _ in train]
    new = [(src, tgt.lower()) for src, tgt in test if src.lower() not in known]
    written = [w.lower() for w in systems[name]([src for src, _ in new])]
    return [name, bleu(written, [tgt for _, tgt in new]), len(test) - len(new)]


REPORT = Exercise(
    lesson.check_report,
    right=[report(), by_sorting, lesson.right_report,
           lambda *, systems, train, valid, test, bleu: report()(
               systems, train, valid, test, bleu)],
    wrong=[
        (report(choose="new"), "the system is chosen on test: then"),
        (report(choose="test"), "with the known sentences"),
        (report(fold="w, t"), "nothing is put into small"),
        (report(fold="plain(w), t"), "only what the systems write"),
        (report(known="False"), "known by heart"),
        (report(known="False", choose="test"), "and no sentence is left out"),
        (report(known="(s, t) in train"), "whole pairs"),
        (report(known="s in seen", seen="{s for s, _ in train}"), "with their capitals"),
        (report(known="plain(t) in seen", seen="{plain(t) for _, t in train}"),
         "the translations are compared"),
        (report(known="plain(s) not in seen"), "of the known sentences"),
        (report(scored="test"), "and yet scored"),
        (report(scored="valid"), "is that of valid"),
        (report(best="min"), "the worst system"),
        (report(best="(lambda systems, key: next(iter(systems)))"), "the first system"),
        (report(bleu="bleu(list(truths), list(written))"), "are exchanged"),
        (report(bleu="sum(bleu([w], [t]) for w, t in zip(written, truths)) / len(truths)"),
         "mean of sentence scores"),
        (report(result="name, score, len(new)"), "left out, want"),
        (report(result="name, score"), "want 3 results"),
        (report(result="score, name, len(test) - len(new)"), "is chosen, want"),
    ],
)


class TestAnswers(Answers):
    exercises = (SMOOTHED, ACCUMULATED, MENDED, REPORT, MEMORY)
