"""Mutants of the builds of projections that several workers keep.

Rules of this file: as in mutants.py; one for each condition, so that none stands there without a
test that misses it.
"""

from typing import Final

from tests.mutation.mutant import Mutant

SEVERAL: Final = "contracts/test_several_builders.py"
CHANCE: Final = "contracts/test_builders_by_chance.py"
KNOWN: Final = "unit/projections/test_known.py"

BUILDS: Final = (
    Mutant(
        "builds-without-one-line", "projections/core/known.py",
        'condition = Equals("revision", known.revision) if known.revision else Absent()',
        'condition = Equals("v", VERSION) if known.revision else Absent()',
        "two workers that begin, serve or remove builds at once undo each other's",
        (KNOWN, SEVERAL),
    ),
    Mutant(
        "claim-of-what-has-moved", "projections/core/known.py",
        "Write(key, build_fields(taken), build.unchanged)", "Write(key, build_fields(taken))",
        "a filling that was finished since it was looked at is begun again",
        (KNOWN, SEVERAL),
    ),
    Mutant(
        "page-saved-without-the-claim", "projections/core/known.py",
        "build_fields(build), before.unchanged)", "build_fields(build))",
        "a worker that has lost its claim sets back the filling of the one that goes on, or brings "
        "back a build that is gone",
        (KNOWN, SEVERAL),
    ),
    Mutant(
        "claims-of-builds-that-never-run-out", "projections/core/known.py",
        "return not seen.has_expired(monotonic_ms, build.claim_ms or CLAIM_MS)", "return True",
        "a build whose worker died is never filled",
        (KNOWN, SEVERAL),
    ),
    Mutant(
        "claims-that-are-not-looked-at", "projections/run/builds.py",
        "        if self.is_taken(build):\n            return None\n", "",
        "two workers fill one build in turns, each losing its pages to the other",
        (SEVERAL,),
    ),
    Mutant(
        "claims-that-nobody-renews", "projections/run/projector.py",
        "renewing = asyncio.ensure_future(claim.renew())",
        "renewing = asyncio.ensure_future(asyncio.sleep(0))",
        "a page that takes longer than a claim lasts is lost to another worker, each time",
        (SEVERAL,),
    ),
    Mutant(
        "builds-that-are-believed-for-ever", "projections/run/builds.py",
        "if known is None or known.revision != read_revision(row):", "if known is None:",
        "a build that another worker has begun misses the changes of this one's shards",
        (SEVERAL,),
    ),
    Mutant(
        "second-build-for-one-wish", "projections/run/builds.py",
        "            if others:\n                return others[-1]\n", "",
        "two workers that rebuild at once fill the table's items in twice",
        (SEVERAL,),
    ),
    Mutant(
        "rows-without-a-build", "projections/run/state_store.py",
        "await self._state.transact([self._fence, *writes])", "await self._state.transact(writes)",
        "a slow worker leaves rows of a build that is gone, for ever",
        (SEVERAL,),
    ),
    Mutant(
        "save-that-takes-itself-for-another", "projections/run/builds.py",
        "if present is None or present.claim != before.claim:", "if True:",
        "a save of which no worker knew whether it was written costs the claim",
        (SEVERAL,),
    ),
    Mutant(
        "place-that-is-told-once", "projections/run/builds.py",
        "            await self.store(projection, shown).serve()\n",
        "            await self.store(projection, shown).serve()\n            return\n",
        "a slow worker lets a view show a build that is gone",
        (SEVERAL,),
    ),
    Mutant(
        "version-that-comes-back", "projections/run/builds.py",
        "return projection.mapping_id not in self._begun or all(", "return True or all(",
        "a worker of an older version and one of a newer remove each other's builds for ever",
        (CHANCE,),
    ),
    Mutant(
        "build-that-another-has-begun-is-removed", "projections/run/projector.py",
        "if build.number > served.number", "if build.number < 0",
        "a rebuild that another worker was asked for is forgotten",
        (SEVERAL,),
    ),
    Mutant(
        "build-that-another-fills-is-removed", "projections/run/projector.py",
        "if build.name not in needed and not self.builds.is_taken(build)", "if build.name not in needed",
        "a worker of the version before throws away what the next version has filled so far",
        (CHANCE,),
    ),
    Mutant(
        "build-that-nobody-goes-on-with", "projections/run/projector.py",
        "                    await self._look_after(projection)\n", "",
        "a build whose worker died is never filled by those that had nothing to do when it was begun",
        (CHANCE,),
    ),
    Mutant(
        "served-and-not-shown", "projections/run/projector.py",
        "        await self.builds.show(projection)\n        await self._remove_others",
        "        await self._remove_others",
        "a view shows a build that is gone, because the worker that let another be served died "
        "between the two",
        (CHANCE,),
    ),
    Mutant(
        "gap-that-each-worker-answers", "projections/run/projector.py",
        "if not current or not current[-1].is_filled:", "if not current:",
        "each worker builds anew what was lost, one after the other",
        (CHANCE,),
    ),
    Mutant(
        "gap-that-was-answered-meanwhile", "projections/run/projector.py",
        "if newest is None or not current or current[-1].name == newest:", "if True:",
        "each worker that saw a gap builds anew what was lost",
        (CHANCE,),
    ),
    Mutant(
        "gap-that-is-set-back", "projections/run/lacking.py",
        ', Equals("last", row.fields["last"]))])', ")])",
        "a gap that has grown is acknowledged as it was, and what it grew by is forgotten",
        (CHANCE,),
    ),
    Mutant(
        "name-of-a-build-that-is-still-there", "projections/core/known.py",
        "*(Build(self.projection, removed) for removed in self.removing)", "*()",
        "what is written late to a build that is gone ends up in one that has its name",
        (KNOWN,),
    ),
)  # fmt: skip
