"""A batch that fails leaves nothing, so that storing its events one by one stores none twice."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import psycopg
import pytest
import sqlalchemy as db
from dagster._core.events import DagsterEventBatchMetadata
from event_builders import contents, materialized, planned, rows, store_in_turn
from lossy_proxy import proxy_that_drops_answers_to_commit

from market_assets.instance.event_log import BatchedPostgresEventLogStorage


def refuse_statements_of_more_than_one_row(url: str, table: str) -> None:
    """Make the server fail batches and accept single events."""
    with psycopg.connect(url) as connection:
        connection.execute(
            """
            create function refuse_many() returns trigger language plpgsql as $$
            begin
                if (select count(*) from added) > 1 then raise 'too many rows at once'; end if;
                return null;
            end $$
            """
        )
        connection.execute(
            psycopg.sql.SQL(
                "create trigger refuse_many after insert on {} referencing new table as added "
                "for each statement execute function refuse_many()"
            ).format(psycopg.sql.Identifier(table))
        )


@pytest.mark.parametrize("table", ["event_logs", "asset_event_tags"])
def test_refused_batch_leaves_nothing(table: str, batched: BatchedPostgresEventLogStorage, dagster_url: str) -> None:
    refuse_statements_of_more_than_one_row(dagster_url, table)
    tag = {"dagster/data_version": "v1"}
    with pytest.raises(db.exc.DBAPIError, match="too many rows at once"):
        batched.store_event_batch([materialized("a", "p1", tag), materialized("a", "p2", tag)])
    assert not any(contents(dagster_url).values())


@pytest.mark.parametrize("table", ["event_logs", "asset_event_tags"])
def test_instance_stores_a_refused_batch_one_by_one_and_none_twice(
    table: str, instance: dg.DagsterInstance, dagster_url: str, stock_url: str
) -> None:
    refuse_statements_of_more_than_one_row(dagster_url, table)
    events = [materialized("a", f"p{number}", {"dagster/data_version": "v1"}) for number in range(4)]
    for event in events:
        instance.handle_new_event(event, batch_metadata=DagsterEventBatchMetadata("batch", event is events[-1]))
    store_in_turn(stock_url, events)
    ours, stock = contents(dagster_url), contents(stock_url)
    # The refused batch used up ids, so the rows are compared by their order.
    for tables in (ours, stock):
        numbers = {row.pop("id"): number for number, row in enumerate(tables["event_logs"])}
        for tag in tables["asset_event_tags"]:
            tag["event_id"] = numbers[tag["event_id"]]
            del tag["id"]
        for asset in tables["asset_keys"]:
            del asset["last_materialization"]  # holds the id
    assert ours == stock


def test_batch_whose_commit_was_not_confirmed_is_not_stored_again(
    dagster_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    address, folder = dagster_url.split("?host=")
    with proxy_that_drops_answers_to_commit(Path(folder), tmp_path) as proxy:
        storage = BatchedPostgresEventLogStorage(f"{address}?host={proxy}", should_autocreate_tables=False)
        storage.store_event_batch([planned("a", "p1"), planned("a", "p2")])
        storage.dispose()
    assert [row["partition"] for row in rows(dagster_url, "event_logs")] == ["p1", "p2"]
    assert "after a batch of 2 events was committed" in caplog.text
