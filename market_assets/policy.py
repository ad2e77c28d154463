"""What holds for every asset alike: owners, and which errors are worth another try. One place for all assets."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from market_assets.errors import RateLimited, TerminalError, TransientError

if TYPE_CHECKING:
    from dagster import AssetExecutionContext, BackfillPolicy

OWNERS = ["team:market-data"]

MAX_RETRIES = 3
FIRST_WAIT_SECONDS = 2.0


def ingest_backfills(sessions_per_run: int | None) -> BackfillPolicy:
    """How a backfill of vendor bars is cut into runs, which workers on other machines may take.

    Only ingestion is cut: a session's bars depend on nothing. Indicators and index levels continue from the session
    before, so theirs is always one run.
    """
    from dagster import BackfillPolicy

    if sessions_per_run is None:
        return BackfillPolicy.single_run()
    return BackfillPolicy.multi_run(sessions_per_run)


@contextmanager
def classified_errors(context: AssetExecutionContext) -> Iterator[None]:
    """Turn the house's errors into Dagster's: a TransientError retries the step, a TerminalError fails it at once.

    Anything else is a defect and fails the step with its traceback.
    """
    from dagster import Failure, RetryRequested

    try:
        yield
    except TransientError as error:
        wait = FIRST_WAIT_SECONDS * 2**context.retry_number
        if isinstance(error, RateLimited) and error.retry_after is not None:
            wait = max(wait, error.retry_after)
        context.log.warning(f"{type(error).__name__}: {error}")
        raise RetryRequested(max_retries=MAX_RETRIES, seconds_to_wait=wait) from error
    except TerminalError as error:
        raise Failure(description=str(error), metadata={"error": type(error).__name__}, allow_retries=False) from error
