"""The loaders of utils/corpora.py.

Downloads come from a server on 127.0.0.1, for two made-up corpora that are registered beside the
real ones. The tests of the real files read them from COURSE_DATA or data/cache and are skipped
where they are in neither: nothing here reaches for the network outside.
"""

import dataclasses
import errno
import functools
import gzip
import os
import re
import socket
import subprocess
import sys
import time
import unicodedata
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread

import pooch
import pytest

from utils import corpora
from utils.corpora import (
    CorpusUnavailable,
    Pair,
    available,
    load_grammar,
    load_or_explain,
    load_real,
    overlap,
    split_caption,
)


def one_sentence(error) -> str:
    """Return a message after checking that it reads as one sentence on one line."""
    text = str(getattr(error, "value", error))
    assert text.endswith(".") and "\n" not in text and ". " not in text, text
    return text


# --- the grammar corpora ----------------------------------------------------------------------

TSV = """\
en\tfr\tja\tko\troles_en\troles_fr\troles_ja\troles_ko\ten-fr\ten-ja\ten-ko
a b c\tA C D B\tc は b\t가 나\tw v w\tw w w v\tw w v\tw v\t0-0 1-3 2-1 2-2\t2-0 1-2\t0-0 2-1
x\tl' X\tx です\t엑스\tw\tw w\tw v\tw\t0-1\t\t0-0
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "train.tsv").write_bytes(TSV.encode())
    return tmp_path


def test_english_source_keeps_alignment_and_roles(folder):
    first, second = load_grammar("ja", "train", folder=folder)
    assert first == Pair(
        src=("a", "b", "c"),
        tgt=("c", "は", "b"),
        alignment=frozenset({(2, 0), (1, 2)}),
        src_roles=("w", "v", "w"),
        tgt_roles=("w", "w", "v"),
    )
    assert second.alignment == frozenset()


def test_english_target_transposes_the_alignment(folder):
    forth, back = (
        load_grammar(t, folder=folder, source=s)[0] for s, t in ["en fr".split(), "fr en".split()]
    )
    assert back.alignment == {(0, 0), (3, 1), (1, 2), (2, 2)}
    assert (back.src, back.tgt) == (forth.tgt, forth.src)
    assert (back.src_roles, back.tgt_roles) == (forth.tgt_roles, forth.src_roles)


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        ("fr", "ja", {(3, 2), (1, 0), (2, 0)}),  # c: C and D
        ("ja", "fr", {(2, 3), (0, 1), (0, 2)}),
        ("ja", "ko", {(0, 1)}),
        ("ko", "fr", {(0, 0), (1, 1), (1, 2)}),
    ],
)
def test_two_other_languages_are_aligned_through_english(folder, source, target, expected):
    assert load_grammar(target, folder=folder, source=source)[0].alignment == expected


def test_windows_line_ends_and_unicode_separators(tmp_path):
    """Only \\n ends a line; any other space ends a word, as in split_words."""
    odd = TSV.replace("엑스", "엑스\u2028\x85\x0b").replace("가 나", "가\u3000나")
    (tmp_path / "test.tsv").write_bytes(odd.replace("\n", "\r\n").encode())
    pairs = load_grammar("ko", "test", folder=tmp_path)
    assert [pair.tgt for pair in pairs] == [("가", "나"), ("엑스",)]
    assert pairs[0].alignment == {(0, 0), (2, 1)}


def test_decomposed_text_loads_as_composed(folder, tmp_path):
    accented = TSV.replace(" D ", " É ").replace("は", "が")
    folder.joinpath("train.tsv").write_text(accented, encoding="utf-8")
    for form in ("NFD", "NFC"):
        text = unicodedata.normalize(form, accented)
        (tmp_path / "test.tsv").write_text(text, encoding="utf-8")
        for source, target in (("fr", "ko"), ("ja", "fr")):
            assert load_grammar(target, "test", source, tmp_path) == load_grammar(
                target, "train", source, folder)
    assert len(unicodedata.normalize("NFD", accented)) > len(accented)


def test_a_byte_order_mark_is_dropped(folder, tmp_path):
    (tmp_path / "test.tsv").write_bytes(b"\xef\xbb\xbf" + TSV.encode())
    assert load_grammar("ko", "test", folder=tmp_path) == load_grammar("ko", folder=folder)
    (tmp_path / "test.tsv").write_bytes(b"\xef\xbb\xbf")
    with pytest.raises(ValueError, match=r"lacks the columns en, fr"):
        load_grammar("ko", "test", folder=tmp_path)


@pytest.mark.parametrize("codec, byte, line, value", [
    ("utf-16", 0, 1, "0xff"), ("cp949", TSV.encode("cp949").index("c は".encode("cp949")) + 2, 2,
                               "0xaa"),
])
def test_a_file_that_is_not_utf_8_is_named_with_its_byte(tmp_path, codec, byte, line, value):
    file = tmp_path / "test.tsv"
    file.write_bytes(TSV.encode(codec))
    with pytest.raises(ValueError) as error:
        load_grammar("ko", "test", folder=tmp_path)
    assert one_sentence(error) == (f"{file} is not UTF-8: byte {byte}, in line {line}, is {value}; "
                                   "save the file as UTF-8.")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("roles_ko\t", "", "train.tsv lacks the columns roles_ko in its first line"),
        ("\t가 나", "", "train.tsv, line 2, has 10 columns where the first line names 11"),
        ("w v\t0-0 1-3", "w\t0-0 1-3", "line 2, has 2 tokens in ko and 1 roles"),
        ("0-0 2-1\n", "0-0 2-2\n", "line 2, has the alignment 2-2, which points outside"),
        ("0-0 2-1\n", "0-0 3-1\n", "has the alignment 3-1, which points outside"),
        ("0-0 2-1\n", "0-0 2\n", "has the alignment '2', which is not of the form 0-2"),
        ("0-0 2-1\n", "0-0 2--1\n", "has the alignment '2--1', which is not of the form 0-2"),
    ],
)
def test_damaged_grammar_file_is_named_with_its_line(folder, old, new, words):
    assert TSV.count(old) == 1
    (folder / "train.tsv").write_bytes(TSV.replace(old, new).encode())
    with pytest.raises(ValueError) as error:
        load_grammar("ko", folder=folder)
    assert words in one_sentence(error)


def test_empty_grammar_file_lacks_its_columns(tmp_path):
    (tmp_path / "train.tsv").touch()
    with pytest.raises(ValueError, match="lacks the columns en, fr, ja, ko, roles_en"):
        load_grammar(folder=tmp_path)


def test_missing_grammar_file_says_how_to_have_it(tmp_path):
    with pytest.raises(CorpusUnavailable) as error:
        load_grammar(split="novel", folder=tmp_path)
    assert str(tmp_path / "novel.tsv") in one_sentence(error)
    assert "python -m tools.grammar data/grammar" in one_sentence(error)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"target": "de"}, "'de' is not a language of the grammar corpora: choose one of en, fr,"),
        ({"source": ""}, "'' is not a language of the grammar corpora"),
        ({"split": "dev"}, "choose one of train, valid, test, novel."),
        ({"source": "ja"}, "both 'ja': choose two different languages of en, fr, ja, ko."),
    ],
)
def test_unknown_names_of_the_grammar_corpora(arguments, words):
    with pytest.raises(ValueError) as error:
        load_grammar(**arguments)
    assert words in one_sentence(error)


@pytest.mark.parametrize(
    ("split", "size"), [("train", 10_000), ("valid", 500), ("test", 500), ("novel", 500)]
)
def test_committed_grammar_corpora_load_from_any_folder(split, size, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pairs = load_grammar("ja", split)
    assert len(pairs) == size
    assert all(pair.src and pair.tgt and pair.alignment for pair in pairs)


# --- pairs, overlap, captions -----------------------------------------------------------------


def test_pair_cannot_be_changed_and_counts_as_a_key():
    pair = Pair(("a",), ("b",))
    with pytest.raises(dataclasses.FrozenInstanceError):
        pair.src = ("c",)
    assert (pair.alignment, pair.src_roles, pair.tgt_roles) == (None, None, None)
    assert len({pair, Pair(("a",), ("b",))}) == 1
    assert not hasattr(pair, "__dict__")


def test_overlap_compares_source_target_or_the_whole_pair():
    train = [Pair(("a",), ("A",)), Pair(("b",), ("B",))]
    same = Pair(("a",), ("A",), frozenset({(0, 0)}))
    crossed, source, target = Pair(("a",), ("B",)), Pair(("b",), ("Q",)), Pair(("q",), ("B",))
    test = [Pair(("a", "b"), ("A", "B")), target, crossed, source, same]
    assert overlap(train, test) == [crossed, source, same]
    assert overlap(iter(train), iter(test), side="target") == [target, crossed, same]
    assert overlap(train, test, side="both") == [same]
    with pytest.raises(ValueError) as error:
        overlap(train, test, side="src")
    assert "choose one of source, target, both." in one_sentence(error)


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("A man's T-shirt.", "a man 's t-shirt ."),
        ("Two dogs don't bark , no!", "two dogs don't bark , no !"),
        ("L'homme qu'il a vu près de l’eau", "l' homme qu' il a vu près de l' eau"),
        ("Quelqu'un d'autre, aujourd'hui", "quelqu'un d' autre , aujourd'hui"),
        ("Die Straße\xa0ist grün – „Obst-", "die straße ist grün – „ obst -"),
        ("10,000 runners at 11:27, No. 5", "10,000 runners at 11:27 , no . 5"),
        ("the 3-year-old's 'red' hat", "the 3-year-old 's ' red ' hat"),
        ("the sun'd it", "the sun'd it"),
        (" \t ", ""),
    ],
)
def test_captions_are_cut_into_lower_case_words_and_signs(caption, expected):
    assert split_caption(caption) == tuple(expected.split())


# --- the real corpora, from a server on this machine ------------------------------------------

ENGLISH = "this is a pen .\na line\u2028of  one\x85 sentence\n"
JAPANESE = "これ は ペン で す 。\n一 行\n"
FILES = {
    "train.en": ENGLISH.encode(),
    "train.ja": JAPANESE.encode(),
    "dev.en": b"one\ntwo\n",
    "dev.ja": b"1\n",
    "train.en.gz": gzip.compress(b"A man's hat.\n", mtime=0),
    "train.fr.gz": gzip.compress(b"Le chapeau d'un homme.\n", mtime=0),
}
HASHES = {file: sha256(content).hexdigest() for file, content in FILES.items()}


class Server:
    """Files served on 127.0.0.1, and a list of the requests that came."""

    def __init__(self):
        self.files = dict(FILES)
        self.status = None  # of every answer, where something is wrong with the host
        self.broken = {}  # file: how many more times it breaks off half-way
        self.asked = []
        self.paused, self.go_on = Event(), Event()
        self.pause = False  # send half a file and wait
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self):
                self.answer(body=False)

            def do_GET(self):
                self.answer(body=True)

            def answer(self, body):
                file = self.path.lstrip("/")
                outer.asked.append(f"{self.command} {file}")
                if outer.status:
                    self.send_error(outer.status)
                    return
                content = outer.files.get(file)
                if content is None:
                    self.send_error(404)
                    return
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                if body and outer.broken.get(file, 0):
                    outer.broken[file] -= 1
                    content = content[: len(content) // 2]
                if body and outer.pause:
                    self.wfile.write(content[: len(content) // 2])
                    self.wfile.flush()
                    outer.paused.set()
                    outer.go_on.wait(10)
                elif body:
                    self.wfile.write(content)

            def log_message(self, *_):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = Thread(target=self.http.serve_forever, args=(0.01,))
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.http.server_port}/"

    def stop(self):
        self.go_on.set()
        self.http.shutdown()
        self.thread.join()
        self.http.server_close()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache, no COURSE_DATA, no proxy, no further attempts and no memory of hosts."""
    monkeypatch.setattr(corpora, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(corpora, "RETRIES", 0)
    monkeypatch.delenv("COURSE_DATA", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    corpora._ask_once.cache_clear()
    yield tmp_path / "cache"
    corpora._ask_once.cache_clear()


def register(monkeypatch, url):
    """Register the made-up corpora `tiny` (tokens) and `captions` (raw, packed) at an address."""
    tiny = {file: HASHES[file] for file in FILES if not file.endswith(".gz")}
    packed = {file: HASHES[file] for file in FILES if file.endswith(".gz")}
    splits = {"train": "train.{}", "valid": "dev.{}"}
    for name, corpus in {
        "tiny": corpora.Corpus(url, ("en", "ja"), splits, tiny),
        "captions": corpora.Corpus(url, ("en", "fr"), {"train": "train.{}.gz"}, packed, raw=True),
    }.items():
        monkeypatch.setitem(corpora.CORPORA, name, corpus)


@pytest.fixture
def server(cache, monkeypatch):
    server = Server()
    register(monkeypatch, server.url)
    yield server
    server.stop()


@pytest.fixture
def dead(cache, monkeypatch):
    """The address of a port where nobody listens."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/"
        register(monkeypatch, url)
        yield url


def stored(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder, temporary ones too."""
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def reason(*arguments) -> str:
    """Return the sentence with which load_real refuses."""
    with pytest.raises(CorpusUnavailable) as error:
        load_real(*arguments)
    return one_sentence(error)


def test_download_then_cache(server, cache, capsys, monkeypatch):
    logged = []
    monkeypatch.setattr(pooch.get_logger(), "handle", logged.append)
    expected = [
        Pair(("this", "is", "a", "pen", "."), ("これ", "は", "ペン", "で", "す", "。")),
        Pair(("a", "line", "of", "one", "sentence"), ("一", "行")),
    ]
    assert load_real("tiny") == expected
    assert server.asked == ["HEAD train.en", "GET train.en", "GET train.ja"]
    assert stored(cache / "tiny") == {file: FILES[file] for file in ("train.en", "train.ja")}
    out, err = capsys.readouterr()
    assert out == "" and "train.en: 100%" in err and "train.ja: 100%" in err
    assert logged == []  # the bars are all that a reader sees

    assert load_or_explain("tiny", "train", "ja") == [Pair(p.tgt, p.src) for p in expected]
    assert len(server.asked) == 3
    assert capsys.readouterr() == ("", "")


def test_packed_captions(server):
    expected = Pair(("a", "man", "'s", "hat", "."), ("le", "chapeau", "d'", "un", "homme", "."))
    assert load_real("captions", target="fr") == [expected]


def test_only_what_is_missing_is_downloaded(server, cache):
    (cache / "tiny").mkdir(parents=True)
    (cache / "tiny" / "train.en").write_bytes(FILES["train.en"])
    (cache / "tiny" / "tmp1234").write_bytes(b"left over from a process that was killed")
    assert len(load_real("tiny")) == 2
    assert server.asked == ["HEAD train.ja", "GET train.ja"]


def test_damaged_file_in_the_cache_is_replaced(server, cache):
    load_real("tiny")
    (cache / "tiny" / "train.ja").write_bytes(FILES["train.ja"][:10])
    assert len(load_real("tiny")) == 2
    assert server.asked[3:] == ["HEAD train.ja", "GET train.ja"]
    assert stored(cache)["train.ja"] == FILES["train.ja"]


def test_wrong_file_from_the_host_is_not_kept(server, cache):
    server.files["train.en"] = b"<html>Please sign in.</html>"
    text = reason("tiny")
    assert f"What {server.url}train.en sends is not the file that the course expects" in text
    assert HASHES["train.en"] in text and str(cache / "tiny") in text
    assert stored(cache) == {}


def test_download_that_breaks_off_leaves_nothing(server, cache):
    server.broken["train.en"] = 1
    text = reason("tiny")
    assert f"The download of {server.url}train.en broke off" in text
    assert "run this again" in text and str(cache / "tiny") in text
    assert stored(cache) == {}
    assert len(load_real("tiny")) == 2


def test_download_is_tried_again(server, cache, monkeypatch):
    waits = []
    monkeypatch.setattr("pooch.core.time.sleep", waits.append)
    monkeypatch.setattr(corpora, "RETRIES", 2)
    server.broken["train.en"] = 2
    assert len(load_real("tiny")) == 2
    assert server.asked.count("GET train.en") == 3 and len(waits) == 2
    server.broken["dev.en"] = 3
    assert "broke off" in reason("tiny", "valid")
    assert set(stored(cache)) == {"train.en", "train.ja"}


def test_interrupted_download_leaves_nothing(server, cache, monkeypatch):
    def interrupted(url, output_file, keeper):
        Path(output_file).write_bytes(b"half")
        assert set(stored(cache).values()) == {b"half"}
        raise KeyboardInterrupt

    monkeypatch.setattr(corpora, "_download_with_bar", interrupted)
    with pytest.raises(KeyboardInterrupt):
        load_real("tiny")
    assert stored(cache) == {}


def test_killed_process_leaves_no_half_file_under_the_name(server, cache):
    server.pause = True
    program = (
        "import sys; from pathlib import Path; from utils import corpora\n"
        "url, cache, sha = sys.argv[1:]\n"
        "corpora.CACHE = Path(cache)\n"
        "corpora.CORPORA['tiny'] = corpora.Corpus(url, (), {}, {'train.en': sha})\n"
        "corpora._download('tiny', 'train.en')\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, server.url, str(cache), HASHES["train.en"]],
        cwd=corpora.ROOT,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert server.paused.wait(60)  # a busy machine needs long to import torch
    finally:
        process.kill()
        process.wait()
    server.go_on.set()
    server.pause = False
    assert "train.en" not in stored(cache)
    assert len(load_real("tiny")) == 2


def test_cache_that_cannot_be_written(server, cache):
    cache.write_text("a file where the folder should be", encoding="utf-8")
    text = reason("tiny")
    assert f"train.en cannot be written into {cache / 'tiny'}" in text
    assert "make that folder writable" in text


def test_file_that_the_host_does_not_offer(server, cache):
    del server.files["train.en"]
    text = reason("tiny")
    assert "does not offer train.en" in text and f"into {cache / 'tiny'}" in text
    assert server.asked == ["HEAD train.en"]
    assert available("tiny") == text.replace(
        "train.en, train.ja from",
        "train.en, train.ja, dev.en and 1 more files (data/README.md lists them) from",
    )


def test_dead_host(dead, cache, capsys):
    host = dead.removeprefix("http://").rstrip("/")
    text = reason("tiny")
    assert text == (
        f"tiny is not on this machine and {host} cannot be reached (ConnectionError: [Errno "
        f"{errno.ECONNREFUSED}] {os.strerror(errno.ECONNREFUSED)}): run this again on a working "
        f"network, or put train.en, train.ja from {dead} into {cache / 'tiny'}, or let COURSE_DATA "
        f"name a folder in which the folder tiny holds them."
    )
    assert load_or_explain("tiny", "train", "en", "ja") is None
    assert capsys.readouterr() == (text + "\n", "")
    assert stored(cache) == {}


@pytest.mark.parametrize(
    ("variables", "what", "advice"),
    [
        (
            {"HTTP_PROXY": "http://name:secret@127.0.0.1:1"},
            "through the proxy 127.0.0.1:1 (ProxyError: [Errno ",
            "correct HTTPS_PROXY, HTTP_PROXY or ALL_PROXY",
        ),
        ({"HTTP_PROXY": "http://"}, "(InvalidProxyURL: ", "correct HTTPS_PROXY, HTTP_PROXY or"),
        ({"HTTP_PROXY": "http://[::bad"}, "through the proxy http://[::bad (", "correct HTTPS_PR"),
        ({"HTTP_PROXY": "socks5h://127.0.0.1:1"}, "socks", "correct HTTPS_PROXY, HTTP_PROXY or"),
    ],
)
def test_a_wrong_proxy_is_named(dead, monkeypatch, variables, what, advice):
    for name in ("NO_PROXY", "no_proxy", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    text = reason("tiny")
    tried, _, rest = text.partition(": " + advice)
    assert what.lower() in tried.lower() and rest, text
    assert "secret" not in text and "working network" not in text


def test_a_certificate_file_that_is_missing_is_named(cache, tmp_path, monkeypatch):
    register(monkeypatch, "https://127.0.0.1:1/")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "my.pem"))
    text = reason("tiny")
    assert str(tmp_path / "my.pem") in text.partition(": correct REQUESTS_CA_BUNDLE")[0]
    assert "working network" not in text


def test_a_host_that_speaks_no_tls_is_told_from_a_dead_one(server, monkeypatch):
    register(monkeypatch, server.url.replace("http:", "https:"))
    text = reason("tiny")
    assert "cannot be reached (SSLError: [SSL" in text
    assert ": let REQUESTS_CA_BUNDLE name a file" in text


def test_a_host_that_answers_with_an_error_is_quoted(server):
    server.status = 503
    text = reason("tiny")
    assert "does not offer train.en (it answers 503 Service Unavailable): run this again" in text


def test_a_cache_on_a_full_disk_is_no_fault_of_the_network(server, cache, monkeypatch):
    def full(url, output_file, keeper):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(corpora, "_download_with_bar", full)
    text = reason("tiny")
    assert f"train.en cannot be written into {cache / 'tiny'} (No space left on device)" in text


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
@pytest.mark.parametrize("umask, mode", [(0o022, 0o644), (0o027, 0o640), (0o002, 0o664)])
def test_others_may_read_what_was_downloaded(server, cache, umask, mode):
    before = os.umask(umask)
    try:
        load_real("tiny")
    finally:
        assert os.umask(before) == umask
    assert {p.stat().st_mode & 0o777 for p in (cache / "tiny").iterdir()} == {mode}


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads all files")
def test_a_file_of_another_user_that_may_not_be_read(course_data):
    (course_data / "tiny" / "train.en").chmod(0)
    assert "train.en cannot be read (Permission denied)" in reason("tiny")


def test_dead_host_and_damaged_cache_names_the_file_to_delete(dead, cache):
    (cache / "tiny").mkdir(parents=True)
    (cache / "tiny" / "train.en").write_bytes(b"half")
    text = reason("tiny")
    assert text.startswith(f"{cache / 'tiny' / 'train.en'} is not the file")
    assert HASHES["train.en"] in text and sha256(b"half").hexdigest() in text
    assert "delete that file" in text
    assert available("tiny") == text


def test_host_that_never_answers_is_given_up_in_time(cache, monkeypatch):
    monkeypatch.setattr(corpora, "PATIENCE", 0.2)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        register(monkeypatch, f"http://127.0.0.1:{silent.getsockname()[1]}/")
        start = time.monotonic()
        text = available("tiny")
        assert time.monotonic() - start < 2
    assert "gives no answer within 0.2 seconds" in one_sentence(text)


def test_request_that_ignores_its_timeout_is_given_up_in_time(server, monkeypatch):
    release = Event()

    def late(*_, **__):
        release.wait(10)
        raise OSError("too late")

    monkeypatch.setattr("requests.head", late)
    monkeypatch.setattr(corpora, "PATIENCE", 0.2)
    start = time.monotonic()
    text = available("tiny")
    assert time.monotonic() - start < 2
    release.set()
    assert "gives no answer within 0.2 seconds" in one_sentence(text)


# --- available, COURSE_DATA, names ------------------------------------------------------------


def test_available_asks_the_host_once_and_downloads_nothing(server, cache):
    assert available("tiny") is None
    assert available("tiny") is None
    assert server.asked == ["HEAD train.en"]
    assert stored(cache) == {}


def test_available_remembers_a_dead_host_but_sees_new_files(dead, cache, monkeypatch):
    asked = []
    answer = corpora._no_answer
    monkeypatch.setattr(corpora, "_no_answer", lambda url: asked.append(url) or answer(url))
    assert available("captions") == available("captions")
    assert asked == [dead + "train.en.gz"]
    (cache / "captions").mkdir(parents=True)
    for file in corpora.CORPORA["captions"].hashes:
        (cache / "captions" / file).write_bytes(FILES[file])
    assert available("captions") is None
    assert len(asked) == 1


def test_host_that_comes_back_is_used_at_once(server, monkeypatch):
    with monkeypatch.context() as offline:
        offline.setattr(corpora, "_no_answer", lambda url: corpora.Trouble("the network is down"))
        assert "and the network is down" in one_sentence(available("tiny"))
    assert len(load_or_explain("tiny")) == 2


@pytest.fixture
def course_data(server, tmp_path, monkeypatch):
    """A folder that COURSE_DATA names and that holds both made-up corpora."""
    folder = tmp_path / "given"
    for name in ("tiny", "captions"):
        (folder / name).mkdir(parents=True)
        for file in corpora.CORPORA[name].hashes:
            (folder / name / file).write_bytes(FILES[file])
    monkeypatch.setenv("COURSE_DATA", str(folder))
    return folder


def test_course_data_is_read_and_nothing_downloaded(course_data, server, cache):
    assert len(load_real("tiny")) == 2 and len(load_real("captions")) == 1
    assert available("tiny") is None and available("captions") is None
    assert server.asked == [] and not cache.exists()


def test_relative_course_data_counts_from_the_repository(course_data, tmp_path, monkeypatch):
    monkeypatch.setattr(corpora, "ROOT", tmp_path)
    monkeypatch.setenv("COURSE_DATA", "given")
    assert len(load_real("tiny")) == 2


def test_wrong_file_in_course_data(course_data, server, cache):
    path = course_data / "tiny" / "train.ja"
    path.write_bytes(b"other")
    text = reason("tiny")
    assert text.startswith(f"{path} is not the file that the course expects")
    assert HASHES["train.ja"] in text and sha256(b"other").hexdigest() in text
    assert f"{server.url}train.ja" in text and f"check that COURSE_DATA ({course_data})" in text
    assert available("tiny") == text and available("captions") is None
    assert server.asked == [] and path.read_bytes() == b"other"


def test_file_missing_in_course_data(course_data, server, cache):
    (course_data / "tiny" / "train.ja").unlink()
    text = reason("tiny")
    assert f"put train.ja into {course_data / 'tiny'}, or unset COURSE_DATA" in text
    assert available("tiny") == text
    (cache / "tiny").mkdir(parents=True)
    (cache / "tiny" / "train.ja").write_bytes(FILES["train.ja"])
    assert len(load_real("tiny")) == 2
    assert server.asked == []


def test_course_data_that_is_no_folder(server, tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_DATA", str(tmp_path / "nowhere"))
    text = reason("tiny")
    assert f"COURSE_DATA names {tmp_path / 'nowhere'}, and there is no such folder" in text
    assert available("tiny") == text and server.asked == []
    (tmp_path / "nowhere").touch()
    assert f"COURSE_DATA names {tmp_path / 'nowhere'}, and that is no folder" in reason("tiny")


def test_folder_in_the_place_of_a_file(course_data):
    (course_data / "tiny" / "train.en").unlink()
    (course_data / "tiny" / "train.en").mkdir()
    assert f"{course_data / 'tiny' / 'train.en'} cannot be read" in reason("tiny")


def test_empty_course_data_counts_as_unset(server, monkeypatch):
    monkeypatch.setenv("COURSE_DATA", " ")
    assert len(load_real("tiny")) == 2
    assert "GET train.en" in server.asked


def test_languages_of_different_length(course_data):
    with pytest.raises(ValueError) as error:
        load_real("tiny", "valid")
    assert "dev.en has 2 lines and dev.ja has 1" in one_sentence(error)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("wmt",), "'wmt' is not a real corpus of the course: choose one of small_parallel_enja,"),
        (
            ("multi30k", "dev"),
            "'dev' is not a split of multi30k: choose one of train, valid, test.",
        ),
        (("multi30k", "train", "ja"), "not a language of multi30k: choose one of en, de, fr."),
        (("small_parallel_enja", "train", "en", "fr"), "choose one of en, ja."),
        (("small_parallel_enja", "train", "en", "en"), "two different languages of en, ja."),
    ],
)
@pytest.mark.parametrize("load", [load_real, load_or_explain])
def test_unknown_names_of_the_real_corpora(load, arguments, words):
    with pytest.raises(ValueError) as error:
        load(*arguments)
    assert words in one_sentence(error)


def test_available_knows_its_corpora():
    with pytest.raises(ValueError, match=r"choose one of small_parallel_enja, multi30k"):
        available("grammar")


# --- the real files ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["small_parallel_enja", "multi30k"])
def test_every_file_is_registered_with_its_hash(name):
    corpus = corpora.CORPORA[name]
    files = {
        file.format(language) for file in corpus.splits.values() for language in corpus.languages
    }
    assert set(corpus.hashes) == files
    assert all(re.fullmatch(r"[0-9a-f]{64}", value) for value in corpus.hashes.values())
    assert corpus.url.startswith("https://") and corpus.url.endswith("/")
    readme = (corpora.ROOT / "data" / "README.md").read_text(encoding="utf-8")
    for file, value in corpus.hashes.items():
        assert re.search(rf"^\| `{re.escape(file)}` \|.*\| `{value}` \|$", readme, re.MULTILINE)


@functools.cache
def real(*arguments: str) -> list[Pair]:
    """Load a real corpus that is on this machine, else skip the test; never asks a host."""
    name = arguments[0]
    if any(corpora._stored(name, file) is None for file in corpora.CORPORA[name].hashes):
        pytest.skip(f"{name} is neither in COURSE_DATA nor in data/cache")
    return load_real(*arguments)


@pytest.mark.parametrize(("split", "size"), [("train", 50_000), ("valid", 500), ("test", 500)])
def test_small_parallel_enja(split, size):
    pairs = real("small_parallel_enja", split)
    assert len(pairs) == size
    assert all(4 <= len(side) <= 16 for pair in pairs for side in (pair.src, pair.tgt))


def test_sixty_test_sentences_stand_in_train():
    train, test = (real("small_parallel_enja", split) for split in ("train", "test"))
    assert [len(overlap(train, test, side)) for side in corpora.SIDES] == [60, 0, 0]
    pen = Pair(tuple("this is a pen .".split()), tuple("これ は ペン で す 。".split()))
    assert pen in train


@pytest.mark.parametrize(("split", "size"), [("train", 29_000), ("valid", 1_014), ("test", 1_000)])
def test_multi30k(split, size):
    pairs = real("multi30k", split, "de", "fr")
    assert len(pairs) == size and all(pair.src and pair.tgt for pair in pairs)
    assert not any(
        token != token.lower() or token.split() != [token] for p in pairs for token in p.tgt
    )


def test_multi30k_reads_from_english_into_german_by_default():
    pair = real("multi30k", "test")[0]
    assert pair.src == tuple("a man in an orange hat starring at something .".split())
    assert pair.tgt[:6] == tuple("ein mann mit einem orangefarbenen hut".split())
