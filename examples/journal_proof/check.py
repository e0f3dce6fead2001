"""Whether a proof that `tailrace journal prove` printed leads to a head that you kept. Needs Python alone.

python check.py proof.json head.json     (or the head's root: 64 hexadecimal digits)
"""

import json
import sys
from base64 import b64decode
from hashlib import sha256
from pathlib import Path
from typing import Any


def leaf(change: dict[str, Any]) -> bytes:
    """SHA-256 of 0x00, the form, and every field behind its length; of one that is absent, 2³² − 1."""
    version = change["version"]
    fields = [change["shard"].encode(), b64decode(change["key"])]
    fields.append(int(version[:10]).to_bytes(4, "big") + int(version[10:]).to_bytes(24, "big"))
    fields += [change["created_us"].to_bytes(8, "big", signed=True), change["event"].encode()]
    fields += [None if change[image] is None else b64decode(change[image]) for image in ("old", "new")]
    fields += [None if change[name] is None else change[name].encode() for name in ("origin", "ancestry")]
    sized = (b"\xff" * 4 if field is None else len(field).to_bytes(4, "big") + field for field in fields)
    return sha256(b"\x00tailrace.change.1\x00" + b"".join(sized)).digest()


def climb(node: bytes, index: int, size: int, path: list[str]) -> bytes:
    """The root that a path leads to, as RFC 9162 has it."""
    last = size - 1
    for step in map(bytes.fromhex, path):
        if index & 1 or index == last:
            node = sha256(b"\x01" + step + node).digest()
            while not index & 1 and index:
                index, last = index >> 1, last >> 1
        else:
            node = sha256(b"\x01" + node + step).digest()
        index, last = index >> 1, last >> 1
    return node if last == 0 else b""


def main(proof: dict[str, Any], head: dict[str, Any]) -> int:
    """Print what was proved, or that nothing was. A root alone does not say which journal it is of."""
    tree = proof["tree"]
    reached = climb(leaf(proof["change"]), proof["index"], tree["size"], proof["path"]).hex()
    names = [tree["stream"].encode(), tree["shard"].encode()]
    shard = b"".join(len(name).to_bytes(4, "big") + name for name in names) + tree["size"].to_bytes(8, "big")
    shard = sha256(b"\x00tailrace.shard.1\x00" + shard + bytes.fromhex(tree["root"])).digest()
    root = climb(shard, proof["shard_index"], proof["shards"], proof["shard_path"]).hex()
    journal = head.get("journal", "the journal of this root")
    is_its = proof["form"] == "tailrace.proof.1" and head.get("journal", proof["journal"]) == proof["journal"]
    proved = is_its and reached == tree["root"] and root == head["root"]
    print("proved" if proved else "NOT proved", "that", journal, "has", proof["change"]["event"])
    return 0 if proved else 1


if __name__ == "__main__":
    given = sys.argv[2]
    kept = json.loads(Path(given).read_bytes()) if given.endswith(".json") else {"root": given}
    sys.exit(main(json.loads(Path(sys.argv[1]).read_bytes()), kept))
