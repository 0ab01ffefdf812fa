"""What a process has loaded by its start is not looked through for garbage again and again."""

from __future__ import annotations

import gc


def spare_what_is_loaded() -> None:
    """For a process that is about to serve for long: modules, routes and models stay until its end.

    Going through all of them takes a tenth of a second, in which nothing else is done, each time
    that the collector takes its longest look.
    """
    gc.collect()
    gc.freeze()
