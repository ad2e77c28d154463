"""The HTTP client itself: what no vendor's protocol shows."""

from __future__ import annotations

import datetime as dt
import gzip
import logging
import zlib
from collections.abc import Iterator
from urllib.parse import SplitResult

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from urllib3_log import everything_logged
from vendor_stand_in import KEY, Asked, Reply, StandIn

from market_assets.errors import AnswerCutOff, SourceUnavailable, UnexpectedPayload
from market_assets.sources.http import Call, HttpClient, retry_after
from market_assets.sources.keys import ApiKey, keep_out_of_logs, redacted
from market_assets.sources.options import SourceContext

ANSWER = b'{"rows": [1, 2, 3]}'


class Scripted(StandIn):
    """Answers what a test says, wherever it is asked."""

    answer = Reply(200, ANSWER)

    def endpoint_of(self, url: SplitResult) -> str:
        return url.path

    def reply(self, asked: Asked, fault: str) -> Reply:
        del asked, fault
        return self.answer


@pytest.fixture
def server() -> Iterator[Scripted]:
    with Scripted() as running:
        yield running


def client(server: StandIn, **given: object) -> HttpClient:
    return HttpClient("Vendor", "vendor", server.url, SourceContext(), **given)  # type: ignore[arg-type] - keywords vary


def key() -> ApiKey:
    return ApiKey(SecretStr(KEY), "MARKET_VENDOR_KEY", parameter="token")


def test_a_whole_answer_is_read_and_counted(server: Scripted) -> None:
    asking = client(server)
    assert asking.ask(Call("/x", {"a": "1"}, "X"), lambda document: document["rows"]) == [1, 2, 3]
    assert (asking.spent(), asking.spent()) == (1, 0)
    assert server.asked[0].query == {"a": "1"}


@pytest.mark.parametrize("encoded", [gzip.compress(ANSWER), zlib.compress(ANSWER)], ids=["gzip", "zlib"])
def test_compressed_answers_are_unpacked(server: Scripted, encoded: bytes) -> None:
    coding = "gzip" if encoded[:2] == b"\x1f\x8b" else "deflate"
    server.answer = Reply(200, encoded, {"Content-Encoding": coding})
    assert client(server).ask(Call("/x", {}, "X"), len) == 1


def test_a_damaged_encoding_is_an_error_of_ours(server: Scripted) -> None:
    server.answer = Reply(200, gzip.compress(ANSWER)[:-12] + b"damaged", {"Content-Encoding": "gzip"})
    with pytest.raises(SourceUnavailable):
        client(server).ask(Call("/x", {}, "X"), len)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b'{"rows": [1, 2', AnswerCutOff),
        (b"[{}, {", AnswerCutOff),
        (b"{oops}", UnexpectedPayload),
        (b"Internal error", UnexpectedPayload),
        (b"  <p>no</p>", UnexpectedPayload),
        (b" \n", SourceUnavailable),
    ],
)
def test_what_is_not_json_is_told_apart(server: Scripted, body: bytes, error: type[Exception]) -> None:
    server.answer = Reply(200, body)
    with pytest.raises(error) as caught:
        client(server).ask(Call("/x", {}, "AAPL"), len)
    assert type(caught.value) is error
    assert "Vendor: AAPL" in str(caught.value)


def test_nothing_at_an_address_may_be_an_answer(server: Scripted) -> None:
    server.inject("404")
    assert client(server).ask(Call("/x", {}, "X"), len, absent=lambda: -1) == -1


def test_the_key_is_escaped_in_the_address_and_hidden_in_what_is_quoted(server: Scripted) -> None:
    server.answer = Reply.text(f"Key {KEY} may not see /x?token=k3y%2FWith%2BSigns9")
    with pytest.raises(UnexpectedPayload) as caught:
        client(server, key=key()).ask(Call("/x", {}, "X"), len)
    assert server.asked[0].query == {"token": KEY}
    assert "Key *** may not see /x?token=***" in str(caught.value)
    assert caught.value.__cause__ is None


def test_nothing_listens(server: Scripted) -> None:
    gone = HttpClient("Vendor", "vendor", "http://127.0.0.1:9", SourceContext(), key=key())
    with pytest.raises(SourceUnavailable, match="no answer") as caught:
        gone.ask(Call("/x", {}, "X"), len)
    assert KEY not in repr(caught.value)
    assert "k3y%2FWith" not in repr(caught.value)
    assert caught.value.__context__ is None


def test_keys_are_masked_in_the_log_of_urllib3(caplog: pytest.LogCaptureFixture) -> None:
    keep_out_of_logs({"s3cret"})
    with everything_logged(caplog):
        logging.getLogger("urllib3.connectionpool").debug('%s "GET %s"', "host", "/x?token=s3cret")
        logging.getLogger("urllib3.connectionpool").debug("nothing to hide")
    assert "/x?token=***" in caplog.text
    assert "s3cret" not in caplog.text
    assert "nothing to hide" in caplog.text


@given(st.lists(st.text("ab", min_size=1, max_size=4), max_size=4), st.text("abc", max_size=30))
def test_no_secret_survives_redaction(secrets: list[str], text: str) -> None:
    """Also where one secret is part of another, or begins where another ends."""
    shown = redacted(text, secrets)
    assert all(value not in shown for value in secrets)
    assert redacted(shown, secrets) == shown


@pytest.mark.parametrize(("header", "seconds"), [("7", 7.0), (" 30 ", 30.0), ("", None), ("soon", None), ("-1", None)])
def test_retry_after_in_seconds(header: str, seconds: float | None) -> None:
    assert retry_after(header) == seconds


def test_retry_after_as_a_date() -> None:
    later = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=90)
    assert 80 < (retry_after(later.strftime("%a, %d %b %Y %H:%M:%S GMT")) or 0) <= 90
    assert retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0.0
    assert retry_after("Wed, 21 Oct 2015 07:28:00") == 0.0
