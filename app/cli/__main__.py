"""`python -m app.cli`: the same as the installed `smmos`."""

from __future__ import annotations

from app.cli.main import main

if __name__ == "__main__":
    main()
