"""Bring the indicator columns of the dbt project in step with the registry: run after adding an indicator.

The SQL and YAML of stg_analytics__indicator and fct_indicator list one column for each registered output. The lists
stand between markers, `<indicators>` and `<bounds>`; only what is between them is rewritten. tests/dbt fails when a
file is behind the registry. The table analytics.indicator itself is brought in step by the migration.

    python dbt/write_indicator_columns.py
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from market_assets.domain.indicators import Output, outputs

MODELS = Path(__file__).parent / "models"


def rendered() -> dict[Path, str]:
    """Each file that lists indicator columns, with the text it should have."""
    every, published = outputs(), [output for output in outputs() if not output.state]
    staging, marts = MODELS / "staging", MODELS / "marts"
    return {
        staging / "stg_analytics__indicator.sql": _filled(
            staging / "stg_analytics__indicator.sql", "indicators", [f"{output.name}," for output in every]
        ),
        staging / "_staging.yml": _filled(
            staging / "_staging.yml", "indicators", [line for output in every for line in _column(output)]
        ),
        marts / "fct_indicator.sql": _filled(
            marts / "fct_indicator.sql", "indicators", [f"indicator.{output.name}," for output in published]
        ),
        marts / "_marts.yml": _filled_text(
            _filled(marts / "_marts.yml", "indicators", [line for output in published for line in _column(output)]),
            "bounds",
            _bounds_test(published),
            marts / "_marts.yml",
        ),
    }


def _column(output: Output) -> list[str]:
    return [
        f"- name: {output.name}",
        "  data_type: double precision",
        f"  description: {json.dumps(output.description)}",
        "  config:",
        "    meta:",
        f"      unit: {output.unit}",
    ]


def _bounds_test(published: list[Output]) -> list[str]:
    bounds = [
        f"      {output.name}: {json.dumps(list(output.bounds))}"
        for output in published
        if output.bounds != (None, None)
    ]
    return [
        "- within_bounds:",
        "    name: indicators_are_within_their_bounds",
        "    arguments:",
        "      bounds:",
        *(f"  {line}" for line in bounds),
    ]


def _filled(path: Path, marker: str, lines: list[str]) -> str:
    return _filled_text(path.read_text(encoding="utf-8"), marker, lines, path)


def _filled_text(text: str, marker: str, lines: list[str], path: Path) -> str:
    block = re.compile(
        rf"^(?P<indent> *)(?P<open>\S+ <{marker}>[^\n]*\n).*?(?=^ *\S+ </{marker}>)", re.DOTALL | re.MULTILINE
    )
    found = block.search(text)
    if found is None:
        raise ValueError(f"{path}: no block <{marker}> ... </{marker}>")
    body = "".join(f"{found['indent']}{line}\n" for line in lines)
    return f"{text[: found.start()]}{found['indent']}{found['open']}{body}{text[found.end() :]}"


def main() -> None:
    """Rewrite the files."""
    for path, text in rendered().items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
