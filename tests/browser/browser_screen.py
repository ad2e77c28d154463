"""The browser as a user has it, and what there is to see when a test begins."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Page

MISSING_SESSION = "2013-03-01"
"""The last session of the sample: the one the browser materializes."""
LOADED_THROUGH = "2013-02-28"


@dataclass
class Screen:
    """The browser as a user has it: a page, where Dagster is, and a camera.

    Attributes:
        page: the only tab.
        address: of Dagster, without a slash at the end.
        pictures: folder of the pictures.
    """

    page: Page
    address: str
    pictures: Path

    def open(self, path: str) -> Page:
        """Go to a page of Dagster."""
        self.page.goto(self.address + path)
        return self.page

    def keep(self, name: str) -> None:
        """Save what is seen as `name`.png."""
        self.page.wait_for_timeout(700)  # transitions of the UI
        self.page.screenshot(path=self.pictures / f"{name}.png", animations="disabled")
