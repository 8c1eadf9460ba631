"""The command line of the translator, on made-up sentences."""

from __future__ import annotations

import errno
import io
import math
import multiprocessing
import os
import pickle
import platform
import random
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
import warnings
import weakref
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from safetensors.torch import save_file
from tqdm import tqdm

from tools.notebooks import ROOT
from utils import decoding
from utils.corpora import CorpusUnavailable
from utils.training import token_loss
from utils.translator import checkpoint, commands, using
from utils.translator.data import PAIRS, Rows, Source, Subwords, known_rows, plain
from utils.translator.faults import Fault
from utils.translator.model import SharedTransformer, n_parameters, rate_at, smoothed_loss
from utils.translator.processes import LOST, World, joined, keep_freed_memory
from utils.translator.training import LAST, MODEL, Settings, Training, backward, optimizers_of

NOUNS = [("dog", "Hund"), ("cat", "Katze"), ("house", "Haus"), ("tree", "Baum"), ("man", "Mann")]
VERBS = [("sees", "sieht"), ("buys", "kauft"), ("finds", "findet")]
SIZES = dict(batch_tokens=120, vocab_size=90, d_model=16, heads=2, layers=1, d_ff=32, longest=40,
             dropout=0.1, warmup=5, average=2, epochs=3, rate=5e-3, muon_rate=0.03,
             precision="float32")
HAS_MUON = hasattr(torch.optim, "Muon")
needs_muon = pytest.mark.skipif(not HAS_MUON, reason="this torch has no Muon")


def sentences(n: int, seed: int) -> list[tuple[str, str]]:
    """Return made-up sentence pairs of very different lengths."""
    rng, pairs = random.Random(seed), []
    for _ in range(n):
        parts = []
        for _ in range(rng.randint(1, 4)):
            (a, x), (v, w), (b, y) = rng.choice(NOUNS), rng.choice(VERBS), rng.choice(NOUNS)
            parts.append((f"the {a} {v} the {b}", f"das {x} {w} das {y}"))
        src, tgt = zip(*parts)
        pairs.append((" and ".join(src) + ".", " und ".join(tgt) + "."))
    return pairs


def write_corpus(folder: Path) -> Path:
    """Write three splits of made-up sentences; two of the test part stand in the training part."""
    parts = {"train": sentences(60, 0), "valid": sentences(8, 1), "test": sentences(8, 2)}
    parts["test"][3:5] = parts["train"][7], (parts["train"][9][0], "etwas anderes.")
    folder.mkdir(parents=True, exist_ok=True)
    for split, pairs in parts.items():
        for side, language in enumerate(("en", "de")):
            text = "\n".join(pair[side] for pair in pairs) + "\n"
            (folder / f"{split}.{language}").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with made-up sentences."""
    return write_corpus(tmp_path_factory.mktemp("corpus"))


def options(corpus: Path, **changed: object) -> list[str]:
    """Return the options of a tiny training."""
    given = {"pair": "en-de", "data": corpus} | SIZES | changed
    return [text for k, v in given.items() for text in (f"--{k.replace('_', '-')}", str(v))]


@pytest.fixture(scope="module")
def run(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a finished training. Nobody changes it."""
    folder = tmp_path_factory.mktemp("runs") / "done"
    assert commands.main(["train", str(folder), *options(corpus)]) == 0
    return folder


def copy_of(run: Path, folder: Path) -> Path:
    """Copy a training, so that a test may change it."""
    folder.mkdir()
    for path in run.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


# ---- label smoothing ----

LOGITS = torch.tensor([0.3, -1.0, 2.0, 0.5, 1.0])    # V = 5, padding is token 0


def test_smoothing_by_hand() -> None:
    log_p = [x - math.log(sum(math.exp(y) for y in LOGITS.tolist())) for x in LOGITS.tolist()]
    wanted = -(0.7 * log_p[2] + 0.1 * log_p[1] + 0.1 * log_p[3] + 0.1 * log_p[4])
    assert smoothed_loss(LOGITS[None], torch.tensor([2]), 0, 0.3).item() == pytest.approx(wanted)


def test_padding_gets_no_share_and_all_shares_sum_to_one() -> None:
    logits = LOGITS[None].clone().requires_grad_()
    smoothed_loss(logits, torch.tensor([2]), 0, 0.3).backward()
    shares = logits.softmax(-1) - logits.grad    # the gradient of a cross-entropy
    torch.testing.assert_close(shares[0], torch.tensor([0, 0.1, 0.7, 0.1, 0.1]))


def test_places_of_padding_cost_nothing_and_teach_nothing() -> None:
    logits = torch.randn(2, 3, 5, generator=torch.Generator().manual_seed(0)).requires_grad_()
    target = torch.tensor([[2, 1, 0], [3, 0, 0]])
    loss = smoothed_loss(logits, target, 0, 0.1)
    loss.backward()
    alone = smoothed_loss(logits[0, :2], target[0, :2], 0, 0.1)
    alone = alone + smoothed_loss(logits[1, :1], target[1, :1], 0, 0.1)
    torch.testing.assert_close(loss, alone)
    assert logits.grad[0, 2].abs().sum() == 0 and logits.grad[1, 1:].abs().sum() == 0
    assert logits.grad[0, :2].abs().sum() > 0


def test_without_smoothing_it_is_the_loss_of_the_course() -> None:
    logits = torch.randn(4, 7, 9, generator=torch.Generator().manual_seed(0))
    target = torch.randint(0, 9, (4, 7), generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(smoothed_loss(logits, target, 0, 0.0), token_loss(logits, target, 0))


@pytest.mark.parametrize("logits", [[0, 0, 0, 0, 0], [1e4, -1e4, 0, 0, 0], [-1e30, 1e30, 0, 1, 2]])
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.9])
def test_any_finite_logits_give_a_finite_loss(logits: list[float], smoothing: float) -> None:
    logits = torch.tensor([logits], dtype=torch.float32).requires_grad_()
    for token in range(5):
        loss = smoothed_loss(logits, torch.tensor([token]), 0, smoothing)
        loss.backward()
        assert loss.isfinite() and logits.grad.isfinite().all()


# ---- the learning rate ----


def test_the_rate_is_exact() -> None:
    rate = [rate_at(step, 0.008, 4, 10) for step in range(1, 11)]
    assert rate[:4] == [0.002, 0.004, 0.006, 0.008]
    steps_down = [0.008 * left / 7 for left in (6, 5, 4, 3, 2, 1)]
    assert rate[4:] == pytest.approx(steps_down, rel=1e-12)
    assert rate_at(11, 0.008, 4, 10) == 0


def test_a_warm_up_of_the_whole_training_ends_at_the_peak() -> None:
    assert rate_at(10, 0.5, 10, 10) == 0.5


@pytest.mark.parametrize("step, warmup, n", [(0, 4, 10), (1, 0, 10), (1, 11, 10)])
def test_an_impossible_rate_is_refused(step: int, warmup: int, n: int) -> None:
    with pytest.raises(ValueError, match="want step and warmup from 1"):
        rate_at(step, 0.1, warmup, n)


def test_each_step_uses_its_rate(corpus: Path, tmp_path: Path) -> None:
    training = Training(Settings("en-de", str(corpus), **SIZES), tmp_path / "x", World())
    training.begin()
    seen = []
    data, batches = training.epoch(0)
    for rows in batches[:6]:
        training.step(training.loss, data, rows)
        seen.append([optimizer.param_groups[0]["lr"] for optimizer in training.optimizers])
    peaks = [optimizer.param_groups[0]["peak"] for optimizer in training.optimizers]
    assert peaks == ([0.03, 5e-3] if HAS_MUON else [5e-3])
    assert seen == [
        [rate_at(step, peak, 5, training.n_steps) for peak in peaks] for step in range(1, 7)
    ]


# ---- Muon and Adam ----


@needs_muon
def test_every_weight_has_one_optimizer_and_muon_only_matrices_inside_the_layers() -> None:
    settings = Settings("en-de", **SIZES | {"layers": 2, "optimizer": "muon"})
    model = settings.model(90)
    muon, adam = optimizers_of(model, settings)
    kinds = (type(muon).__name__, type(adam).__name__)
    own, rest = ([p for g in o.param_groups for p in g["params"]] for o in (muon, adam))
    assert kinds == ("Muon", "Adam")
    assert len(own) == 2 * (4 + 2) + 2 * (8 + 2)    # maps of attention and of the nets
    assert all(weight.ndim == 2 and weight is not model.out.weight for weight in own)
    assert {*map(id, own + rest)} == {*map(id, model.parameters())}
    assert len(own) + len(rest) == len(list(model.parameters()))


def test_adam_alone_has_every_weight() -> None:
    settings = Settings("en-de", **SIZES | {"optimizer": "adam"})
    model = settings.model(90)
    (adam,) = optimizers_of(model, settings)
    assert len(adam.param_groups[0]["params"]) == len(list(model.parameters()))


def test_an_older_torch_trains_with_adam(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delattr(torch.optim, "Muon", raising=False)
    folder, given = tmp_path / "x", options(corpus, epochs=2)
    assert commands.main(["train", str(folder), *given]) == 0
    assert checkpoint.read(folder / LAST)[1]["settings"]["optimizer"] == "adam"
    capsys.readouterr()
    call = ["train", str(tmp_path / "y"), *given, "--optimizer", "muon"]
    assert "--optimizer adam" in one_sentence(call, capsys)
    assert not (tmp_path / "y").exists()


def test_a_checkpoint_from_before_muon_goes_on_with_adam(corpus: Path, tmp_path: Path) -> None:
    given = options(corpus, optimizer="adam")
    assert commands.main(["train", str(tmp_path / "whole"), *given]) == 0
    folder = tmp_path / "old"
    training = Training(
        Settings("en-de", str(corpus), **SIZES | {"optimizer": "adam"}), folder, World()
    )
    training.begin()
    data, batches = training.epoch(0)
    for rows in batches[:4]:
        training.step(training.loss, data, rows)
    training.save()
    tensors, facts = checkpoint.read(folder / LAST)
    for name in ("optimizer", "muon_rate"):
        del facts["settings"][name]
    tensors = {key.replace("memory ", "adam ", 1): value for key, value in tensors.items()}
    checkpoint.write(folder / LAST, tensors, facts)
    assert commands.main(["train", str(folder), "--resume"]) == 0
    same_weights(tmp_path / "whole", folder, 1e-6)


# ---- memory ----

MANY_PAGES = """
import resource, sys, torch
from utils.translator.processes import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
torch.ones(16 << 20)
before = faults()
for _ in range(20):
    torch.ones(16 << 20)
print(faults() - before)
"""


@pytest.mark.skipif("glibc" not in platform.libc_ver(),
                    reason="only glibc can be asked to keep what was freed")
def test_freed_memory_is_taken_again_without_page_faults() -> None:
    faults = {}
    for how in ("plain", "keep"):
        done = subprocess.run([sys.executable, "-c", MANY_PAGES, how], cwd=ROOT,
                              capture_output=True, encoding="utf-8", check=True)
        faults[how] = int(done.stdout)
    assert faults["plain"] > 2 * faults["keep"]


def test_a_system_without_such_an_option_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for trouble in (OSError, TypeError, AttributeError):
        def refuses(name: None, trouble: type[Exception] = trouble) -> None:
            raise trouble

        monkeypatch.setattr("ctypes.CDLL", refuses)
        keep_freed_memory()


# ---- subwords ----


@pytest.fixture(scope="module")
def subwords() -> Subwords:
    """Return subwords of the made-up sentences."""
    return Subwords.learn((plain(side) for pair in sentences(60, 0) for side in pair), 90)


@pytest.mark.parametrize("sentence", ["the dog sees the cat.", "das haus und das baum .", "", "a"])
def test_a_sentence_comes_back(subwords: Subwords, sentence: str) -> None:
    assert subwords.decode(subwords.encode(sentence)) == sentence


def test_a_letter_of_the_test_part_alone_is_unknown(corpus: Path, tmp_path: Path) -> None:
    folder = write_corpus(tmp_path / "own")
    for split in ("valid", "test"):
        path = folder / f"{split}.en"
        path.write_text(path.read_text("utf-8").replace("dog", "xylograph"), encoding="utf-8")
    training = Training(Settings("en-de", str(folder), **SIZES), tmp_path / "x", World())
    training.begin()
    assert training.subwords.unk_id in training.subwords.encode("xylograph")
    vocabulary = training.subwords.tokenizer.get_vocab()
    assert not [token for token in vocabulary if "x" in token]
    assert training.subwords.to_text() == first_subwords(corpus)


def first_subwords(corpus: Path) -> str:
    """Return the subwords that come from the training part."""
    train = Source("en-de", str(corpus)).pairs("train")
    return Subwords.learn((side for pair in train for side in pair), SIZES["vocab_size"]).to_text()


def test_the_letters_of_a_special_token_are_letters(subwords: Subwords) -> None:
    numbers = subwords.encode("<pad> the <eos> <bos>")
    assert not {subwords.pad_id, subwords.bos_id, subwords.eos_id} & set(numbers)


def test_what_is_written_ends_at_eos(subwords: Subwords) -> None:
    words = subwords.encode("the dog")
    numbers = [subwords.bos_id, *words, subwords.unk_id, subwords.eos_id, *words, subwords.pad_id]
    assert subwords.decode(numbers) == "the dog"


@pytest.mark.parametrize("text", ["", "{}", "[]", "no json"])
def test_other_subwords_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="subwords"):
        Subwords.of_text(text)


def test_subwords_come_back_from_both_of_their_texts(subwords: Subwords) -> None:
    for text in (subwords.to_text(), subwords.to_json()):
        again = Subwords.of_text(text)
        assert again.to_json() == subwords.to_json()
    assert len(subwords.to_text()) < len(subwords.to_json())


def test_a_sentence_is_seen_in_small_letters_and_one_form() -> None:
    assert plain("  Le  CAFE\u0301\u3000noir ") == "le caf\u00e9 noir"


# ---- batches ----


@pytest.fixture(scope="module")
def rows(subwords: Subwords) -> Rows:
    """Return 300 made-up pairs as numbers."""
    return Rows([(plain(s), plain(t)) for s, t in sentences(300, 3)], subwords, 100)


def test_every_sentence_comes_once_and_the_bound_is_kept(rows: Rows) -> None:
    for limit in (100, 150, 1000):
        batches = list(rows.epoch(limit, "0 0"))
        assert sorted(row for batch in batches for row in batch) == list(range(300))
        for batch in batches:
            tensors = rows.batch(batch)
            assert tensors.src.numel() <= limit
            assert tensors.tgt[:, 1:].numel() <= limit


def test_few_places_are_padding(rows: Rows) -> None:
    batches = list(rows.epoch(1000, "0 0"))
    places = sum(rows.batch(batch).tgt[:, 1:].numel() for batch in batches)
    assert rows.n_tokens(range(300)) / places > 0.85
    assert len(batches) <= 1.3 * rows.n_tokens(range(300)) / 1000 + 1


def test_each_epoch_has_an_order_of_its_own_and_equally_many_batches(rows: Rows) -> None:
    first, again, other = (list(rows.epoch(150, seed)) for seed in ("0 0", "0 0", "0 1"))
    assert first == again != other
    assert len(first) == len(other)


def test_the_processes_share_a_batch(rows: Rows) -> None:
    for batch in rows.epoch(150, "0 0"):
        parts = [batch[rank::2] for rank in (0, 1)]
        assert sorted(parts[0] + parts[1]) == sorted(batch)


def test_empty_and_long_pairs_are_left_out(subwords: Subwords) -> None:
    pairs = [("", "das"), ("the", ""), ("the dog", "das"), ("the " * 50, "das"), ("the", "das")]
    kept = Rows(pairs, subwords, 20)
    assert (len(kept), kept.left_out) == (2, 3)


def test_the_overlap_of_test_and_train(corpus: Path) -> None:
    source = Source("en-de", str(corpus))
    assert known_rows(source.pairs("train"), source.pairs("test"))[1] == [3]
    assert {3, 4} <= set(known_rows(source.pairs("train"), source.pairs("test"))[0])


# ---- the model ----


def test_one_matrix_serves_three_places() -> None:
    sizes = dict(d_model=16, n_heads=2, n_layers=1, d_ff=32)
    model = SharedTransformer(50, **sizes)
    shared = {id(p) for p in (model.out.weight, model.src_embedding.embedding.weight,
                              model.tgt_embedding.embedding.weight)}
    assert len(shared) == 1
    assert n_parameters(model) == sum(t.numel() for t in checkpoint.weights(model).values())


def test_writing_step_by_step_is_reading_at_once() -> None:
    torch.manual_seed(0)
    model = SharedTransformer(50, d_model=16, n_heads=2, n_layers=2, d_ff=32).eval()
    src, tgt = torch.randint(4, 50, (3, 6)), torch.randint(4, 50, (3, 5))
    mask = torch.ones(3, 1, 6, dtype=torch.bool)
    mask[1, :, 4:] = False
    at_once, state, steps = model(src, mask, tgt), None, []
    for n in range(5):
        logits, state = model.decode(tgt[:, n : n + 1], model.encode(src, mask), mask, state)
        steps.append(logits)
    torch.testing.assert_close(torch.cat(steps, dim=1), at_once)


# ---- stopped and gone on with ----

FORKS = "forkserver" in multiprocessing.get_all_start_methods()
needs_forks = pytest.mark.skipif(not FORKS, reason="processes are not forked on this system")


def quiet() -> None:
    """Let a child process print nothing, and leave no lock behind when it is killed."""
    tqdm.set_lock(threading.RLock())
    sys.stdout = sys.stderr = open(os.devnull, "w", encoding="utf-8")


def child(arguments: list[str], surroundings: dict[str, str]) -> None:
    """Run the command line in a process of its own."""
    quiet()
    warnings.simplefilter("error")
    os.environ.update(surroundings)
    torch.set_num_threads(1)
    sys.exit(commands.main(arguments))


def started(target, *arguments) -> multiprocessing.Process:
    """Start a process that has imported everything already."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["utils.translator.commands", "torch._dynamo"])    # Adam's
    process = context.Process(target=target, args=arguments)
    process.start()
    return process


def ended(process: multiprocessing.Process, seconds: float = 120) -> int | None:
    """Wait for a process and return its exit code; one that hangs is killed."""
    process.join(seconds)
    if process.is_alive():
        process.kill()
        process.join()
    return process.exitcode


def step_of(folder: Path) -> int:
    """Return the step of the last checkpoint, which must be whole."""
    return checkpoint.read(folder / LAST)[1]["place"]["step"]


def losses_of(folder: Path) -> list[float]:
    """Return the losses of all epochs, train and valid."""
    history = checkpoint.read(folder / MODEL)[1]["card"]["history"]
    return [epoch[part] for epoch in history for part in ("train", "valid")]


def same_weights(one: Path, other: Path, tolerance: float) -> None:
    """Assert that two trainings ended at the same weights."""
    first, second = (checkpoint.read(folder / LAST)[0] for folder in (one, other))
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        torch.testing.assert_close(second[name], tensor, atol=tolerance, rtol=tolerance)


@needs_forks
def test_killed_ten_times_it_ends_as_if_never_stopped(corpus: Path, tmp_path: Path) -> None:
    given, rng = options(corpus, epochs=12), random.Random(0)
    assert commands.main(["train", str(tmp_path / "whole"), *given, "--minutes", "1000"]) == 0
    folder, reached = tmp_path / "killed", []
    for _ in range(10):
        before = mtime(folder / LAST)
        process = started(
            child, ["train", str(folder), *given, "--minutes", "0", "--resume"], {}
        )
        while mtime(folder / LAST) == before and process.is_alive():
            time.sleep(0.002)
        time.sleep(rng.uniform(0, 0.03))
        os.kill(process.pid, signal.SIGKILL)
        assert ended(process) == -signal.SIGKILL, "the training was over before it was killed"
        reached.append(step_of(folder))
    assert reached == sorted(reached) and reached[-1] > 0
    assert commands.main(["train", str(folder), "--resume"]) == 0
    assert losses_of(folder) == pytest.approx(losses_of(tmp_path / "whole"), abs=1e-3)
    same_weights(tmp_path / "whole", folder, 1e-4)


def mtime(path: Path) -> int:
    """Return when a file was written last, 0 where there is none."""
    return path.stat().st_mtime_ns if path.exists() else 0


def child_killed_while_writing(arguments: list[str], n_writes: int) -> None:
    """Run the command line; the process dies when half of a checkpoint is on the disk."""
    quiet()
    count, fsync = [0], os.fsync

    def half(number: int) -> None:
        count[0] += 1
        if count[0] == n_writes:
            os.ftruncate(number, os.fstat(number).st_size // 2)
            os.kill(os.getpid(), signal.SIGKILL)
        fsync(number)

    os.fsync = half
    sys.exit(commands.main(arguments))


@needs_forks
@pytest.mark.parametrize("n_writes", [1, 7])
def test_killed_in_the_middle_of_a_checkpoint(
    n_writes: int, run: Path, corpus: Path, tmp_path: Path
) -> None:
    folder, given = tmp_path / "x", options(corpus)
    call = ["train", str(folder), *given, "--minutes", "0"]
    assert ended(started(child_killed_while_writing, call, n_writes)) == -signal.SIGKILL
    assert [path.name for path in folder.iterdir() if path.suffix == ".fresh"]
    if n_writes > 1:
        assert step_of(folder) > 0
    else:
        assert not (folder / LAST).exists()
    assert commands.main([*call, "--resume"]) == 0
    assert losses_of(folder) == pytest.approx(losses_of(run), abs=1e-3)
    same_weights(run, folder, 1e-4)


def test_the_files_of_a_finished_training(run: Path) -> None:
    names = sorted(path.name for path in run.iterdir())
    assert names == ["epoch-0002.safetensors", "epoch-0003.safetensors", LAST, MODEL]


def test_the_model_is_the_mean_of_the_last_epochs(run: Path) -> None:
    parts = [checkpoint.read(run / f"epoch-000{n}.safetensors")[0] for n in (2, 3)]
    model = checkpoint.read(run / MODEL)[0]
    for name, tensor in model.items():
        assert tensor.dtype == torch.float16
        torch.testing.assert_close(tensor, ((parts[0][name] + parts[1][name]) / 2).half())
        assert name == "out.bias" or not torch.equal(parts[0][name], parts[1][name])


def test_a_finished_training_stays_as_it_is(run: Path, tmp_path: Path) -> None:
    folder = copy_of(run, tmp_path / "x")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert commands.main(["train", str(folder), "--resume"]) == 0
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_the_loss_falls_and_seeds_differ(run: Path, corpus: Path, tmp_path: Path) -> None:
    losses = losses_of(run)
    assert losses[-1] < losses[1] - 0.3 and losses[-2] < losses[0] - 0.3
    assert commands.main(["train", str(tmp_path / "x"), *options(corpus, seed=1)]) == 0
    assert losses_of(tmp_path / "x") != losses


# ---- two processes ----


def free_port() -> str:
    """Return a port that nobody uses."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return str(s.getsockname()[1])


def surroundings(rank: int, size: int, port: str) -> dict[str, str]:
    """Return what torchrun puts into the environment of a process."""
    return {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(size),
            "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}


def gradients(corpus: str, folder: str, environment: dict[str, str]) -> None:
    """Write the gradients of two batches: many rows, and one row that one process has."""
    os.environ.update(environment)
    settings = Settings("en-de", corpus, **SIZES | {"dropout": 0.0})
    with joined(int(environment.get("WORLD_SIZE", "1")), "cpu") as world:
        write_gradients(Training(settings, Path(folder), world), corpus)


def write_gradients(training: Training, corpus: str) -> None:
    """Write the gradients of one process. What the engine has wrapped must end before it does."""
    world, folder = training.world, training.folder
    train = training.settings.source.pairs("train")
    training._prepare(train, Subwords.of_text(first_subwords(Path(corpus))))
    loss_of, (data, batches) = world.wrap(training.loss), training.epoch(0)
    for name, rows in (("many", batches[0] + batches[1]), ("one", [5])):
        training.model.zero_grad()
        part = backward(loss_of, data, rows, world)
        found = {k: p.grad.clone() for k, p in training.model.named_parameters()}
        found["loss"] = world.total(part)
        save_file(found, folder / f"{name}-{world.rank}-of-{world.size}.safetensors")


@pytest.mark.parametrize("error", [Fault("no"), KeyboardInterrupt(), RuntimeError("Broken pipe")])
def test_an_error_lets_go_what_the_engine_has_wrapped(
    error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in surroundings(0, 1, free_port()).items():
        monkeypatch.setenv(name, value)
    alive = []
    destroy = dist.destroy_process_group
    monkeypatch.setattr(dist, "destroy_process_group", lambda: (alive.append(kept()), destroy()))

    def fails(world: World) -> None:
        nonlocal kept
        wrapped = world.wrap(torch.nn.Linear(1, 1))
        kept = weakref.ref(wrapped)
        raise error

    kept = None
    with pytest.raises(type(error) if not LOST.search(str(error)) else Fault), \
            joined(1, "cpu") as world:
        fails(world)
    assert alive == [None]


@needs_forks
def test_gradients_of_two_processes_are_those_of_one(corpus: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    gradients(str(corpus), str(tmp_path), {})
    port = free_port()
    both = [started(gradients, str(corpus), str(tmp_path), surroundings(rank, 2, port))
            for rank in (0, 1)]
    assert [ended(process) for process in both] == [0, 0]
    for name in ("many", "one"):
        one = load_file(tmp_path / f"{name}-0-of-1.safetensors")
        assert max(tensor.abs().max() for tensor in one.values()) > 0.01
        for rank in (0, 1):
            two = load_file(tmp_path / f"{name}-{rank}-of-2.safetensors")
            for key, tensor in one.items():
                torch.testing.assert_close(two[key], tensor, atol=1e-5, rtol=0)


@needs_forks
def test_a_training_of_two_processes_is_that_of_one(corpus: Path, tmp_path: Path) -> None:
    # Muon rounds gradients to bfloat16, which makes a difference of 1e-8 one of 1e-3: Adam alone.
    given, port = options(corpus, dropout=0.0, epochs=2, optimizer="adam"), free_port()
    assert commands.main(["train", str(tmp_path / "one"), *given]) == 0
    call = ["train", str(tmp_path / "two"), *given, "--processes", "2"]
    both = [started(child, call, surroundings(rank, 2, port)) for rank in (0, 1)]
    assert [ended(process) for process in both] == [0, 0]
    assert losses_of(tmp_path / "two") == pytest.approx(losses_of(tmp_path / "one"), abs=1e-5)
    assert checkpoint.read(tmp_path / "two" / MODEL)[1]["card"]["processes"] == 2


@needs_forks
def test_where_one_process_stops_the_other_says_so(corpus: Path, tmp_path: Path) -> None:
    heard, port = tmp_path / "heard", free_port()
    call = ["train", str(tmp_path / "x"), *options(corpus, epochs=1000)]
    first = started(child, call, surroundings(0, 2, port))
    second = started(child_heard, call, surroundings(1, 2, port), str(heard))
    while not (tmp_path / "x" / "epoch-0001.safetensors").exists() and first.is_alive():
        time.sleep(0.01)
    first.kill()
    assert (ended(first), ended(second)) == (-signal.SIGKILL, 1)
    said = "(process 1) Another process of this training has stopped; its own words say why.\n"
    assert heard.read_text("utf-8") == said


def child_heard(arguments: list[str], surroundings: dict[str, str], heard: str) -> None:
    """Run the command line in a process of its own, and keep what it says on stderr."""
    os.environ.update(surroundings)
    with open(heard, "w", encoding="utf-8") as sys.stderr:
        code = commands.main(arguments)
    sys.exit(code)


def test_no_option_of_ours_is_taken_for_one_of_torchrun() -> None:
    from torch.distributed.run import get_args_parser

    theirs = {name for action in get_args_parser()._actions for name in action.option_strings}
    train = commands.parser()._subparsers._group_actions[0].choices["train"]
    ours = {name for action in train._actions for name in action.option_strings}
    assert "--help" in theirs and "--dropout" in ours
    taken = {o for o in ours - {"-h", "--help"} if any(name.startswith(o) for name in theirs)}
    assert not taken


# ---- using the model ----


class Typed:
    """What stands on stdin, as bytes."""

    def __init__(self, content: bytes):
        self.buffer = io.BytesIO(content)


def said(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, list[str]]:
    """Run the command line; return its exit code, stdout, and the lines of stderr."""
    capsys.readouterr()
    code = commands.main(arguments)
    out, err = capsys.readouterr()
    return code, out, err.splitlines()


def test_each_line_has_its_translation(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = ["the dog sees the cat.", "", "the man buys the house and the cat sees the dog.", "  "]
    monkeypatch.setattr(sys, "stdin", Typed("\r\n".join(lines).encode() + b"\n"))
    code, out, err = said(["translate", str(run)], capsys)
    assert (code, err) == (0, [])
    first, empty, third, blank, rest = out.split("\n")
    assert first and third and empty == blank == rest == ""
    code, alone, _ = said(["translate", str(run), lines[0]], capsys)
    assert (code, alone) == (0, first + "\n")


@pytest.mark.parametrize("beam", [1, 3])
def test_a_translation_does_not_depend_on_its_neighbours(run: Path, beam: int) -> None:
    kept = using.load(run)
    lines = [src for src, _ in sentences(30, 5)]
    together = using.translate_lines(kept, lines, beam)
    assert len(set(map(len, together))) > 1
    assert [using.translate_lines(kept, [line], beam)[0] for line in lines] == together


def test_a_sentence_beyond_the_model_is_refused(run: Path) -> None:
    kept = using.load(run)
    assert using.translate_lines(kept, ["the " * 40], 1) != [""]
    with pytest.raises(Fault, match=r"^Line 2 has 41 words \(41 subwords\)"):
        using.translate_lines(kept, ["the", "the " * 41], 1)


def test_nothing_on_stdin(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", Typed(b""))
    assert said(["translate", str(run)], capsys) == (0, "\n", [])


def test_a_line_that_cannot_be_translated_costs_only_itself(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    content = b"the dog.\n" + b"the " * 10_000 + b"\nthe caf\xe9.\nthe dog."
    monkeypatch.setattr(sys, "stdin", Typed(content))
    code, out, err = said(["translate", str(run)], capsys)
    first, long, broken, last, rest = out.split("\n")
    assert code == 1 and first == last != "" and long == broken == rest == ""
    assert err[0].startswith("Line 3 is not UTF-8 (byte 8 of it is 0xe9)")
    assert err[1].startswith("Line 2 has 10,000 words (10,000 subwords), and this model reads 40")
    assert len(err) == 2


def test_a_length_penalty_reaches_the_beam_search(
    run: Path, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = []

    def beam_search(*rest, **named):
        given.append(named)
        return decoding.beam_search(*rest, **named)

    monkeypatch.setattr(using, "beam_search", beam_search)
    for command in (["evaluate", str(run)], ["translate", str(run), "a"]):
        assert commands.main([*command, "--beam", "2", "--length-penalty", "2.5"]) == 0
    assert given == [{"beam_size": 2, "length_penalty": 2.5}] * len(given) and len(given) > 1
    capsys.readouterr()


def test_an_impossible_length_penalty_is_refused(run: Path, capsys) -> None:
    with pytest.raises(SystemExit):
        commands.main(["translate", str(run), "a", "--length-penalty", "11"])
    assert "from 0 and below 10, got '11'" in capsys.readouterr().err


def test_beam_search_and_greedy_are_scored(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = said(["evaluate", str(run), "--split", "test", "--beam", "3"], capsys)
    assert (code, err) == (0, [])
    lines = out.splitlines()
    assert "test part" in lines[0] and "8 sentences" in lines[0]
    assert "1 with their translation" in lines[1]
    assert [line.split()[0] for line in lines[2:]] == ["greedy", "greedy", "beam", "beam"]
    assert all("case:lc" in x and "tok:13a" in x and "bs:1000" in x for x in lines[2:])
    assert all("without the" in lines[n] for n in (3, 5))


def test_bleu_is_not_swapped() -> None:
    written, truth = ["The cat sat on the mat"] * 2, ["the cat sat on the mat today with a dog"] * 2
    assert bleu_of(using.bleu_line(written, truth, "13a")) == pytest.approx(51.3, abs=0.06)
    assert bleu_of(using.bleu_line(truth, written, "13a")) == pytest.approx(51.7, abs=0.06)


def bleu_of(line: str) -> float:
    """Return the score in a line of the report."""
    return float(line.split()[1])


def test_japanese_has_its_own_note() -> None:
    assert Source("en-ja").tokenize == Source("ja-en").tokenize == "none"
    assert Source("en-de").tokenize == "13a"
    assert "mecab" in using.NOTES["none"]
    line = using.bleu_line(["これ は ペン です"] * 2, ["これ は ペン です"] * 2, "none")
    assert bleu_of(line) == 100 and "tok:none" in line


def test_the_card_is_printed(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = said(["inspect", str(run)], capsys)
    assert code == 0
    for words in ("languages: en-de", "training pairs: 60", "vocabulary:", "all parameters",
                  "command: python -m utils.translator train FOLDER --pair en-de", "averaged"):
        assert words in out
    assert said(["inspect", str(run / LAST)], capsys)[0] == 0


# ---- bad input: one sentence, exit code 1, nothing lost ----


def one_sentence(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Return the sentence with which the command line refuses."""
    code, out, err = said(arguments, capsys)
    err = [line for line in err if not line.startswith("training:")]
    assert code == 1 and out == "" and len(err) == 1, (code, out, err)
    assert err[0].endswith(".") and "Traceback" not in err[0]
    return err[0]


def truncated(path: Path) -> None:
    """Cut the last bytes off."""
    path.write_bytes(path.read_bytes()[:-10])


def flipped(path: Path) -> None:
    """Change one bit in the last tensor."""
    content = bytearray(path.read_bytes())
    content[-3] ^= 16
    path.write_bytes(content)


def changed_header(path: Path) -> None:
    """Change one letter of the settings."""
    path.write_bytes(path.read_bytes().replace(b'\\"heads\\": 2', b'\\"heads\\": 4'))


def empty(path: Path) -> None:
    """Leave nothing."""
    path.write_bytes(b"")


def words(path: Path) -> None:
    """Put a text there."""
    path.write_text("this is a text and not a checkpoint", encoding="utf-8")


def foreign(path: Path) -> None:
    """Put weights of another program there."""
    save_file({"weight": torch.zeros(3)}, path, {"format": "pt"})


def without_format(path: Path) -> None:
    """Put weights without any description there."""
    save_file({"weight": torch.zeros(3)}, path)


def other_settings(path: Path) -> None:
    """Put a checkpoint of a later version there."""
    tensors, facts = checkpoint.read(path)
    checkpoint.write(path, tensors, facts | {"settings": facts["settings"] | {"new": 1}})


def other_sizes(path: Path) -> None:
    """Put a checkpoint there whose tensors are of other sizes than it says."""
    tensors, facts = checkpoint.read(path)
    checkpoint.write(path, tensors, facts | {"settings": facts["settings"] | {"d_ff": 8}})


DAMAGES = [truncated, flipped, changed_header, empty, words, foreign, without_format,
           other_settings, other_sizes]


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("command", ["inspect", "translate", "evaluate", "train"])
def test_a_damaged_or_foreign_checkpoint(
    damage, command: str, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = copy_of(run, tmp_path / "x")
    path = folder / (LAST if command == "train" else MODEL)
    before = path.read_bytes()
    damage(path)
    assert path.read_bytes() != before
    kept = {file.name: file.read_bytes() for file in folder.iterdir()}
    more = {"translate": ["the dog."], "train": ["--resume"]}.get(command, [])
    assert str(path) in one_sentence([command, str(folder), *more], capsys)
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == kept


class Mine:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self) -> tuple:
        return Path.touch, (self.path,)


def test_a_checkpoint_is_never_unpickled(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, mark = copy_of(run, tmp_path / "x"), tmp_path / "was unpickled"
    content = pickle.dumps(Mine(mark))
    for name, call in ((MODEL, ["inspect"]), (LAST, ["train", "--resume"])):
        (folder / name).write_bytes(content)
        assert "damaged" in one_sentence([call[0], str(folder), *call[1:]], capsys)
    assert not mark.exists()
    pickle.loads(content)
    assert mark.exists()


def test_a_model_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "is missing" in one_sentence(["translate", str(tmp_path / "x"), "a"], capsys)


@pytest.mark.parametrize("pair", ["en-xx", "de", "en-de-fr", "", "en-", "en_de"])
def test_an_unknown_pair(pair: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sentence = one_sentence(["train", str(tmp_path / "x"), "--pair", pair], capsys)
    assert repr(pair) in sentence and "en-ja" in sentence
    assert not (tmp_path / "x").exists()


def test_the_pairs_of_the_corpora() -> None:
    assert {"en-de", "en-fr", "en-ja"} <= PAIRS.keys() and next(iter(PAIRS)) == "en-de"


@pytest.mark.parametrize("given", [["--pair"], ["--epochs", "0"], ["--dropout", "1"],
                                   ["--rate", "x"], ["--seed", "-1"], ["--heads", "2.5"]])
def test_an_impossible_option(given: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        commands.main(["train", "x", *given])
    assert stop.value.code == 2 and given[0] in capsys.readouterr().err


@pytest.mark.parametrize(
    "changed, words",
    [
        (dict(heads=3), "3 heads do not divide d_model 16"),
        (dict(d_model=15, heads=3), "d_model must be even"),
        (dict(warmup=10_000), "A warm-up of 10,000 steps is longer than the whole training of"),
        (dict(longest=2), "has no sentence pair"),
        (dict(rate=1e30, epochs=1), "The loss is"),
    ],
)
def test_sizes_that_cannot_be(
    changed: dict[str, object], words: str, corpus: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, _, err = said(["train", str(tmp_path / "x"), *options(corpus, **changed)], capsys)
    assert code == 1 and words in err[-1]


def test_sentences_that_are_not_utf8(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_corpus(tmp_path / "own")
    (folder / "train.de").write_bytes(b"das Haus\ndas caf\xe9\n")
    sentence = one_sentence(["train", str(tmp_path / "x"), *options(folder)], capsys)
    assert "train.de is not UTF-8: byte 16, in line 2, is 0xe9" in sentence
    assert not (tmp_path / "x").exists()


def test_sentences_that_are_missing_or_do_not_match(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_corpus(tmp_path / "own")
    call = ["train", str(tmp_path / "x"), *options(folder)]
    (folder / "valid.de").write_text("das\n", encoding="utf-8")
    assert "do not match line by line: they have 8 and 1 lines" in one_sentence(call, capsys)
    (folder / "valid.de").unlink()
    assert "valid.de cannot be read (No such file" in one_sentence(call, capsys)
    call = ["train", str(tmp_path / "x"), *options(tmp_path / "nowhere")]
    assert "is not a folder" in one_sentence(call, capsys)


def test_a_corpus_that_cannot_be_had(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def nothing(*_: object) -> None:
        raise CorpusUnavailable("multi30k is not on this machine.")

    monkeypatch.setattr("utils.translator.data.load_lines", nothing)
    call = ["train", str(tmp_path / "x"), "--pair", "en-de"]
    assert one_sentence(call, capsys) == "multi30k is not on this machine."


def test_a_folder_that_cannot_be_written(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    folder = tmp_path / "file" / "run"
    sentence = one_sentence(["train", str(folder), *options(corpus)], capsys)
    assert f"{folder} cannot be written (Not a directory)" in sentence


@pytest.mark.parametrize("when", ["open", "write", "replace"])
def test_a_full_disk(
    when: str, run: Path, corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder, calls = tmp_path / "x", []
    holder = checkpoint if when == "open" else os
    name = "fsync" if when == "write" else when
    real = open if when == "open" else getattr(os, name)

    def full(*given: object, **named: object) -> object:
        if when != "write" or stat.S_ISREG(os.fstat(given[0]).st_mode):    # not of the folder
            calls.append(1)
            if len(calls) == 8:
                raise OSError(errno.ENOSPC, "No space left on device")
        return real(*given, **named)

    with monkeypatch.context() as patch:
        patch.setattr(holder, name, full, raising=False)
        call = ["train", str(folder), *options(corpus), "--minutes", "0"]
        code, _, err = said(call, capsys)
    assert code == 1 and "cannot be written (No space left on device)" in err[-1]
    assert not list(folder.glob("*.fresh")) and step_of(folder) > 0
    assert commands.main(["train", str(folder), "--resume"]) == 0
    same_weights(run, folder, 1e-4)


def test_stopped_at_the_keyboard(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Training, "run", stop)
    code, _, err = said(["train", str(tmp_path / "x"), *options(corpus)], capsys)
    assert code == 130 and err[-1].startswith("Stopped; a training goes on from its last")
    assert step_of(tmp_path / "x") == 0


def test_a_training_is_never_begun_over_another(
    run: Path, corpus: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (run / LAST).read_bytes()
    assert "already holds a training" in one_sentence(["train", str(run), *options(corpus)], capsys)
    assert (run / LAST).read_bytes() == before


def test_other_settings_do_not_go_on(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call = ["train", str(run), "--resume", "--dropout", "0.5"]
    assert "was begun with dropout 0.1, not 0.5" in one_sentence(call, capsys)


def test_other_sentences_do_not_go_on(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_corpus(tmp_path / "own")
    call = ["train", str(copy_of(run, tmp_path / "x")), "--resume", "--data", str(folder)]
    assert said(call, capsys)[0] == 0    # the same sentences in another place
    path = folder / "train.en"
    path.write_text(path.read_text("utf-8").replace("dog", "god"), encoding="utf-8")
    assert "sentences are not those" in one_sentence(call, capsys)


def test_nothing_to_resume_and_no_pair(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "--pair is missing" in one_sentence(["train", str(tmp_path / "x"), "--resume"], capsys)


def test_fewer_processes_than_were_asked_for(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call = ["train", str(tmp_path / "x"), *options(corpus), "--processes", "2"]
    sentence = one_sentence(call, capsys)
    assert "--processes asks for 2 and 1 run" in sentence and "--nproc-per-node 2" in sentence


def test_a_world_that_nobody_joins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(Fault, match="nothing says which process this is"), joined():
        pass


def test_output_that_cannot_be_written(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    heard = io.StringIO()
    with open("/dev/full", "w", encoding="utf-8") as full:
        monkeypatch.setattr(sys, "stdout", full)
        monkeypatch.setattr(sys, "stderr", heard)
        assert commands.main(["translate", str(run), "the dog."]) == 1
    assert heard.getvalue() == "The output cannot be written (No space left on device).\n"
