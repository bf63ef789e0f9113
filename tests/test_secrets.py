"""No credential in anything that is printed, logged, raised or written, whatever goes wrong.

Each provocation below is run with credentials that nothing else would contain, and everything that
it leaves behind is searched for them. To add one, write a function and mark it ``@provocation``.
"""

from __future__ import annotations

import io
import logging
import shutil
import tarfile
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import tenacity

from stt_model import jobs
from stt_model.base.errors import BootstrapError
from stt_model.corpus.manifests import find_splits
from stt_model.corpus.validation import validate
from stt_model.storage import download, store_client, store_requests
from stt_model.storage.object_store import ObjectStore
from stt_model.storage.transfer import fetch, local_file, put
from tests.command_line import call
from tests.corpora import write_tone_dataset
from tests.stt_model.http_server import FileServer, Resource
from tests.stt_model.played_store import SECRETS, PlayedStore, refusal
from tests.stt_model.s3_server import S3Server

PASSWORD = "PasswordOfTheTest"
SIGNATURE = "SignatureOfTheTest"
HIDDEN = (*SECRETS.values(), PASSWORD, SIGNATURE)
QUERY = f"X-Amz-Credential={SECRETS['AWS_ACCESS_KEY_ID']}&X-Amz-Signature={SIGNATURE}"
GOLDEN = Path(__file__).parent / "golden" / "checkpoints" / "alphabet"

# What some servers answer to a wrong signature.
TELL_ALL = (
    "expected another: " + " ".join(HIDDEN[:3]),
    f"<AWSAccessKeyId>{SECRETS['AWS_ACCESS_KEY_ID']}</AWSAccessKeyId>",
)


@dataclass(frozen=True)
class Site:
    """Where a provocation works: a store that takes the credentials, a web server, a folder."""

    store: S3Server
    web: FileServer
    here: Path
    environ: pytest.MonkeyPatch

    def signed(self, path: str) -> str:
        """Return the address of something on the web server, with all that must not be shown."""
        return f"http://user:{PASSWORD}@127.0.0.1:{self.web.port}{path}?{QUERY}"


PROVOCATIONS: list[Callable[[Site], object]] = []


def provocation(function: Callable[[Site], object]) -> Callable[[Site], object]:
    PROVOCATIONS.append(function)
    return function


@provocation
def wrong_key(site: Site) -> None:
    site.environ.setenv("AWS_ACCESS_KEY_ID", f"{SECRETS['AWS_ACCESS_KEY_ID']}2")
    ObjectStore.from_environment().stat("s3://speech/x")


@provocation
def wrong_secret(site: Site) -> None:
    site.environ.setenv("AWS_SECRET_ACCESS_KEY", f"{SECRETS['AWS_SECRET_ACCESS_KEY']}2")
    fetch("s3://speech/x", site.here / "target")


@provocation
def wrong_secret_for_clips(site: Site) -> None:
    manifest = site.here / "train.csv"
    manifest.write_text("wav_filename,wav_filesize,transcript\ns3://speech/x.wav,1,a\n", "utf-8")
    site.environ.setenv("AWS_SECRET_ACCESS_KEY", f"{SECRETS['AWS_SECRET_ACCESS_KEY']}2")
    validate({"train": manifest})


@provocation
def missing_bucket(site: Site) -> None:
    put(GOLDEN, "s3://nowhere/model")


@provocation
def missing_manifests(site: Site) -> None:
    find_splits("s3://speech/none")


@provocation
def no_store(site: Site) -> None:
    site.environ.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1")
    fetch("s3://speech/x", site.here / "target")


@provocation
def no_tls(site: Site) -> None:
    site.environ.setenv("AWS_ENDPOINT_URL_S3", site.store.endpoint.replace("http", "https"))
    ObjectStore.from_environment().stat("s3://speech/x")


@provocation
def store_that_tells_all(site: Site) -> None:
    answer = refusal(403, "SignatureDoesNotMatch", TELL_ALL[0])
    with PlayedStore(refusal(418, "Odd", "".join(TELL_ALL)), answer) as played:
        site.environ.setenv("AWS_ENDPOINT_URL_S3", played.environment["AWS_ENDPOINT_URL"])
        for _ in range(2):
            with pytest.raises(BootstrapError) as caught:
                list(ObjectStore.from_environment().list("s3://speech"))
            logging.getLogger(__name__).error("%s", caught.value)
        raise caught.value


@provocation
def endpoint_with_a_password(site: Site) -> None:
    site.environ.setenv("AWS_ENDPOINT_URL_S3", f"http://user:{PASSWORD}@127.0.0.1:1")
    ObjectStore.from_environment()


@provocation
def uri_with_a_password(site: Site) -> None:
    fetch(f"s3://{SECRETS['AWS_ACCESS_KEY_ID']}:{PASSWORD}@speech/x", site.here / "target")


@provocation
def uri_with_a_signature(site: Site) -> None:
    fetch(f"s3://speech/x?{QUERY}", site.here / "target")


@provocation
def address_that_has_expired(site: Site) -> None:
    site.web.resources["/x.zip"] = Resource(b"", statuses=[403])
    fetch(site.signed("/x.zip"), site.here / "target")


@provocation
def address_of_no_archive(site: Site) -> None:
    site.web.resources["/x.zip"] = Resource(b"no archive")
    fetch(site.signed("/x.zip"), site.here / "target")


@provocation
def broken_download(site: Site) -> None:
    site.web.resources["/x.zip"] = Resource(b"content", break_after=[3] * 9, ranges=False)
    with local_file(site.signed("/x.zip")):
        pass


@provocation
def no_web_server(site: Site) -> None:
    fetch(f"http://user:{PASSWORD}@127.0.0.1:1/x?{QUERY}", site.here / "target")


@provocation
def bad_address(site: Site) -> None:
    fetch(f"http://user:{PASSWORD}@[/x?{QUERY}", site.here / "target")


@provocation
def redirect_to_nowhere(site: Site) -> None:
    nowhere = f"http://user:{PASSWORD}@127.0.0.1:1/x?{QUERY}"
    site.web.resources["/x.zip"] = Resource(b"", redirect=nowhere)
    fetch(site.signed("/x.zip"), site.here / "target")


@provocation
def path_where_an_address_was_given(site: Site) -> None:
    find_splits(site.signed("/corpus"))


@provocation
def unknown_scheme(site: Site) -> None:
    fetch(f"gs://user:{PASSWORD}@bucket/x?{QUERY}", site.here / "target")


@provocation
def command_that_fails(site: Site) -> None:
    for uri in (site.signed("/gone"), "s3://speech/gone"):
        done = call("fetch", uri, site.here / "target")
        logging.getLogger(__name__).error("%s%s", done.out, done.err)
        assert done.code == 1
    call("fetch", site.signed("/gone"), site.here / "target", "--debug")


@provocation
def lineage_and_reports(site: Site) -> None:
    """Nothing fails here: it is what is written that counts."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        archive.add(GOLDEN, "model")
    site.web.resources["/model.tar.gz"] = Resource(buffer.getvalue())
    dataset = write_tone_dataset(site.here / "dataset", train=3, other=1)
    shutil.copytree(dataset, site.store.folder / "speech" / "tones")
    here = site.here
    jobs.digest_sources(
        "s3://speech/tones",
        checkpoint_uri=site.signed("/model.tar.gz"),
        scorer_uri=site.signed("/gone"),
    )
    jobs.fetch(site.signed("/model.tar.gz"), here / "source", report=here / "fetched.md")
    jobs.validate(dataset, here / "clean", report=here / "validated.md")
    jobs.analyse_alphabet(
        here / "clean", here / "source", here / "alphabet.txt", here / "a.md", mode="transfer"
    )
    jobs.replace_layers(
        here / "source",
        here / "grafted",
        alphabet=jobs.read_model_alphabet(here / "alphabet.txt"),
        report=here / "grafted.md",
    )
    assert (here / "grafted" / "lineage.json").is_file()
    raise BootstrapError("so far, so good")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    keys = (SECRETS["AWS_ACCESS_KEY_ID"], SECRETS["AWS_SECRET_ACCESS_KEY"])
    with S3Server(tmp_path_factory.mktemp("s3"), *keys) as running:
        (running.folder / "speech").mkdir()
        yield running


@pytest.fixture
def site(server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    for name, value in {**server.environment, **SECRETS}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv(download.CACHE_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setattr(store_client, "_BACKOFF", 0.01)
    monkeypatch.setattr(store_client, "_RETRIES", 2)
    monkeypatch.setattr(download, "_WAIT", tenacity.wait_none())
    monkeypatch.setattr(store_requests, "_WAIT", tenacity.wait_none())
    with FileServer({}) as web:
        yield Site(server, web, tmp_path, monkeypatch)


@pytest.mark.parametrize("provoke", PROVOCATIONS, ids=lambda each: each.__name__)
def test_no_credential_is_left_behind(
    provoke: Callable[[Site], object],
    site: Site,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises(BootstrapError) as caught:
        provoke(site)
    found = {
        "log": caplog.text + "".join(map(str, (record.args for record in caplog.records))),
        "output": "".join(capfd.readouterr()),
        **dict(_describe_chain(caught.value)),
        **{
            f"file {path}": f"{path} {path.read_bytes().decode('latin-1')}"
            for path in site.here.rglob("*")
            if path.is_file()
        },
    }
    assert str(caught.value)
    for place, text in found.items():
        for secret in HIDDEN:
            assert secret not in text, f"{place}: {text}"


def _describe_chain(error: BaseException) -> Iterator[tuple[str, str]]:
    """Yield every text of an exception and of all that it came from, suppressed or not."""
    yield "traceback", "".join(traceback.format_exception(error))
    chain, seen = [error], set()
    while chain:
        each = chain.pop()
        seen.add(id(each))
        name = f"{type(each).__name__} {len(seen)}"
        yield name, f"{each} {each!r} {each.args} {vars(each)}"
        inner = (each.__cause__, each.__context__)
        chain += [one for one in inner if one is not None and id(one) not in seen]


def test_the_search_finds_what_it_looks_for() -> None:
    try:
        try:
            raise ValueError(PASSWORD)
        except ValueError:
            raise BootstrapError("fine") from None
    except BootstrapError as error:
        assert any(PASSWORD in text for _, text in _describe_chain(error))
