from tests.bench import churn


def test_containers_that_come_and_go_leave_nothing_behind() -> None:
    grown = churn.measure(gatherings=3000, warm_up=1000)
    assert grown["memory_growth_mib"] <= 2
    assert grown["descriptor_growth"] <= 0  # what earlier tests left may go meanwhile
