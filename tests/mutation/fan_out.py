"""Mutants of enhanced fan-out: who has a shard, what is told, how it ends, and the transport below.

Rules of this file: as in mutants.py.
"""

from typing import Final

from tests.mutation.mutant import Mutant

TOLD: Final = "unit/api/test_subscribe_to_shard.py"
CORE: Final = "unit/streams/kinesis/test_subscriptions.py"
TREES: Final = "properties/test_fan_out.py"
HTTP2: Final = "unit/server/test_http2.py"
CHUNKS: Final = "unit/server/test_streaming.py"

FAN_OUT: Final = (
    Mutant(
        "taken-over-too-early", "streams/kinesis/subscriptions.py",
        "now_ms - since_ms >= UNDISTURBED_MS", "now_ms - since_ms >= UNDISTURBED_MS - 1",
        "two workers of a consumer take a shard from each other in the first five seconds",
        (CORE, TOLD),
    ),
    Mutant(
        "a-heart-beat-too-late", "streams/kinesis/subscriptions.py",
        "return now_ms - self.told_ms >= HEARTBEAT_MS", "return now_ms - self.told_ms > HEARTBEAT_MS",
        "clients with a short time-out are cut off in silence",
        (CORE, TOLD),
    ),
    Mutant(
        "a-continuation-behind-its-event", "streams/kinesis/subscriptions.py",
        "page.records[-1].sequence_number if page.records", "page.records[0].sequence_number if page.records",
        "a consumer that subscribes again reads records twice",
        (CORE, TREES),
    ),
    Mutant(
        "an-end-with-a-continuation", "api/kinesis/subscription_events.py",
        "None if page.closed else continuation", "continuation",
        "consumers never know that a shard has ended, and never read its children",
        (TOLD,),
    ),
    Mutant(
        "the-older-one-goes-on", "engine/kinesis/fan_out.py",
        "            self._holds[key].lose()\n", "            pass\n",
        "two clients of one consumer are told the same records",
        (TOLD,),
    ),
    Mutant(
        "a-lost-shard-ends-like-a-whole-one", "api/kinesis/subscribe_to_shard.py",
        "            raise StreamReset\n", "            return False\n",
        "a client that does not read takes the loss of its shard for the end of five minutes",
        (TOLD,),
    ),
    Mutant(
        "a-wake-up-is-lost", "api/kinesis/subscribe_to_shard.py",
        "fan_out.on_commit(self._shard.number, self._woken.set)",
        "fan_out.on_commit(-1, self._woken.set)",
        "records are told with the next heart-beat only",
        (TOLD,),
    ),
    Mutant(
        "a-listener-stays", "api/kinesis/subscribe_to_shard.py",
        "            stop_listening()\n", "            pass\n",
        "every client that goes leaves a listener behind",
        (TOLD,),
    ),
    Mutant(
        "a-broken-answer-has-an-end", "server/streaming.py",
        "    except StreamReset:\n        return False", "    except StreamReset:\n        return True",
        "what is broken off looks whole",
        (CHUNKS, HTTP2),
    ),
    Mutant(
        "written-to-a-client-that-reads-nothing", "server/http2.py",
        "        while self._ready and not self._is_paused:\n", "        while self._ready:\n",
        "what is told to a client that does not read fills the memory",
        (HTTP2,),
    ),
    Mutant(
        "answers-without-a-bound", "server/http2.py",
        "self._waiting_bytes <= self._server.settings.answer_bytes", "self._waiting_bytes >= 0",
        "a client that asks and does not read fills the memory",
        (HTTP2,),
    ),
    Mutant(
        "bodies-without-a-bound", "server/http2.py",
        "        elif not stream.hold(len(stream.body)):\n", "        elif not stream.hold(0):\n",
        "bodies that never end fill the memory",
        (HTTP2,),
    ),
)  # fmt: skip
