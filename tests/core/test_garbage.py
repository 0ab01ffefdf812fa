"""The collector passes over what a process has loaded by its start."""

import gc

from app.core.garbage import spare_what_is_loaded


def test_what_is_loaded_is_spared_and_garbage_made_before_is_not() -> None:
    class Node:
        """A cycle of one."""

        alive = 0

        def __init__(self) -> None:
            self.itself = self
            Node.alive += 1

        def __del__(self) -> None:
            Node.alive -= 1

    kept = Node()
    Node()
    try:
        spare_what_is_loaded()
        assert Node.alive == 1
        assert gc.get_freeze_count() > 0
        assert all(kept is not one for one in gc.get_objects())
    finally:
        gc.unfreeze()
