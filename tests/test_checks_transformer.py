"""The checks of lesson 11 accept right answers and name each wrong one."""

import copy

import torch
from judging import Answers, Exercise, endless, fails, mutant
from torch import nn

from utils.attention import MultiHeadAttention, causal_mask
from utils.checks import transformer as lesson
from utils.decoding import greedy_decode
from utils.probes import at_rest, future_leak, other_tokens
from utils.transformer import (
    AddNorm,
    Decoder,
    DecoderLayer,
    Encoder,
    FeedForward,
    TokenEmbedding,
    Transformer,
)

NAN = float("nan")

# ---- 11.1 and 11.5 ----


class Layer(nn.Module):
    """The solution with one look on each line, for mutants."""

    def __init__(self, d_model, n_heads, d_ff, dropout=0.0, pre_norm=False):
        super().__init__()
        self.attention = MultiHeadAttention(d_model, n_heads)
        self.cross_attention = MultiHeadAttention(d_model, n_heads)
        self.feed_forward = FeedForward(d_model, d_ff, dropout)
        self.add_norm1, self.add_norm2, self.add_norm3 = (
            AddNorm(d_model, dropout, pre_norm) for _ in range(3))

    def forward(self, x, memory, tgt_mask=None, src_mask=None):
        z = self.add_norm1(x, lambda y: self.attention(y, y, y, tgt_mask)[0])
        w = self.add_norm2(z, lambda y: self.cross_attention(y, memory, memory, src_mask)[0])
        return self.add_norm3(w, self.feed_forward)


ONE, TWO = "self.attention(y, y, y, tgt_mask)", "self.cross_attention(y, memory, memory, src_mask)"
LAST = "self.add_norm3(w, self.feed_forward)"
TGT, SRC = (f"(None if {m}_mask is None else {{}} {m}_mask)" for m in ("tgt", "src"))


def layer(*texts):
    return mutant(Layer, *texts)


def first(query, key, value, mask="tgt_mask"):
    return layer(ONE, f"self.attention({query}, {key}, {value}, {mask})")


def second(query, key, value, mask="src_mask"):
    return layer(TWO, f"self.cross_attention({query}, {key}, {value}, {mask})")


class OtherNames(nn.Module):
    """Right: the parts have other names, stand in a list, and are called by keyword."""

    def __init__(self, d_model, n_heads, d_ff, dropout=0.0, pre_norm=False):
        super().__init__()
        self.looks = nn.ModuleList(MultiHeadAttention(d_model, n_heads) for _ in range(2))
        self.net = FeedForward(d_model, d_ff, dropout)
        self.norms = nn.ModuleList(AddNorm(d_model, dropout, pre_norm) for _ in range(3))

    def forward(self, x, memory, tgt_mask=None, src_mask=None):
        def past(y):
            output, _ = self.looks[0](query=y, key=y, value=y, mask=tgt_mask)
            return output

        def source(y):
            return self.looks[1](y, key=memory, value=memory, mask=src_mask)[0]

        for norm, step in zip(self.norms, (past, source, self.net)):
            x = norm(x, step)
        return x


class TakenApart(Layer):
    """Right: the parts of AddNorm are called, not AddNorm itself."""

    def forward(self, x, memory, tgt_mask=None, src_mask=None):
        for part, step in (
            (self.add_norm1, lambda y: self.attention(y, y, y, tgt_mask)[0]),
            (self.add_norm2, lambda y: self.cross_attention(y, memory, memory, src_mask)[0]),
            (self.add_norm3, self.feed_forward),
        ):
            found = part.dropout(step(part.norm(x) if part.pre_norm else x))
            x = x + found if part.pre_norm else part.norm(x + found)
        return x


class StubLayer(Layer):
    def forward(self, x, memory, tgt_mask=None, src_mask=None):
        return ...


LAYER = Exercise(
    lesson.check_decoder_layer,
    right=[DecoderLayer, Layer, OtherNames, TakenApart, lambda *sizes: OtherNames(*sizes),
           layer("w = ", "self.seen = None; w = ")],
    wrong=[
        (layer(LAST, f"{LAST}, None"), "return one tensor, x"),
        (layer("z = self.add_norm1(x, lambda y: self.attention(y, y, y, tgt_mask)[0])", "return x"),
         "in this order: nothing"),
        (layer(TWO, "self.cross_attention(*[y] * 3, tgt_mask)", ONE, TWO.replace("cross_", "")),
         "the memory is read first"),
        (layer(LAST, f"self.add_norm2(self.add_norm3(z, self.feed_forward), lambda y: {TWO}[0])",
               "w = self.add_norm2(z, lambda y: self.cross_attention(y, memory, memory, src_mask)"
               "[0])", "pass"), "in this order: attention, net, attention"),
        (layer("self.cross_attention(y, m", "self.attention(y, m"), "called twice"),
        (layer("self.add_norm2(z", "self.add_norm1(z", "self.add_norm3(w", "self.add_norm1(w"),
         "three different AddNorms, one around each sub-layer, each used once; used in this order: "
         "add_norm1, add_norm1, add_norm1"),
        (layer("attention(y, memory", "attention(y, self.add_norm3.norm(memory)"),
         "in this order: add_norm1, add_norm2, add_norm3, add_norm3"),
        (mutant(OtherNames, "nn.ModuleList(MultiHeadAttention(d_model, n_heads) for _ in range(2))",
                "[MultiHeadAttention(d_model, n_heads) for _ in range(2)]"), "is a plain list"),
        (layer(LAST, "self.add_norm3(x, self.feed_forward)"), "result of the attentions is lost"),
        (layer("add_norm3(w", "add_norm3(z"), "result of the second attention is lost"),
        (layer("z = ", "z = x + "), "once more to what the first AddNorm gives"),
        (layer("w = ", "w = z + "), "once more to what the second AddNorm gives"),
        (layer(LAST, f"w + {LAST}"), "once more to what the third AddNorm gives"),
        (layer("add_norm2(z", "add_norm2(x"), "the result of the first attention is lost"),
        (layer(LAST, f"{LAST}.detach()"), "no gradient reaches any of the arguments"),
        (layer("add_norm1(x", "add_norm1(x.detach()"), "no gradient reaches `x`"),
        (layer(TWO, TWO.replace("memory, memory", "memory.detach(), memory.detach()")),
         "no gradient reaches `memory`"),
        (layer(TWO, TWO.replace("memory, memory", "memory, memory.data")), "gradient at `memory`"),
        (layer(f"{ONE}[0]", f"{ONE}[0].detach()"), "no gradient reaches `attention."),
        (layer(f"{ONE}[0]", ONE), "hand only the output on"),
        (first("y", "y", "y", "None"), "the first attention hides nothing"),
        (first("y", "y", "y", TGT.format("True |")), "the first attention hides nothing"),
        (first("y", "y", "y", "~tgt_mask"), "the first attention got tgt_mask turned"),
        (first("y", "y", "y", TGT.format("~")), "the first attention got tgt_mask turned"),
        (first("y", "y", "y", "causal_mask(y.size(1)) if tgt_mask is None else tgt_mask & "
               "causal_mask(y.size(1))"), "a causal mask is built in"),
        (layer("super().__init__()", "super().__init__(); torch.manual_seed(3)"),
         "begin with the same weights"),
        (first("y", "y", "y", "src_mask"), "the first attention got src_mask"),
        (first("y", "y", "y", "tgt_mask if tgt_mask is None else tgt_mask[:1]"),
         "all sentences get the tgt_mask of the first"),
        (second("y", "memory", "memory", "src_mask if src_mask is None else src_mask[:1]"),
         "all sentences get the src_mask of the first"),
        (first("y", "memory", "memory", "src_mask"), "the first attention reads the memory"),
        (first("x", "x", "x"), "the first attention reads x, not the y"),
        (first("y", "y", "x"), "the value of the first attention is x"),
        (first("y", "x", "y"), "the key of the first attention is x"),
        (first("y", "x", "x"), "key and value of the first attention are x"),
        (second("y", "memory", "memory", "None"), "second attention hides nothing"),
        (second("y", "memory", "memory", SRC.format("True |")), "second attention hides nothing"),
        (second("y", "memory", "memory", "~src_mask"), "the second attention got src_mask turned"),
        (second("y", "memory", "memory", "tgt_mask"), "the second attention got tgt_mask"),
        (second("y", "y", "y", "tgt_mask"), "never reads the memory: its"),
        (second("y", "y", "y", "src_mask"), "never reads the memory, but"),
        (second("y", "memory", "memory.flip(1)"), "All parts are called, but"),
        (second("y", "memory", "y"), "the value of the second attention is y"),
        (second("y", "y", "memory"), "the key of the second attention is y"),
        (second("memory", "memory", "memory"), "the query of the second attention"),
        (second("memory", "y", "y", "tgt_mask"), "memory asks target"),
        (second("memory", "y", "y", "None"), "turned round, memory asks"),
        (second("z", "memory", "memory"), "the second attention asks with x"),
        (layer("(y, y, y,", "(x, x, x,", "(y, memory", "(z, memory"), "both attentions read x"),
        (layer("(y, y, y, tgt_mask)", "(y, y, y)", ", src_mask)[0]", ")[0]"), "neither attention"),
        (layer("memory, src_mask)[0]", "memory, tgt_mask)[0]", "y, y, tgt_mask", "y, y, src_mask"),
         "the masks are exchanged"),
        (layer("self.attention = MultiHeadAttention(d_model, n_heads)",
               "self.attention = MultiHeadAttention(d_model, 3)"), "`attention` got n_heads=3"),
        (layer("(d_model, d_ff, dropout)", "(d_model, 20, dropout)"), "`feed_forward` got d_ff=20"),
        (layer("(d_model, d_ff, dropout)", "(d_model, d_ff)"), "d` got dropout=0.0: hand dropout"),
        (layer("(d_model, dropout, pre", "(d_model, 0.0, pre"), "m1` got dropout=0.0: hand"),
        (layer("dropout, pre_norm) for", "dropout, True) for"), "hand pre_norm on"),
        (Layer(12, 3, 20), "hand over the class itself"),
        (type("Layer", (nn.Module,), {"forward": lambda *given: given[1]}), "raised TypeError"),
        (layer(LAST, f"{LAST} * (1 + self.training)"), "for dropout in training mode"),
        (layer(LAST, f"{LAST}.view(2, -1, 12)"), "is invalid for input of size 36"),
        (layer(TWO, TWO.replace("src_mask", "src_mask if len(x) > 1 else None")),
         "for one sentence"),
        (layer("z = self", "memory = memory if len(x) > 1 else 0 * memory; z = self"),
         "but for one sentence: result["),
        (layer("z = self", "memory = memory.mean(0, True).expand_as(memory); z = self"),
         "moves sentence 0, and must not"),
        (layer("z = self", "memory = self.__dict__.setdefault('kept', memory); z = self"),
         "kept from an earlier call"),
        (layer("z = self", "tgt_mask = tgt_mask if x.size(1) < 100 else None; z = self"),
         "for 140 target and 150 source words: "),
        (layer(LAST, f"self.train() and {LAST}"), "the mode (train or eval)"),
        (layer("self.add_norm1, ", "self.attention.requires_grad_(False); self.add_norm1, "),
         "is frozen"),
        (layer("z = self", "x.add_(1); z = self"), "in place"),
    ],
    twins=["memory asks target", "turned round, memory asks"],
    stubs=[StubLayer, type("Stub", (nn.Module,), {})],
    hostile=[7, "seven", dict, nn.Linear(2, 2), lambda *given: None, fails, endless]
    + [layer(LAST, text) for text in ("None", "7", "'x'", "torch.ones(2)", "w * float('nan')")]
    + [layer("z = self", "raise ValueError('no'); z = self")],
    is_function=False,
)
EXCHANGED = [
    (layer("norm1(x", "norm2(x", "norm2(z", "norm1(z"), "add_norm2 stands where add_norm1 belongs"),
    (layer(ONE, ONE.replace(".", ".cross_"), TWO, TWO.replace("cross_", "")),
     "cross_attention stands where attention belongs"),
]
MEMORY = Exercise(lesson.check_decoder_from_memory,
                  right=[OtherNames, DecoderLayer, *(answer for answer, _ in EXCHANGED)],
                  wrong=[*LAYER.wrong[::4],
                         (layer("super().__init__()", "super().__init__(); torch.manual_seed(5)"),
                          "two new modules of your class")], twins=LAYER.twins, stubs=LAYER.stubs,
                  hostile=LAYER.hostile[::3], is_function=False)
LAYER.wrong += EXCHANGED


# ---- 11.2 ----


class Whole(nn.Module):
    """What the stub of 11.2 gives, and the solution step by step."""

    def __init__(self, n_src, n_tgt, d_model=64, n_heads=4, n_layers=2):
        super().__init__()
        stack = n_layers, d_model, n_heads, 2 * d_model, 0.0, True
        self.encoder, self.decoder = Encoder(*stack), Decoder(*stack)
        self.src_embedding = TokenEmbedding(n_src, d_model)
        self.tgt_embedding = TokenEmbedding(n_tgt, d_model)
        self.out = nn.Linear(d_model, n_tgt)

    def encode(self, src, src_mask):
        return self.encoder(self.src_embedding(src), src_mask)

    def forward(self, src, src_mask, tgt):
        memory, y = self.encode(src, src_mask), self.tgt_embedding(tgt)
        p = causal_mask(tgt.size(1))
        return self.out(self.decoder(y, memory, p, src_mask))


class Loops(Whole):
    """Right: layer by layer, the source after the target."""

    def forward(self, src, src_mask, tgt):
        x, memory = self.tgt_embedding(tgt), self.src_embedding(src)
        for part in self.encoder.layers:
            memory = part(memory, src_mask)
        memory = self.encoder.norm(memory)
        past = torch.arange(tgt.size(1))[:, None] >= torch.arange(tgt.size(1))
        for part in self.decoder.layers:
            x = part(x, memory, past, src_mask)
        return nn.functional.linear(self.decoder.norm(x), self.out.weight, self.out.bias)


READ = "self.encoder(self.src_embedding(src), src_mask)"
MASKS = "(y, memory, p, src_mask)"
END = f"self.out(self.decoder{MASKS})"


def whole(*texts):
    return mutant(Whole, *texts)


def past(text):
    return whole("p = causal_mask(tgt.size(1))", f"p = {text}")


WHOLE = Exercise(
    lesson.check_transformer,
    right=[Transformer, Whole, Loops, lambda *sizes: Whole(*sizes),
           past("causal_mask(tgt.size(1)).expand(len(tgt), -1, -1)")],
    wrong=[
        (whole(READ, "self.src_embedding(src)"), "returns the embedded words"),
        (whole(READ, "self.encoder(self.src_embedding(src))"), "encoder got no src"),
        (whole(READ, "self.encoder(self.src_embedding(src), ~src_mask)"), "got src_mask turned"),
        (whole(READ, "self.encoder(self.src_embedding(src), src_mask & causal_mask(src.size(1)))"),
         "encoder got a causal mask: the"),
        (whole(READ, "self.encoder(self.src_embedding(src), causal_mask(src.size(1)))"),
         "encoder got a causal mask in place"),
        (whole(READ, "self.encoder(self.tgt_embedding(src), src_mask)"),
         "source goes through the embedding of the target"),
        (whole(READ, "self.encoder(self.src_embedding.embedding(src), src_mask)"), "without their"),
        (whole(READ, f"{READ}, src_mask"), "encode returns one tensor"),
        (whole(READ, f"2 * {READ}"), "Want self.encoder(self.src_embedding(src), src_mask)"),
        (whole(READ, f"{READ}.detach()"), "no gradient reaches any"),
        (whole("self.encoder(", "self.encoder.layers[0]("), "memory[0, 0, 0] (sentence 0, place 0"),
        (whole(READ, "self.encoder(self.src_embedding(src), src_mask[:1])"),
         "all sentences get the src_mask of the first"),
        (whole(END, f"self.decoder{MASKS}"), "vectors of the decoder"),
        (whole(END, f"{END}.softmax(-1)"), "without softmax"),
        (whole(END, f"{END}.log_softmax(-1)"), "log_softmax"),
        (whole(END, f"{END}[:, -1:]"), "only the last place: in"),
        (whole(END, f"{END}[:, -1]"), "its axis is gone"),
        (past("None"), "got no causal mask"),
        (past("~causal_mask(tgt.size(1))"), "causal mask is turned round"),
        (past("causal_mask(tgt.size(1)).T"), "lies the wrong way"),
        (past("causal_mask(tgt.size(1)).tril(-1)"), "hides a place from itself"),
        (past("causal_mask(tgt.size(1)) | torch.ones(len(tgt[0]), len(tgt[0])).bool().tril(1)"),
         "one place too many"),
        (past("causal_mask(5)"), "for 7 source and 6 target words"),
        (past("causal_mask(src.size(1))"), "mask (7, 7) does not fit"),
        (past("None if self.training else causal_mask(tgt.size(1))"), "for training mode"),
        (past("causal_mask(tgt.size(1)) if tgt.size(1) < 100 else None"),
         "for 140 source and 130 target words"),
        (past("causal_mask(tgt.size(1)) & (tgt != 2).unsqueeze(1)"), "for the ids 0 to 3"),
        (past("self.__dict__.setdefault('kept', causal_mask(tgt.size(1)))"),
         "a global. For 3 source and 9 target words: your function raised ValueError: mask (5, 5)"),
        (whole("self.encode(src, src_mask)", "self.__dict__.setdefault(src.shape, self.encode(src, "
               "src_mask))"), "a global. For as many target as source words: logits["),
        (whole(MASKS, "(y, memory, p)"), "the decoder got no src_mask"),
        (whole(MASKS, "(y, memory, p, ~src_mask)"), "decoder got src_mask turned"),
        (whole(MASKS, "(y, memory)"), "neither mask"),
        (whole(MASKS, "(y, memory, src_mask, p)"), "two masks are exchanged"),
        (whole(MASKS, "(y, memory, p, src_mask[:1])"), "in the decoder all sentences"),
        (whole(MASKS, "(y, memory, p, src_mask if len(src) > 1 else None)"),
         "but for one sentence:"),
        (whole(END, f"{END}, memory"), "forward returns one tensor"),
        (whole(END, f"2 * {END}"), "Want self.out(self.decoder("),
        (whole(END, f"{END}.detach()"), "no gradient reaches any"),
        (whole(MASKS, "(y, memory.detach(), p, src_mask)"), "`encoder.*`"),
        (whole("self.tgt_embedding(tgt)", "self.tgt_embedding(tgt).data"), "`tgt_embedding.emb"),
        (whole("self.encode(src, src_mask)", "self.src_embedding(src)"), "embedded source words"),
        (whole("self.encode(src, src_mask)", "self.encoder(self.src_embedding(src))"),
         "its memory without src_mask"),
        (whole("self.tgt_embedding(tgt)", "self.src_embedding(tgt)"), "of the source: it has its"),
        (whole("self.tgt_embedding(tgt)", "self.tgt_embedding.embedding(tgt)"), "target's vectors"),
        (whole("self.src_embedding = ", "self.source = "), "has no self.src_embedding"),
        (whole("def encode", "def memory"), "want two methods"),
        (whole("stack = n_layers", "stack = 2"), "self.encoder has 2 layers"),
        (whole("self.out = nn.Linear(d_model, n_tgt)", "self.out = nn.Linear(d_model, n_tgt); "
               "self.out.requires_grad_(False)"), "`out.weight` is frozen"),
        (whole("p = causal", "tgt.zero_(); p = causal"), "in place"),
        (whole("super().__init__()", "super().__init__(); torch.manual_seed(3)"),
         "begin with the same weights"),
        (whole("p = causal", "torch.manual_seed(1); p = causal"), "random state itself"),
        (whole("p = causal", "self.train(); p = causal"), "the mode (train or eval)"),
    ],
    stubs=[whole(END, "..."), whole(READ, "..."), type("Stub", (nn.Module,), {})],
    hostile=[7, "seven", dict, nn.Linear(2, 2), lambda *given: None, fails, endless]
    + [whole(part, text) for part in (READ, END) for text in
       ("None", "7", "'x'", "torch.ones(2)", "torch.tensor(float('nan'))", "(None, None)")],
    is_function=False,
)


# ---- 11.3 ----


def write(model, src, src_mask, bos_id, eos_id, max_len=40):
    tgt = torch.tensor([[bos_id]])
    while tgt.size(1) <= max_len and tgt[0, -1] != eos_id:
        word = model(src, src_mask, tgt)[:, -1:].argmax(dim=-1)
        tgt = torch.cat([tgt, word], dim=1)
    return tgt


def write_by_list(model, src, src_mask, bos_id, eos_id, max_len):
    words = [bos_id]
    for _ in range(max_len):
        words.append(model(src, src_mask, torch.tensor([words]))[0, -1].softmax(-1).argmax().item())
        if words[-1] == eos_id:
            break
    return torch.tensor([words])


def write_in_int32(model, src, src_mask, bos_id, eos_id, max_len):
    with torch.no_grad(), at_rest(model):
        tokens = torch.full((1, max_len + 1), bos_id, dtype=torch.int32)
        for n in range(1, max_len + 1):
            logits = model(src, src_mask, tokens[:, :n])
            tokens[0, n] = logits.log_softmax(-1)[0, n - 1].argmax().item()
            if tokens[0, n] == eos_id:
                return tokens[:, : n + 1]
    return tokens


def write_in_place(more):
    """The model reads places that are still empty."""
    def answer(model, src, src_mask, bos_id, eos_id, max_len):
        tokens = torch.full((1, max_len + 1), eos_id)
        tokens[0, 0] = bos_id
        for n in range(max_len):
            tokens[0, n + 1] = model(src, src_mask, tokens[:, : max_len + more])[0, n].argmax()
            if tokens[0, n + 1] == eos_id:
                break
        return tokens[:, : n + 2]
    return answer


GO, WORD, START = "tgt[0, -1] != eos_id", "[:, -1:].argmax(dim=-1)", "[[bos_id]]"


def written(*texts):
    return mutant(write, *texts)


def gives(text):
    return written("return tgt", f"return {text}")


WRITE = Exercise(
    lesson.check_write,
    right=[write, write_by_list, write_in_int32,
           lambda *, model, src, src_mask, bos_id, eos_id, max_len: write(
               model, src, src_mask, bos_id, eos_id, max_len)],
    wrong=[
        (written(START, "[[eos_id]]", GO, "(tgt.size(1) == 1 or tgt[0, -1] != eos_id)"),
         "it must be <bos>"),
        (written(START, "[[0]]"), "for <bos> 3 and <eos> 8"),
        (written("src_mask, tgt)", "src_mask, tgt[:, -1:])"), "one word only: it"),
        (written("src_mask, tgt)", "src_mask, tgt[:, -2:])"), "two words only"),
        (written("src_mask, tgt)", "src_mask, tgt[:, :1])"), "<bos> alone at every step"),
        (written("src_mask, tgt)", "src_mask, tgt.flip(1))"), "in reverse order"),
        (written(WORD, "[:, :1].argmax(dim=-1)"), "taken from the first place"),
        (write_in_place(0), "the empty places behind the words"),
        (write_in_place(1), "empty places behind"),
        (written(WORD, "[:, -1].softmax(-1).multinomial(1)"), "drawn at random"),
        (written(WORD, "[:, -1:].index_fill(2, torch.tensor([bos_id]), -99.0).argmax(dim=-1)"),
         "in which <bos> comes again: want shape of tokens (sentence, word) = (1, 5), got (1, 3) "
         "holding [[0, 5, 1]], want [[0, 5, 0, 9, 1]]"),
        (written(GO, "(tgt.size(1) == 1 or tgt[0, -1] not in (bos_id, eos_id))"),
         "[[0, 5, 0]], want"),
        (written("tgt = torch.tensor", "model.eval(); tgt = torch.tensor"), "in another mode"),
        (written("tgt = torch.tensor", "model.train(); tgt = torch.tensor"), "for <bos> 3 and <eos"
         "> 8: your function leaves the model in another mode"),
        (written(WORD, ".argmax().view(1, 1) % 11"), "from all places together"),
        (written(WORD, "[:, -1:].topk(2).indices[..., 1]"), "the second: argmax"),
        (written(WORD, "[:, -1:].argmin(dim=-1)"), "least likely"),
        (written(GO, "tgt.size(1)"), "it goes on after <eos>"),
        (written(GO, "(tgt[0, 1:] > 1).all()"), "for <bos> 3 and <eos> 8: want shape of tokens (s"
         "entence, word) = (1, 8), got (1, 5)"),
        (written(GO, "tgt[0, -1] != 1"), "[[3, 4, 4, 10, 0, 1]], want [[3, 4, 4, 10, 0, 1, 2, 8]]"),
        (written("<= max_len", "<= max_len + 1"), "one word more than max_len"),
        (written("<= max_len", "< max_len"), "one word less than max_len"),
        (written("<= max_len", "<= 40"), "for max_len 3"),
        (written("<= max_len", "<= min(max_len, 99)"), "for a long sentence"),
        (written("while tgt.size(1) <= max_len and", "if"), "call the model in a loop"),
        (gives("tgt[:, 1:]"), "<bos> is missing"),
        (gives("tgt[tgt != eos_id].unsqueeze(0)"), "<eos> is missing"),
        (gives("tgt[:, 1:][tgt[:, 1:] != eos_id].unsqueeze(0)"), "<bos> and <eos> are missing"),
        (gives("tgt[:, :-1]"), ", got (1, 5)"),
        (gives("tgt[0]"), "of shape (1, n)"),
        (gives("tgt.tolist()"), "want tokens as a torch.Tensor"),
        (gives("tgt.double()"), "want torch.int64"),
        (written("[tgt, word]", "[word, tgt]"), "where <eos> is not found: add the word at the"),
        (written("[tgt, word]", "[word, tgt]", "[0, -1]", "[0, 0]"), "in front: add the word"),
        (written("torch.cat([tgt, word], dim=1)", "tgt if tgt[0, -1] == eos_id else word",
                 f"while tgt.size(1) <= max_len and {GO}", "for _ in range(max_len)"),
         "each word replaces"),
        (written("torch.cat([tgt, word], dim=1)", "word"), "it never stops"),
        (written("tgt.size(1) <= max_len and ", ""), "for max_len 3"),
        (lambda model, src, mask, bos, eos, n: torch.tensor([[bos]]), "only <bos> comes back"),
        (written("model(src,", "model(src.flip(1),"), "the model got another src than"),
        (written("model(src, src_mask,", "model(src, src_mask | True,"), "got another src_mask"),
        (written("src_mask, tgt)", "src_mask, tgt[0])"), "got tgt of shape"),
        (written("return tgt", "src.zero_(); return tgt"), "in place"),
        (written("tgt = torch.tensor", "torch.manual_seed(0); tgt = torch.tensor"), "random state"),
    ],
    twins=["the empty places behind the words", "empty places behind"],
    hostile=[lambda *given: 7, lambda *given: torch.tensor(NAN), lambda *given: (None, None),
             lambda *given: (torch.ones(2), torch.ones(2))],
)


# ---- 11.4 ----


def leak(model, src, src_mask, tgt):
    others = other_tokens(tgt)
    with at_rest(model):
        before = model(src, src_mask, tgt)
        for j in range(1, tgt.size(1)):
            changed = tgt.clone()
            changed[:, j] = others[:, j]
            after = model(src, src_mask, changed)
            moved = after[:, :j] - before[:, :j]
            if moved.abs().max() > 1e-5:
                return True
    return False


def leak_by_sentence(model, *batch):
    """Right: one sentence at a time, modes put back by hand."""
    was_training = model.training
    model.eval()
    found = False
    for b in range(len(batch[0])):
        src, src_mask, tgt = (part[b : b + 1] for part in batch)
        before = model(src, src_mask, tgt)
        for j in range(1, tgt.size(1)):
            changed = tgt.clone()
            changed[:, j] = (changed[:, j] + 1) % before.size(-1)
            gap = (before - model(src, src_mask, changed))[:, :j].abs().max()
            found = found or bool(gap > 1e-5)
    model.train(was_training)
    return found


def leak_on_a_copy(model, src, src_mask, tgt):
    """Right: all later tokens at once, on a copy of the model, for each position."""
    model = copy.deepcopy(model).eval()
    for i in range(tgt.size(1) - 1):
        later = torch.cat([tgt[:, : i + 1], other_tokens(tgt)[:, i + 1 :]], dim=1)
        gap = model(src, src_mask, tgt)[:, i] - model(src, src_mask, later)[:, i]
        if gap.abs().max() > 1e-5:
            return True
    return False


def leak_by_prefixes(model, src, src_mask, tgt):
    """Right: a prefix read alone must give what it gives inside the whole target."""
    with at_rest(model):
        whole = model(src, src_mask, tgt)
        gaps = [(model(src, src_mask, tgt[:, :n]) - whole[:, :n]).abs().max()
                for n in range(1, tgt.size(1))]
    return max(gaps).item() > 1e-5


def leak_by_one_more_token(model, src, src_mask, tgt):
    """Finds only what the end of the target hides: nothing inside is changed."""
    with at_rest(model):
        longer = torch.cat([tgt, tgt[:, :1]], dim=1)
        gap = model(src, src_mask, tgt) - model(src, src_mask, longer)[:, :-1]
    return gap.abs().max().item() > 1e-5


def leak_by_the_last(part):
    """Only the last token is changed, and some part compared."""
    def answer(model, src, src_mask, tgt):
        with at_rest(model):
            later = torch.cat([tgt[:, :-1], other_tokens(tgt)[:, -1:]], dim=1)
            gap = model(src, src_mask, tgt) - model(src, src_mask, later)
        return gap[part].abs().max().item() > 1e-5
    return answer


CUT, NEW, GAP = "[:, :j] - before[:, :j]", "others[:, j]", "moved.abs().max() > 1e-5"
SOURCE = "model(src, src_mask, changed)"


def leaks(*texts):
    return mutant(leak, *texts)


LEAK = Exercise(
    lesson.check_leak_test,
    right=[leak, lambda *given: future_leak(*given) > 1e-5, leak_by_sentence, leak_on_a_copy,
           leak_by_prefixes, lambda *given: torch.tensor(future_leak(*given) > 1e-6),
           leaks(NEW, "(tgt[:, j] + 1) % before.size(-1)"),
           lambda *, model, src, src_mask, tgt: leak(model, src, src_mask, tgt)],
    wrong=[
        (leaks(CUT, " - before"), "Leave the changed place out"),
        (leaks(CUT, "[:, : j + 1] - before[:, : j + 1]"), "Leave the changed place out"),
        (leaks(CUT, "[:, j + 1 :] - before[:, j + 1 :]", "tgt.size(1))", "tgt.size(1) - 1)"),
         "Place i may depend on tokens 0 to i"),
        (leaks("with at_rest(model):", "if True:"), "Dropout differs"),
        (leaks("> 1e-5", "> 0"), "Compare the largest change, no sum"),
        (leaks("abs().max()", "abs().sum()"), "Compare the largest change, no sum"),
        (leaks("with at_rest(model):", "if model.eval():"), "leaves the model in another mode"),
        (leaks("others = other_tokens(tgt)", "others = other_tokens(tgt); model.dropout.p = 0.0"),
         "leaves the dropout rate of `dropout` changed"),
        (leaks("> 1e-5", "> 1e-2"), "More than 1e-5 is a leak"),
        (leaks("> 1e-5", "> 1e-4"), "More than 1e-5 is a leak"),
        (leaks("abs().max()", "abs().mean()"), "More than 1e-5 is a leak"),
        (leaks(GAP, "(after.argmax(-1) != before.argmax(-1))[:, :j].any()"), "Compare the logits"),
        (leaks("range(1, tgt.size(1))", "range(1, tgt.size(1) - 1)"), "the last too, and compare"),
        (leaks("range(1, tgt.size(1))", "[1]"), "the last too, and compare"),
        (leak_by_the_last((slice(None), slice(None, -1))), "not only the last"),
        (leak_by_the_last((slice(None), slice(-2, -1))), "not only the last"),
        (leak_by_the_last((slice(None), -1)), "Leave the changed place out"),
        (leaks(CUT, "[:, j - 1 : j] - before[:, j - 1 : j]"), "not only at the one next to it"),
        (leaks(CUT, "[:1, :j] - before[:1, :j]"), "Change and compare all sentences, not"),
        (leaks(CUT, "[-1:, :j] - before[-1:, :j]"), "in the first sentence: the result"),
        (leaks("moved.abs()", "moved"), "logits only fall"),
        (leaks("moved.abs()", "(-moved)"), "logits only rise"),
        (leaks(NEW, "0"), "where the token was 0 already"),
        (leaks(NEW, "1"), "where the token was 1 already"),
        (leaks("tgt.size(1)", "min(99, tgt.size(1))"), "Take the length from tgt"),
        (leaks(NEW, "(tgt[:, j] + 1) % 11"), "IndexError"),
        (leaks("range(1,", "range(2 - (tgt.size(1) > 2),"), "one sentence of two words"),
        (lambda *given: False, "you ran the model 0 times"),
        (lambda model, *given: bool(model(*given).isnan().any()), "you ran the model 1 times"),
        (leaks(SOURCE, "model(other_tokens(src), src_mask, tgt)", "> 1e-5", "< 0"),
         "you changed the source"),
        (leaks(NEW, "tgt[:, j]"), "every run got the same tgt"),
        (leaks("moved.abs().max() > 1e-5", "after.shape != before.shape"), "Their shape is always"),
        (lambda *given: future_leak(*given), "as True or False, got"),
        (leaks("return False", "tgt.zero_(); return False"), "in place"),
    ],
    twins=["Leave the changed place out", "More than 1e-5 is a leak", "not only the last",
           "Compare the logits", "Compare the largest change, no sum", "the last too, and compare"],
    hostile=[leak_by_one_more_token, lambda *given: 7, lambda *given: torch.tensor(NAN),
             lambda *given: (None, None), lambda *given: (torch.ones(2), torch.ones(2))],
)


class TestAnswers(Answers):
    exercises = (LAYER, WHOLE, WRITE, LEAK, MEMORY)


def test_what_is_written_is_what_greedy_decode_writes():
    torch.manual_seed(0)
    model, src = Transformer(11, 13, 12, 3).eval(), torch.tensor([[4, 5, 6]])
    mask = torch.ones(1, 1, 3, dtype=torch.bool)
    assert write(model, src, mask, 0, 1, 9)[:, 1:].equal(greedy_decode(model, src, mask, 0, 1, 9))
