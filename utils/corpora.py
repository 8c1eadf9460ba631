"""The sentence pairs of the course: the grammar corpora and the loaders of the real ones.

`load_grammar` reads what stands in `data/grammar`. `load_real` reads small_parallel_enja or
multi30k: each file is downloaded once into `data/cache`, or taken from the folder that the
environment variable COURSE_DATA names, and its SHA-256 is verified at every reading.
"""

import gzip
import os
import re
import sys
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from threading import Thread
from typing import NamedTuple
from urllib.parse import urlsplit

from tqdm import tqdm

from utils.text import split_words

ROOT = Path(__file__).resolve().parents[1]
GRAMMAR = ROOT / "data" / "grammar"
CACHE = ROOT / "data" / "cache"

GRAMMAR_LANGUAGES = ("en", "fr", "ja", "ko")
GRAMMAR_SPLITS = ("train", "valid", "test", "novel")
GRAMMAR_COLUMNS = (
    *GRAMMAR_LANGUAGES,
    *(f"roles_{language}" for language in GRAMMAR_LANGUAGES),
    *(f"en-{language}" for language in GRAMMAR_LANGUAGES[1:]),
)
SIDES = ("source", "target", "both")

PATIENCE = 3.0  # seconds that a host has to answer before it counts as out of reach
STALL = 20.0  # seconds without a byte after which a download is given up
RETRIES = 2  # further attempts at a file whose download broke off


class CorpusUnavailable(RuntimeError):
    """A corpus cannot be had; the message is one sentence that says what to do."""


class Trouble(NamedTuple):
    """Why an address cannot be had: what was tried and what came back, and what may help."""

    what: str
    advice: str = "run this again on a working network"


@dataclass(frozen=True, slots=True)
class Pair:
    """A sentence and its translation, both cut into tokens.

    alignment: pairs (index in src, index in tgt) of tokens that translate each other, from 0;
    None where nobody wrote them down. src_roles and tgt_roles: one role for each token, or None.
    """

    src: tuple[str, ...]
    tgt: tuple[str, ...]
    alignment: frozenset[tuple[int, int]] | None = None
    src_roles: tuple[str, ...] | None = None
    tgt_roles: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Corpus:
    """A real corpus: where its files come from, and what they must be.

    splits: for each split the name of its files, with {} for the language. hashes: the SHA-256
    of each file. raw: True where the text is not tokenised yet.
    """

    url: str
    languages: tuple[str, ...]
    splits: dict[str, str]
    hashes: dict[str, str]
    raw: bool = False


CORPORA = {
    "small_parallel_enja": Corpus(
        url="https://raw.githubusercontent.com/odashi/small_parallel_enja/master/",
        languages=("en", "ja"),
        splits={"train": "train.{}", "valid": "dev.{}", "test": "test.{}"},
        hashes={
            "train.en": "148b05dcd28638fe20ee84f2b1127001c80982be352007dda241fb759adadc76",
            "train.ja": "fc81a1434349ec98a449d7ae9cd2530057f689637684ecfed3501ea6a8a07ecc",
            "dev.en": "04a2673449770657fd5e3b963cb856be3130923212b6db8ac7eaeef18f06c041",
            "dev.ja": "cd534f56b8639dc130f86a365e5ec0aa70042000bdd740a622fbbf8b6be4acca",
            "test.en": "45edb380749ec2b49cca7618fc5a7595fc9f791180672ba466b90c873a4aa8bf",
            "test.ja": "d37dc460a81b064e4106c8913eb11fa300da05cf3f58a7a5bbfec7e20947ddef",
        },
    ),
    "multi30k": Corpus(
        url="https://raw.githubusercontent.com/multi30k/dataset/master/data/task1/raw/",
        languages=("en", "de", "fr"),
        splits={"train": "train.{}.gz", "valid": "val.{}.gz", "test": "test_2016_flickr.{}.gz"},
        hashes={
            "train.en.gz": "d79cfa999dd4c51d2cb42499b6796d5a882c3a8a961923c25a898c90f8bbd56f",
            "train.de.gz": "726e39b2fa9eb9ffb6dc763fb35a179f80fae06ffc5d28b6ace5faa883de28a6",
            "train.fr.gz": "622e75069e9f4c577425c4f277116ce66e63a2401c0a2312d90073cb12379a3c",
            "val.en.gz": "14f7d25ddd868909a9213e361768460edcacdd6ab9d1e77b92560dc10c10dc28",
            "val.de.gz": "f0cba2f995189cf5770f29a8a9a537a3ad3f51657ad873405082ff6863a5e75a",
            "val.fr.gz": "ca3106f1a72390591d25f6c45cb4cd39dec4cd3f123e099748a3ce5256c160e9",
            "test_2016_flickr.en.gz": (
                "611d361c6334bc7246101d48097c13cf5c4413c5befc793cc629934359d532d9"
            ),
            "test_2016_flickr.de.gz": (
                "9204244e408ccb38d2a55cfcd344df15005fc42a07a6e55ca6c52b6ababb8cc8"
            ),
            "test_2016_flickr.fr.gz": (
                "6d326e188d259fb1d04ac19eae3af956559b3a0b93d7635e56c90987c40c8b90"
            ),
        },
        raw=True,
    ),
}

# In this order: an elided French word (l', qu'), the English 's, a number such as 10,000 or
# 11:27, a word with its inner hyphens and apostrophes (t-shirt, quelqu'un, don't), a sign.
CAPTION_TOKEN = re.compile(
    r"\b(?:[cdjlmnst]|qu|jusqu|lorsqu|puisqu)'(?=\w)"
    r"|'s\b"
    r"|\d+(?:[.,:]\d+)+"
    r"|\w+(?:-\w+|'(?!s\b)\w+)*"
    r"|[^\w\s]"
)


def load_grammar(
    target: str = "ja", split: str = "train", source: str = "en", folder: Path | None = None
) -> list[Pair]:
    """Read sentence pairs of the grammar corpora, with gold alignments and roles.

    source, target: two different languages of en, fr, ja, ko. split: train, valid, test, novel.
    folder: where the tsv files stand; data/grammar by default.
    The files align each language with English. Between two others a source token and a target
    token are aligned where one English token is aligned with both.
    Raises ValueError for an unknown name or a damaged file, CorpusUnavailable for a missing one.
    """
    _check_languages(source, target, GRAMMAR_LANGUAGES, "the grammar corpora")
    _check_known(split, GRAMMAR_SPLITS, "split of the grammar corpora")
    file = (GRAMMAR if folder is None else Path(folder)) / f"{split}.tsv"
    if not file.is_file():
        raise CorpusUnavailable(
            f"{file} is missing: bring it back with `git checkout data/grammar`, or write it "
            f"anew with `python -m tools.grammar data/grammar`."
        )
    lines = [line.removesuffix("\r") for line in _lines(file.read_bytes(), file)]
    header = lines[0].split("\t") if lines else []
    if missing := [column for column in GRAMMAR_COLUMNS if column not in header]:
        raise ValueError(f"{file} lacks the columns {', '.join(missing)} in its first line.")
    return [
        _grammar_pair(line.split("\t"), header, source, target, f"{file}, line {number}")
        for number, line in enumerate(lines[1:], start=2)
    ]


def load_real(
    name: str, split: str = "train", source: str = "en", target: str | None = None
) -> list[Pair]:
    """Read sentence pairs of a real corpus, downloading its files the first time.

    name: small_parallel_enja (en, ja) or multi30k (en, de, fr). split: train, valid, test.
    target: by default the first language of the corpus that is not the source. small_parallel_enja
    comes as tokens; the captions of multi30k are cut by `split_caption`.
    Raises ValueError for an unknown name, CorpusUnavailable where a file cannot be had.
    """
    lines = load_lines(name, split, source, target)
    cut = split_caption if CORPORA[name].raw else _split_spaces
    return [Pair(cut(src), cut(tgt)) for src, tgt in lines]


def load_lines(
    name: str, split: str = "train", source: str = "en", target: str | None = None
) -> list[tuple[str, str]]:
    """Read sentence pairs of a real corpus as its files have them: not cut, in any letters.

    What is given and what is raised: as in `load_real`.
    """
    _check_known(name, CORPORA, "real corpus of the course")
    corpus = CORPORA[name]
    if target is None:
        target = next(language for language in corpus.languages if language != source)
    _check_languages(source, target, corpus.languages, name)
    _check_known(split, corpus.splits, f"split of {name}")

    files = [corpus.splits[split].format(language) for language in (source, target)]
    contents = _contents(name, files)
    src, tgt = (
        _lines(gzip.decompress(content) if corpus.raw else content, file)
        for file, content in zip(files, contents)
    )
    if len(src) != len(tgt):
        raise ValueError(
            f"The files of {name} do not match line by line: {files[0]} has {len(src):,} lines "
            f"and {files[1]} has {len(tgt):,}."
        )
    return list(zip(src, tgt))


def read_lines(file: Path) -> list[str]:
    """Read a text of one sentence a line; ValueError for bytes that are not UTF-8."""
    return _lines(file.read_bytes(), file)


def load_or_explain(
    name: str, split: str = "train", source: str = "en", target: str | None = None
) -> list[Pair] | None:
    """Read a real corpus as `load_real` does, or print why it cannot be had and return None.

    Lessons use it: a reader without network sees one sentence, and the lesson goes on.
    """
    try:
        return load_real(name, split, source, target)
    except CorpusUnavailable as reason:
        print(reason)
        return None


def available(name: str) -> str | None:
    """Say whether a real corpus can be had now: None, or the one-sentence reason why not.

    It can be had where every file is on this machine with the right SHA-256, or where its host
    answers within three seconds. The host is asked once in a process. Downloads nothing.
    """
    _check_known(name, CORPORA, "real corpus of the course")
    try:
        missing = [file for file in CORPORA[name].hashes if _stored(name, file) is None]
        return _obstacle(name, missing, _ask_once) if missing else None
    except CorpusUnavailable as reason:
        return str(reason)


def overlap(train: Iterable[Pair], test: Iterable[Pair], side: str = "source") -> list[Pair]:
    """Return the pairs of test that stand word for word in train.

    side: what is compared, "source", "target", or "both" (the whole pair must stand there).
    The order of test is kept. Raises ValueError for another side.
    """
    _check_known(side, SIDES, "side to compare")

    def compared(pair: Pair) -> tuple[tuple[str, ...], ...]:
        return {"source": (pair.src,), "target": (pair.tgt,), "both": (pair.src, pair.tgt)}[side]

    known = {compared(pair) for pair in train}
    return [pair for pair in test if compared(pair) in known]


def plain(line: str) -> str:
    """Return a line as a translator sees it: small letters, one space, é one sign (form NFC)."""
    return " ".join(unicodedata.normalize("NFC", line.lower()).split())


def split_caption(text: str) -> tuple[str, ...]:
    """Cut a raw English, German or French caption into lower-case words and signs.

    An elided French word keeps its apostrophe and stands alone (l'eau gives l' and eau), and so
    does the English 's (man's gives man and 's). Other inner apostrophes and hyphens stay inside
    their word: quelqu'un, don't, t-shirt.
    """
    text = unicodedata.normalize("NFC", text.lower()).replace("’", "'").replace("‘", "'")
    return tuple(map(sys.intern, CAPTION_TOKEN.findall(text)))


def _split_spaces(text: str) -> tuple[str, ...]:
    """Cut a tokenised sentence as `split_words` does; equal tokens share their memory."""
    return tuple(map(sys.intern, split_words(text)))


def _lines(content: bytes, file: str | Path) -> list[str]:
    r"""Decode UTF-8 and cut at \n alone: str.splitlines would also cut at U+2028 and others.

    A byte order mark is dropped, and the text comes in Unicode form NFC, in which an é or a 가 is
    one character whatever the editor wrote. Raises ValueError for bytes that are not UTF-8.
    """
    try:
        text = content.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{file} is not UTF-8: byte {error.start}, in line "
            f"{content[: error.start].count(10) + 1}, is 0x{content[error.start]:02x}; save the "
            f"file as UTF-8."
        ) from error
    return unicodedata.normalize("NFC", text).removesuffix("\n").split("\n") if text else []


def _grammar_pair(
    values: Sequence[str], header: Sequence[str], source: str, target: str, place: str
) -> Pair:
    """Turn one line of a tsv file into a pair; place is named in errors."""
    if len(values) != len(header):
        raise ValueError(
            f"{place}, has {len(values)} columns where the first line names {len(header)}."
        )
    row = dict(zip(header, values))
    words = {language: _split_spaces(row[language]) for language in ("en", source, target)}
    roles = {language: _split_spaces(row[f"roles_{language}"]) for language in (source, target)}
    for language in (source, target):
        if len(roles[language]) != len(words[language]):
            raise ValueError(
                f"{place}, has {len(words[language])} tokens in {language} and "
                f"{len(roles[language])} roles."
            )
    links = {
        language: _links(row[f"en-{language}"], len(words["en"]), len(words[language]), place)
        for language in (source, target)
        if language != "en"
    }
    if source == "en":
        alignment = links[target]
    elif target == "en":
        alignment = frozenset((s, e) for e, s in links[source])
    else:
        alignment = frozenset((s, t) for e, s in links[source] for f, t in links[target] if e == f)
    return Pair(words[source], words[target], alignment, roles[source], roles[target])


def _links(text: str, n_english: int, n_other: int, place: str) -> frozenset[tuple[int, int]]:
    """Read an alignment such as 0-0 1-2: pairs (index in English, index in the other)."""
    links = set()
    for item in text.split():
        english, _, other = item.partition("-")
        if not (english.isdecimal() and other.isdecimal()):
            raise ValueError(f"{place}, has the alignment {item!r}, which is not of the form 0-2.")
        if int(english) >= n_english or int(other) >= n_other:
            raise ValueError(
                f"{place}, has the alignment {item}, which points outside sentences of "
                f"{n_english} and {n_other} tokens."
            )
        links.add((int(english), int(other)))
    return frozenset(links)


def _check_known(value: str, known: Iterable[str], kind: str) -> None:
    """Raise ValueError with the list of what is known where value is not in it."""
    known = tuple(known)
    if value not in known:
        raise ValueError(f"{value!r} is not a {kind}: choose one of {', '.join(known)}.")


def _check_languages(source: str, target: str, known: Sequence[str], where: str) -> None:
    """Raise ValueError unless source and target are two different known languages."""
    _check_known(source, known, f"language of {where}")
    _check_known(target, known, f"language of {where}")
    if source == target:
        raise ValueError(
            f"Source and target are both {source!r}: choose two different languages of "
            f"{', '.join(known)}."
        )


def _course_data() -> Path | None:
    """Return the folder that COURSE_DATA names, None where it is not set.

    A relative path counts from the folder of the repository, since notebooks run below it.
    """
    value = os.environ.get("COURSE_DATA", "").strip()
    return ROOT / Path(value).expanduser() if value else None


def _read(path: Path) -> bytes | None:
    """Return the content of a file, None where there is no such file."""
    try:
        return path.read_bytes() if path.exists() else None
    except OSError as error:
        raise CorpusUnavailable(
            f"{path} cannot be read ({error.strerror}): it must be a file that you may read."
        ) from error


def _stored(name: str, file: str) -> bytes | None:
    """Return the verified content of a file that is on this machine.

    Looks in COURSE_DATA, then in the cache. None where the file has to be downloaded. A wrong
    file in COURSE_DATA raises, for its owner meant it; a wrong file in the cache is replaced.
    """
    folder = _course_data()
    if folder is not None and (content := _read(folder / name / file)) is not None:
        if _is_expected(name, file, content):
            return content
        raise CorpusUnavailable(
            f"{_what_is_wrong(folder / name / file, name, content)}: replace it by the file from "
            f"{CORPORA[name].url}{file}, or check that COURSE_DATA ({folder}) names the right "
            f"folder."
        )
    content = _read(CACHE / name / file)
    return content if content is not None and _is_expected(name, file, content) else None


def _is_expected(name: str, file: str, content: bytes) -> bool:
    """Compare the SHA-256 of a content with the registered one."""
    return sha256(content).hexdigest() == CORPORA[name].hashes[file]


def _what_is_wrong(path: Path, name: str, content: bytes) -> str:
    """Say which file is wrong, the SHA-256 that it should have, and the one that it has."""
    return (
        f"{path} is not the file that the course expects (SHA-256 "
        f"{CORPORA[name].hashes[path.name]}, but this one has {sha256(content).hexdigest()})"
    )


def _contents(name: str, files: Sequence[str]) -> list[bytes]:
    """Return the verified contents of files of a corpus, downloading those that are missing."""
    contents = {file: _stored(name, file) for file in files}
    missing = [file for file in files if contents[file] is None]
    if missing and (reason := _obstacle(name, missing, _no_answer)):
        raise CorpusUnavailable(reason)
    contents |= {file: _download(name, file) for file in missing}
    return [contents[file] for file in files]


def _obstacle(
    name: str, missing: Sequence[str], ask: Callable[[str], Trouble | None]
) -> str | None:
    """Say in one sentence what stands in the way of downloading missing files, None if nothing.

    ask: says why an address cannot be had, None where it answers.
    """
    folder, url, files = _course_data(), CORPORA[name].url, ", ".join(missing[:3])
    if len(missing) > 3:
        files += f" and {len(missing) - 3} more files (data/README.md lists them)"
    if folder is not None and not folder.is_dir():
        found = "that is no folder" if folder.exists() else "there is no such folder"
        return (
            f"COURSE_DATA names {folder}, and {found}: correct it, or unset COURSE_DATA to have "
            f"{name} downloaded."
        )
    if folder is not None:
        return (
            f"{name} is incomplete in the folder that COURSE_DATA names: put {files} into "
            f"{folder / name}, or unset COURSE_DATA to have {name} downloaded."
        )
    if (trouble := ask(url + missing[0])) is None:
        return None
    for path in (CACHE / name / file for file in missing):
        if (content := _read(path)) is not None:
            return (
                f"{_what_is_wrong(path, name, content)} and {trouble.what}: delete that file and "
                f"{trouble.advice}, or replace it by the one from {url}."
            )
    return (
        f"{name} is not on this machine and {trouble.what}: {trouble.advice}, or put {files} from "
        f"{url} into {CACHE / name}, or let COURSE_DATA name a folder in which the folder {name} "
        f"holds them."
    )


def _no_answer(url: str) -> Trouble | None:
    """Ask a host for the head of a file; return what went wrong, None where it answers.

    Never takes longer than PATIENCE: looking up a name or trying several addresses of a host can
    outlast any timeout of the request, so the request has a thread to itself.
    """
    import requests  # a tenth of a second, and only needed here

    host, file = urlsplit(url).netloc, url.rpartition("/")[2]
    troubles = [Trouble(f"{host} gives no answer within {PATIENCE:g} seconds{_by_way_of(url)}")]

    def ask() -> None:
        try:
            found = requests.head(url, timeout=2 * PATIENCE, allow_redirects=True)
        except Exception as error:  # whatever it is: a thread that fails would say nothing
            way = f"{host} cannot be reached{_by_way_of(url)} ({_said(error)})"
            troubles.append(Trouble(way, _advice(error)))
        else:
            status = f"{found.status_code} {found.reason}"
            answer = f"{host} does not offer {file} (it answers {status})"
            troubles.append(None if found.ok else Trouble(answer, "run this again later"))

    thread = Thread(target=ask, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    return troubles[-1]


def _by_way_of(url: str) -> str:
    """Name the proxy through which an address is asked for, without its password."""
    from requests.utils import get_environ_proxies, select_proxy

    proxy = select_proxy(url, get_environ_proxies(url, no_proxy=None))
    return f" through the proxy {proxy.rpartition('@')[2]}" if proxy else ""


def _said(error: BaseException) -> str:
    """Return what the system answered: the kind of an error and its innermost cause, on a line."""
    inner: BaseException = error
    while cause := inner.__cause__ or inner.__context__:
        inner = cause
    words = re.sub(r"\.(?=\s|$)", ";", " ".join(str(inner).split())).rstrip("; ")
    return f"{type(error).__name__}: {words}" if words else type(error).__name__


def _advice(error: Exception) -> str:
    """Return what helps against an error of a request, as far as its kind tells."""
    from requests import RequestException
    from requests.exceptions import ProxyError, SSLError

    if isinstance(error, SSLError):
        return "let REQUESTS_CA_BUNDLE name a file with the certificates of your network"
    if isinstance(error, ProxyError | ValueError):
        return "correct HTTPS_PROXY, HTTP_PROXY or ALL_PROXY in the environment"
    if isinstance(error, RequestException):
        return Trouble._field_defaults["advice"]
    return "correct REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE in the environment"


_ask_once = cache(lambda url: _no_answer(url))


def _download(name: str, file: str) -> bytes:
    """Download one file into the cache and return its content.

    pooch writes to a temporary file beside it, verifies the SHA-256, and moves it into place, so
    that the cache never holds half a file under its name.
    """
    import pooch
    from requests import RequestException

    corpus = CORPORA[name]
    pooch.get_logger().setLevel("WARNING")  # the progress bar says it already
    keeper = pooch.create(CACHE / name, corpus.url, registry=corpus.hashes, retry_if_failed=RETRIES)
    try:
        return Path(keeper.fetch(file, downloader=_download_with_bar)).read_bytes()
    except (RequestException, ValueError, OSError) as error:
        raise CorpusUnavailable(_why_not(corpus, name, file, error)) from error


def _why_not(corpus: Corpus, name: str, file: str, error: Exception) -> str:
    """Say in one sentence why a file could not be downloaded."""
    from requests import RequestException

    url, folder = f"{corpus.url}{file}", CACHE / name
    asked = isinstance(error, RequestException)
    if not asked and isinstance(error, OSError) and error.errno is not None:
        return (
            f"{file} cannot be written into {folder} ({error.strerror}): make that folder "
            f"writable, or let COURSE_DATA name a folder that holds {name} with this file."
        )
    if not asked and "known hash" in str(error):
        return (
            f"What {url} sends is not the file that the course expects (SHA-256 "
            f"{corpus.hashes[file]}) and nothing of it was kept: run this again on another network "
            f"in case a sign-in page answered, or put the right file into {folder}."
        )
    return (
        f"The download of {url} broke off ({_said(error)}) and nothing of it was kept: run this "
        f"again, or put the file into {folder} by hand."
    )


def _download_with_bar(url: str, output_file: str, keeper: object) -> None:
    """Download one file as pooch asks for it, with a progress bar on stderr.

    pooch keeps a file from all but its owner; others on the machine may read this one, as far as
    the umask lets them read any new file.
    """
    from pooch import HTTPDownloader

    # pooch puts in the true total, and would take a bar without any for no bar at all
    with tqdm(desc=url.rpartition("/")[2], total=1, unit="B", unit_scale=True) as bar:
        plain = {"Accept-Encoding": "identity"}  # packed on the way, the total would be wrong
        download = HTTPDownloader(progressbar=bar, chunk_size=2**15, timeout=STALL, headers=plain)
        download(url, output_file, keeper)
    umask = os.umask(0)
    os.umask(umask)
    with suppress(OSError):  # a file system without permissions
        os.chmod(output_file, 0o666 & ~umask)
