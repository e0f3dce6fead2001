"""A checkpoint races with the renewal of its own lease (amazon-kinesis-client #537).

In the wild: one counter served two purposes. Every renewal raised it, and a checkpoint was saved only if it
still had the value that the worker had read before. When both met, the worker lost the race against itself,
believed that another one had its lease, and began again at the last checkpoint.

Here: that the owner lives is said by a row of its own, one for all its leases; the *epoch* changes only when
a lease is taken, and a checkpoint asks for the epoch alone.
"""

from dataclasses import dataclass

from tailrace.leases.lease import finish, take
from tests.museum.stage import RIGHT, Stage


@dataclass
class Row:
    """A lease, durably."""

    counter: int = 0
    checkpoint: int = 0


class OneCounter:
    """The mistake: a checkpoint is saved only when the counter has not moved, and renewals move it."""

    def __init__(self, row: Row, log: list[str]) -> None:
        self.row, self.log = row, log
        self.delivered: list[str] = []

    def work(self, *, is_renewed: bool) -> None:
        """Deliver what is new, and save that."""
        counter = self.row.counter
        self.delivered += self.log[self.row.checkpoint :]
        if is_renewed:  # by the same worker's renewing thread, while the records were delivered
            self.row.counter += 1
        if self.row.counter == counter:
            self.row.checkpoint = len(self.log)


def test_the_model_repeats_everything_after_a_renewal() -> None:
    worker = OneCounter(Row(), ["a1", "b1"])
    worker.work(is_renewed=True)
    worker.work(is_renewed=False)
    assert worker.delivered == ["a1", "b1", "a1", "b1"]


def test_ours_saves_its_checkpoint_although_the_lease_was_renewed() -> None:
    with Stage() as stage:
        stage.takes_s = 1_500.0  # the worker's heartbeat moves every ten minutes
        stage.put("a", "b")
        assert stage.judge_ours() == RIGHT
        stage.world.restart()
        assert stage.judge_ours() == RIGHT  # nothing is repeated: the checkpoints were saved


def test_a_change_of_its_own_leaves_the_epoch_of_a_lease_and_a_take_raises_it() -> None:
    lease, write = take("lease/app/label/shard", None, "one")
    changed, _ = finish(lease, ["mail"])
    assert (changed.epoch, changed.counter) == (lease.epoch, lease.counter + 1)
    taken, _ = take("lease/app/label/shard", write.fields, "two")
    assert taken.epoch > lease.epoch
