"""Every scenario file, on Postfix and on Sendmail. scenarios/README.md says how to read and write them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import pytest
from tests.integration.scenario import MTAS, Scenario, load_all
from tests.integration.site import MURDER, PLAIN, Site, site
from tests.servers.common import poll

SCENARIOS = load_all()

# Scenarios of one site and one MTA follow each other, so that its servers start once and end early.
# Those of a plain site say the same of a Murder, whose frontend an MTA takes for any Cyrus.
RUNS = sorted(
    [(mta, it.site, it) for it in SCENARIOS for mta in it.mtas]
    + [("postfix", MURDER, it) for it in SCENARIOS if it.site == PLAIN and "postfix" in it.mtas],
    key=lambda run: (*run[:2], run[2].name),
)


@pytest.fixture(scope="module")
def site_of() -> Iterator[Callable[[str, str], Site]]:
    """The running site of a name behind an MTA. One at a time: the tests come in their order."""
    with contextlib.ExitStack() as stack:
        running: dict[tuple[str, str], Site] = {}

        def give(name: str, mta: str) -> Site:
            if (name, mta) not in running:
                stack.close()
                running.clear()
                inhabitants = {it.name: it for _, site_name, it in RUNS if site_name == name}
                running[name, mta] = stack.enter_context(site(name, mta, inhabitants.values()))
            return running[name, mta]

        yield give


@pytest.mark.parametrize(
    ("mta", "site_name", "scenario"),
    RUNS,
    ids=[
        f"{'murder-' if site_name == MURDER else ''}{mta}-{it.name}" for mta, site_name, it in RUNS
    ],
)
def test_scenario(
    site_of: Callable[[str, str], Site], mta: str, site_name: str, scenario: Scenario
) -> None:
    site = site_of(site_name, mta)
    site.prepare(scenario)
    for step in scenario.steps:
        before = len(site.records())
        site.do(step)
        poll(  # what is delivered arrives a moment later
            lambda: site.observe(step.after, site.records()[before:]) == step.after,  # noqa: B023
            60.0,
        )
        assert site.observe(step.after, site.records()[before:]) == step.after, site.product.log()[
            -6000:
        ]


def test_every_scenario_runs_somewhere() -> None:
    assert {mta for mta, _, _ in RUNS} == set(MTAS)
    assert {scenario.name for _, _, scenario in RUNS} == {scenario.name for scenario in SCENARIOS}
