"""Each transport alone: what it sends, what it refuses to repeat, and what it never shows."""

from __future__ import annotations

import json
import logging
import threading
from pathlib import Path

import pytest
from lineage_receiver import Fault, Receiver

from lineage.config import TransportConfig
from lineage.errors import TerminalDeliveryError, TransientDeliveryError
from lineage.transports import ConsoleTransport, FileTransport, HttpTransport, open_transport

ONE, TWO, THREE = ('{"a": 1}', '{"a": 2}', '{"a": 3}')


def test_the_configuration_chooses_the_transport(tmp_path: Path) -> None:
    assert open_transport(TransportConfig()) is None
    assert isinstance(open_transport(TransportConfig(kind="file", path=tmp_path / "x")), FileTransport)
    assert isinstance(open_transport(TransportConfig(kind="http", url="http://h")), HttpTransport)
    assert isinstance(open_transport(TransportConfig(kind="console")), ConsoleTransport)


class TestFile:
    def test_events_are_lines(self, tmp_path: Path) -> None:
        path = tmp_path / "deep" / "events.jsonl"
        transport = FileTransport(path)
        transport.send([ONE, TWO])
        transport.send([THREE])
        transport.close()
        assert path.read_text() == f"{ONE}\n{TWO}\n{THREE}\n"

    def test_a_torn_last_line_is_cut_off_and_written_again(self, tmp_path: Path) -> None:
        path = tmp_path / "events.jsonl"
        path.write_text(f"{ONE}\n{TWO[:4]}")
        FileTransport(path).send([ONE, TWO])
        assert path.read_text() == f"{ONE}\n{TWO}\n"

    def test_a_file_that_holds_only_a_torn_line(self, tmp_path: Path) -> None:
        path = tmp_path / "events.jsonl"
        path.write_text(ONE[:3])
        FileTransport(path).send([ONE])
        assert path.read_text() == f"{ONE}\n"

    def test_the_whole_last_batch_is_recognised_however_long_its_lines(self, tmp_path: Path) -> None:
        path = tmp_path / "events.jsonl"
        batch = [json.dumps({"n": number, "text": "x" * 5_000}) for number in range(FileTransport.batch)]
        FileTransport(path).send(["{}", *batch])
        FileTransport(path).send(batch)
        assert len(path.read_text().splitlines()) == FileTransport.batch + 1

    def test_processes_that_share_a_file_do_not_mix_their_lines(self, tmp_path: Path) -> None:
        path = tmp_path / "events.jsonl"

        def write(name: str) -> None:
            transport = FileTransport(path)
            for number in range(20):
                transport.send([json.dumps({name: number, "text": "x" * 10_000})])

        threads = [threading.Thread(target=write, args=(name,)) for name in "abc"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        assert len(lines) == 60

    def test_a_file_that_cannot_be_written_is_worth_another_try(self, tmp_path: Path) -> None:
        blocked = tmp_path / "events.jsonl"
        blocked.mkdir()
        transport = FileTransport(blocked)
        with pytest.raises(TransientDeliveryError, match=r"cannot write .*events.jsonl: Is a directory"):
            transport.send([ONE])
        blocked.rmdir()
        transport.send([ONE])
        assert blocked.read_text() == f"{ONE}\n"


class TestHttp:
    def test_the_endpoint_and_the_key(self, receiver: Receiver) -> None:
        config = TransportConfig(kind="http", url=f"{receiver.url}/", endpoint="/api/v1/lineage", api_key="s3cret")
        transport = HttpTransport(config)
        transport.send([ONE])
        transport.close()
        ((path, headers, body),) = receiver.requests
        assert (path, body) == ("/api/v1/lineage", ONE)
        assert headers["Authorization"] == "Bearer s3cret"
        assert headers["Content-Type"] == "application/json"

    def test_the_key_is_in_no_error_no_repr_and_no_log(
        self, receiver: Receiver, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        config = TransportConfig(kind="http", url=receiver.url, api_key="s3cret")
        receiver.faults.append(Fault(status=401))
        with pytest.raises(TransientDeliveryError) as caught:
            HttpTransport(config).send([ONE])
        assert "check the API key" in str(caught.value)
        for text in (repr(config), str(caught.value), repr(caught.value.__cause__), caplog.text):
            assert "s3cret" not in text

    @pytest.mark.parametrize("status", [400, 409, 413, 422])
    def test_a_refusal_of_the_event_is_terminal_and_quotes_the_answer(self, receiver: Receiver, status: int) -> None:
        receiver.faults.append(Fault(status=status, body="bad " * 200))
        with pytest.raises(TerminalDeliveryError, match=f"answered {status}: bad bad") as caught:
            HttpTransport(TransportConfig(kind="http", url=receiver.url)).send([ONE])
        assert len(str(caught.value)) < 400

    def test_a_redirect_is_not_followed(self, receiver: Receiver) -> None:
        receiver.faults.append(Fault(status=301, headers={"Location": f"{receiver.url}/elsewhere"}))
        with pytest.raises(TransientDeliveryError, match="redirects; configure the final address"):
            HttpTransport(TransportConfig(kind="http", url=receiver.url)).send([ONE])
        assert len(receiver.requests) == 1


def test_console_prints_one_event_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    transport = ConsoleTransport()
    transport.send([ONE, TWO])
    transport.close()
    assert capsys.readouterr().out == f"{ONE}\n{TWO}\n"
