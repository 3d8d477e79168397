"""What `vdbmon place --json` prints is what docs/placement.schema.json says, whatever came of it."""

import json

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.decision.decide import decide
from orchestrator.host.limits import DeviceLimits, Limits
from orchestrator.launch import Launched
from orchestrator.ledger import LaunchRecord
from orchestrator.placement.outcomes import Placement, placement_json
from tests.support.decisions import request
from tests.support.schemas import schema
from tests.support.snapshots import snapshots

SCHEMA = schema("placement")

outcomes = st.fixed_dictionaries(
    {
        "exit_code": st.none() | st.integers(0, 255),
        "message": st.text(),
        "record": st.none() | st.dictionaries(st.text(), st.integers()),
    }
)
amounts = st.none() | st.integers(0, 2**50)
limits = st.builds(
    Limits,
    cpu=amounts,
    memory=amounts,
    pids=amounts,
    devices=st.dictionaries(st.sampled_from(["254:0", "/dev/sda"]), st.builds(DeviceLimits, *[amounts] * 4)),
    processors=st.none() | st.frozensets(st.integers(0, 100)),
    swap=amounts,
)
placements = st.builds(
    Placement,
    decision=st.builds(decide, snapshots, st.just(request())),
    launched=st.none() | st.builds(Launched, limits=st.none() | limits),
    ended=st.none() | st.builds(LaunchRecord, spec=st.just({"image": "x"}), outcome=st.none() | outcomes),
    error=st.none() | st.text(),
)


@given(placements)
def test_any_outcome_is_printed_as_the_schema_says(placement: Placement) -> None:
    document = json.loads(placement_json(placement))
    SCHEMA.validate(document)
    if placement.launched is not None:
        assert document["launched"]["volume_sized"] is placement.launched.volume_sized
