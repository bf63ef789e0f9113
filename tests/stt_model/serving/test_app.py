"""The server over a made model, and over a real one on loopback."""

import io
import threading
import time

import numpy as np
import pytest
import soundfile

pytest.importorskip("starlette")

from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from stt_model.serving.app import MIB, make_app
from stt_model.serving.settings import ServingSettings
from tests.corpora import RATE, tone_samples


class Counter:
    """Understands how many samples it was given."""

    name = "counter"

    def __init__(self, wait=0.0):
        self.wait = wait
        self.at_once = self.most_at_once = 0
        self.calls = 0

    def transcribe(self, samples):
        self.calls += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        time.sleep(self.wait)
        self.at_once -= 1
        assert samples.dtype == np.float32
        return f"{len(samples)} samples"


@pytest.fixture
def model():
    return Counter()


def client_of(model, **settings):
    return TestClient(make_app(model, ServingSettings(**settings)), raise_server_exceptions=False)


def recording(seconds=1.0, rate=16000, kind="WAV"):
    data = io.BytesIO()
    samples = 0.1 * np.sin(np.arange(int(seconds * rate)) / 20)
    soundfile.write(data, samples, rate, format=kind)
    return data.getvalue()


def post(client, content, name="clip.wav", **fields):
    files = {"file": (name, content)}
    return client.post("/v1/audio/transcriptions", files=files, data=fields)


def test_openais_client_gets_what_it_expects(model):
    client = client_of(model)
    assert post(client, recording(), model="whisper-1").json() == {"text": "16000 samples"}
    assert post(client, recording(), response_format="text").text == "16000 samples\n"
    verbose = post(client, recording(), response_format="verbose_json").json()
    assert verbose == {"task": "transcribe", "duration": 1.0, "text": "16000 samples"}
    assert client.get("/v1/models").json()["data"][0]["id"] == "counter"
    assert client.get("/healthz").json() == {"status": "ok", "model": "counter"}


@pytest.mark.parametrize(("rate", "kind"), [(8000, "WAV"), (44100, "FLAC"), (48000, "OGG")])
def test_any_rate_and_format(model, rate, kind):
    answer = post(client_of(model), recording(2, rate, kind), f"clip.{kind.lower()}")
    count = int(answer.json()["text"].split()[0])
    assert abs(count - 32000) < 200


@pytest.mark.parametrize(
    ("content", "fields", "status", "words"),
    [
        (b"no audio at all", {}, 400, "clip.wav: expected readable audio"),
        (b"", {}, 400, "clip.wav"),
        (recording()[:30], {}, 400, "clip.wav"),
        (recording(), {"response_format": "srt"}, 400, "response_format: expected json"),
        (recording(3), {}, 413, "expected 2 s of speech at most, found 3 s"),
    ],
)
def test_unusable_recordings_are_answered_with_the_reason(model, content, fields, status, words):
    answer = post(client_of(model, most_seconds=2), content, **fields)
    assert answer.status_code == status
    error = answer.json()["error"]
    assert words in error["message"] and error["type"] == "invalid_request_error"
    assert "/tmp" not in error["message"]
    assert not model.calls


def test_a_form_without_a_file(model):
    answer = client_of(model).post("/v1/audio/transcriptions", data={"model": "x"})
    assert answer.status_code == 400 and "found none" in answer.json()["error"]["message"]


def test_too_large_a_body_is_refused_whatever_its_header_says(model):
    client = client_of(model, most_mib=1)
    assert post(client, bytes(3 * MIB)).status_code == 413

    def pieces():
        head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
        yield head
        for _ in range(8):
            yield bytes(MIB // 2)

    headers = {"content-type": "multipart/form-data; boundary=x"}
    answer = client.post("/v1/audio/transcriptions", content=pieces(), headers=headers)
    assert answer.status_code == 413
    assert not model.calls


def test_many_at_once_are_heard_one_by_one():
    model = Counter(wait=0.05)
    with client_of(model) as client:
        answers = run_at_once(lambda: post(client, recording()), 6)
    assert [each.status_code for each in answers] == [200] * 6
    assert model.most_at_once == 1


def test_more_than_may_wait_are_told_to_come_again():
    model = Counter(wait=0.5)
    with client_of(model, most_waiting=2) as client:
        answers = run_at_once(lambda: post(client, recording()), 6)
    codes = sorted(each.status_code for each in answers)
    assert codes[:2] == [200, 200] and codes[-1] == 503
    refused = next(each for each in answers if each.status_code == 503)
    assert refused.headers["retry-after"] and refused.json()["error"]["type"] == "server_error"


def run_at_once(action, times):
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(action())) for _ in range(times)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def test_a_stream_gets_the_text_so_far_and_then_all_of_it(model):
    with client_of(model).websocket_connect("/v1/stream") as socket:
        socket.send_bytes(bytes(2 * 8000))
        assert socket.receive_json() == {"type": "partial", "text": "8000 samples"}
        # Too little for another text, and half a sample.
        socket.send_bytes(bytes(2 * 100 + 1))
        socket.send_text('{"type": "finish"}')
        assert socket.receive_json() == {"type": "final", "text": "8100 samples"}
        # The next utterance begins at nothing.
        socket.send_text('{"type": "finish"}')
        assert socket.receive_json() == {"type": "final", "text": ""}


def test_a_stream_without_an_end_is_cut(model):
    with client_of(model, longest_utterance=1.0).websocket_connect("/v1/stream") as socket:
        socket.send_bytes(bytes(2 * 16000))
        assert socket.receive_json() == {"type": "final", "text": "16000 samples"}
        socket.send_bytes(bytes(2 * 8000))
        assert socket.receive_json() == {"type": "partial", "text": "8000 samples"}


@pytest.mark.parametrize("message", ["{", "[]", '{"type": "pause"}'])
def test_a_stream_of_something_else_is_closed_with_the_reason(model, message):
    with client_of(model).websocket_connect("/v1/stream") as socket:
        socket.send_text(message)
        with pytest.raises(WebSocketDisconnect) as closed:
            socket.receive_json()
    assert closed.value.code == 1008 and "finish" in closed.value.reason


def test_a_client_that_goes_away_leaves_the_server_working(model):
    client = client_of(model)
    with client.websocket_connect("/v1/stream") as socket:
        socket.send_bytes(bytes(2 * 8000))
    assert post(client, recording()).status_code == 200


def test_the_page_needs_nothing_from_elsewhere(model):
    page = client_of(model).get("/")
    assert page.headers["content-type"].startswith("text/html")
    assert "http://" not in page.text and "https://" not in page.text


def test_the_text_is_that_of_transcribe(tmp_path):
    """A real checkpoint: the server says what the command says."""
    from stt_bootstrap.demo.corpora import SOURCE_CHECKPOINT
    from stt_model.jobs import transcribe
    from stt_model.serving.recogniser import Recogniser

    soundfile.write(tmp_path / "tones.wav", tone_samples("abcabcab"), RATE)
    (expected,) = transcribe(SOURCE_CHECKPOINT, [tmp_path / "tones.wav"])
    client = client_of(Recogniser(SOURCE_CHECKPOINT))
    answer = post(client, (tmp_path / "tones.wav").read_bytes())
    assert answer.json() == {"text": expected}
