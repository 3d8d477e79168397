"""Addresses of pools: never the same twice, never a reserved one, and rest before they are used again."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.decision.addresses import Holding, choose, giveable, pool_faults, use_of
from orchestrator.decision.decide import decide
from orchestrator.decision.filters import open_case
from orchestrator.decision.request import Wishes
from orchestrator.decision.resources import ResourceClass
from orchestrator.settings import AddressRange, HostSettings, Inventory, PoolSettings, parse_address_range
from tests.support.placing import host, request, snapshot

NET = IPv4Network("10.20.0.0/28")
GATEWAY = IPv4Address("10.20.0.1")
POOL = PoolSettings(name="net", range=NET, gateway=GATEWAY, quarantine=60.0)


def ip(last: int) -> IPv4Address:
    return IPv4Address(f"10.20.0.{last}")


def excluded(*texts: str) -> tuple[AddressRange, ...]:
    return tuple(map(parse_address_range, texts))


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("10.20.0.5", "10.20.0.5", "10.20.0.5"),
        ("10.20.0.5 - 10.20.0.9", "10.20.0.5", "10.20.0.9"),
        ("10.20.0.64/28", "10.20.0.64", "10.20.0.79"),
    ],
)
def test_exclusions_are_addresses_ranges_or_networks(text: str, first: str, last: str) -> None:
    assert parse_address_range(text) == AddressRange(IPv4Address(first), IPv4Address(last))


@pytest.mark.parametrize("text", ["", "10.20.0.9-10.20.0.5", "10.20.0", "10.20.0.5/28", "::1"])
def test_other_exclusions_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_address_range(text)


def test_the_lowest_free_address_comes_first() -> None:
    assert choose(POOL, [], now=0.0) == ip(2)
    assert choose(POOL, [Holding(address=ip(2)), Holding(address=ip(3))], now=0.0) == ip(4)


def test_fresh_addresses_go_before_those_that_were_used_and_the_longest_rested_before_others() -> None:
    pool = replace(POOL, range=IPv4Network("10.20.0.0/29"))
    rested = [Holding(address=ip(2), released_at=5.0), Holding(address=ip(3), released_at=1.0)]
    held = [Holding(address=ip(4)), Holding(address=ip(5))]
    assert choose(pool, [*rested, *held], now=1000.0) == ip(6)
    full = [*rested, *held, Holding(address=ip(6))]
    assert choose(pool, full, now=1000.0) == ip(3)
    assert choose(pool, full, now=61.0) == ip(3), "the quarantine of the other one isn't over"
    assert choose(pool, full, now=60.5) is None


def test_a_full_pool_says_how_it_is_full() -> None:
    pool = replace(POOL, range=IPv4Network("10.20.0.0/30"))
    use = use_of(pool, [Holding(address=ip(2), released_at=50.0)], now=60.0)
    assert (use.total, use.held, use.resting, use.free) == (1, 0, 1, 0)
    assert use.full_text == (
        "address pool net (10.20.0.0/30) is full: 0 of 1 are held, 1 rest 60 s after their last use"
    )


def test_an_address_that_the_pool_has_no_more_neither_counts_nor_comes_back() -> None:
    foreign = Holding(address=IPv4Address("10.99.0.1"), released_at=0.0)
    assert use_of(POOL, [foreign], now=1e6).free == use_of(POOL, [], now=1e6).free == 13
    held = [Holding(address=ip(last)) for last in range(2, 15)]
    assert choose(POOL, [*held, foreign], now=1e6) is None


blocks = st.builds(lambda a, b: AddressRange(ip(min(a, b)), ip(max(a, b))), st.integers(0, 15), st.integers(0, 15))
pools = st.builds(
    PoolSettings,
    name=st.just("net"),
    range=st.just(NET),
    gateway=st.integers(1, 14).map(ip),
    exclude=st.lists(blocks, max_size=4).map(tuple),
    quarantine=st.sampled_from([0.0, 10.0]),
)


def test_an_exclusion_that_ends_at_the_broadcast_address_takes_nothing_else() -> None:
    pool = replace(POOL, exclude=(AddressRange(ip(14), ip(15)),))
    assert use_of(pool, [], now=0.0).total == use_of(POOL, [], now=0.0).total - 1
    assert use_of(replace(POOL, exclude=(AddressRange(ip(15), ip(15)),)), [], now=0.0).total == 13


@given(pools)
def test_what_can_be_given_away_is_all_but_what_is_reserved(pool: PoolSettings) -> None:
    reserved = {pool.range[0], pool.range[-1], pool.gateway}
    barred = {ip(n) for block in pool.exclude for n in range(int(block.first) & 255, (int(block.last) & 255) + 1)}
    given_away = [IPv4Address(n) for block in giveable(pool) for n in range(int(block.first), int(block.last) + 1)]
    assert given_away == [address for address in pool.range if address not in reserved | barred]


@given(pools, st.lists(st.tuples(st.sampled_from(["take", "give back", "wait"]), st.integers(0, 20)), max_size=60))
def test_never_the_same_twice_never_a_reserved_one_and_never_before_it_has_rested(
    pool: PoolSettings, acts: list[tuple[str, int]]
) -> None:
    now, holdings = 0.0, dict[IPv4Address, Holding]()
    total = use_of(pool, [], now=now).total
    for act, number in acts:
        if act == "wait":
            now += number
        elif act == "give back":
            held = sorted(address for address, item in holdings.items() if item.released_at is None)
            if held:
                address = held[number % len(held)]
                holdings[address] = Holding(address=address, released_at=now)
        else:
            chosen = choose(pool, holdings.values(), now=now)
            use = use_of(pool, holdings.values(), now=now)
            assert (chosen is None) == (use.free == 0)
            if chosen is None:
                continue
            assert any(block.first <= chosen <= block.last for block in giveable(pool))
            before = holdings.get(chosen)
            if before is not None:
                assert before.released_at is not None, "it is held"
                assert now - before.released_at >= pool.quarantine
            holdings[chosen] = Holding(address=chosen)
        use = use_of(pool, holdings.values(), now=now)
        assert use.held + use.resting + use.free == total


def faults(*pools: PoolSettings, of_host: tuple[str, ...] = ()) -> list[str]:
    inventory = Inventory(cpus=1, memory=1, disk=1, read_bps=1, write_bps=1)
    return list(pool_faults(pools, [HostSettings(name="db1", inventory=inventory, pools=of_host)]))


def test_pools_that_can_not_work_are_told() -> None:
    assert faults(POOL, of_host=("net",)) == []
    assert faults(replace(POOL, gateway=IPv4Address("10.21.0.1"))) == [
        "pools net: gateway 10.21.0.1 is no host's address in 10.20.0.0/28"
    ]
    assert faults(replace(POOL, gateway=ip(15)))[0].startswith("pools net: gateway 10.20.0.15 is no host's")
    assert faults(replace(POOL, exclude=excluded("10.20.0.0/28"))) == [
        "pools net: 10.20.0.0/28 has no address to give away"
    ]
    other = replace(POOL, name="other", range=IPv4Network("10.20.0.0/24"))
    assert faults(POOL, other) == ["pools net and other overlap: 10.20.0.0/28, 10.20.0.0/24"]
    assert faults(POOL, of_host=("gone",)) == ["hosts db1: no pool 'gone'; known: net"]
    assert faults(of_host=("gone",)) == ["hosts db1: no pool 'gone'; describe it in [[pools]]"]


def test_a_full_pool_refuses_every_host_and_says_so() -> None:
    held = tuple(Holding(address=ip(last)) for last in range(2, 15))
    hosts = [host("db1", pools=frozenset({"net"})), host("db2", pools=frozenset({"net"}))]
    taken = snapshot(*hosts, pools={"net": use_of(POOL, held, now=0.0)})
    wanted = replace(request("b1", {ResourceClass.SLOTS: 1}), wishes=Wishes(pool="net"))
    decision = decide(taken, wanted)
    assert decision.host is None
    assert decision.codes("db1") == decision.codes("db2") == {"pool.full"}
    (reason,) = open_case(taken, wanted).common
    assert reason.sentence == "address pool net (10.20.0.0/28) is full: 13 of 13 are held"
    assert decide(replace(taken, pools={"net": use_of(POOL, held[1:], now=0.0)}), wanted).accepted
