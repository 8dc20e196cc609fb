"""The workflow this service runs: how long it waits out trouble that passes, and that every failure is told."""

from __future__ import annotations

from datetime import timedelta

import pytest

from imagery.orchestrators.embedded.definition import ANY_RESOURCE, load_definition
from imagery.orchestrators.embedded.errors import StateFailed
from imagery.orchestrators.embedded.simulate import START, Simulation
from imagery.workflow import read_definition

ENTRIES = {"entries": []}
PATHS = {
    "PublicProvider": "public",
    "PlanetRequester": "planet",
    "PlanetProvider": "planet",
    "Register": "public",
}
"""Step → the kind of provider whose requests come by it."""


class Service:
    """The workflow's steps, one of which fails with `error` until `outage` is over."""

    def __init__(self, *, failing, error, outage=None, times=None, answered=True, seed=0):
        self.failing, self.error, self.outage, self.times = failing, error, outage, times
        self.failed, self.told = 0, []
        answers = {
            "PublicProvider": ENTRIES,
            "PlanetRequester": {},
            "PlanetProvider": ENTRIES,
            "Register": {"delivered": 0, "skipped": 0},
        }
        tasks = {name: self.step(name, answer) for name, answer in answers.items()}
        tasks["sqs:sendMessage"] = lambda message: self.told.append(message["MessageBody"]["payload"]["error"])
        definition = load_definition(read_definition(), resources=ANY_RESOURCE)
        self.simulation = Simulation(
            definition,
            tasks,
            callbacks={"PlanetRequester": lambda _: {"order_id": "o"}} if answered else {},
            seed=seed,
        )

    def step(self, name, answer):
        def work(payload):
            down = self.outage is None or self.simulation.now < START + self.outage
            if name == self.failing and down and (self.times is None or self.failed < self.times):
                self.failed += 1
                raise StateFailed(self.error, None)
            return answer

        return work

    def run(self):
        with self.simulation:
            payload = {"request": {"provider": "p"}, "provider_kind": PATHS[self.failing]}
            self.simulation.start(payload)
            self.simulation.run()
            return self.simulation.result()


@pytest.mark.parametrize("error", ["StoreUnavailable", "ProviderUnavailable", "Lambda.ServiceException"])
@pytest.mark.parametrize("step", PATHS)
def test_an_outage_of_eight_hours_costs_no_acquisition(step, error):
    for seed in range(5):
        service = Service(failing=step, error=error, outage=timedelta(hours=8), seed=seed)
        result = service.run()
        assert result.status == "SUCCEEDED", (step, seed, result.error)
        assert service.told == []
        assert result.stopped_at - START < timedelta(hours=8, minutes=15)


@pytest.mark.parametrize("step", PATHS)
def test_trouble_that_does_not_pass_is_told_within_a_day_and_far_below_the_limit_of_events(step):
    service = Service(failing=step, error="ProviderUnavailable")
    result = service.run()
    assert (result.status, result.error) == ("FAILED", "ProviderUnavailable")
    assert timedelta(hours=9) < result.stopped_at - START < timedelta(hours=24)
    # Step Functions writes one more event a try than is written here; 25,000 are the limit.
    assert len(result.history) < 1000
    assert [error["Error"] for error in service.told] == ["ProviderUnavailable"]


@pytest.mark.parametrize("step", ["PublicProvider", "PlanetProvider", "Register"])
def test_a_step_that_times_out_is_tried_again(step):
    service = Service(failing=step, error="States.Timeout", times=3)
    assert service.run().status == "SUCCEEDED"


@pytest.mark.parametrize("step", PATHS)
def test_a_step_that_always_times_out_is_told_with_a_cause_that_is_text(step):
    service = Service(failing=step, error="States.Timeout")
    result = service.run()
    assert (result.status, result.error) == ("FAILED", "States.Timeout")
    assert service.told == [{"Error": "States.Timeout", "Cause": ""}]


def test_an_order_nothing_is_heard_of_is_looked_for_again_and_told_in_the_end():
    service = Service(failing="PlanetRequester", error="none", times=0, answered=False)
    result = service.run()
    assert result.error == "States.HeartbeatTimeout"
    assert "PlanetRequester" in service.told[0]["Cause"]
    assert result.stopped_at - START > timedelta(hours=48)


def test_a_budget_that_is_used_up_is_waited_for_until_the_next_day():
    service = Service(failing="PlanetRequester", error="BudgetReached", outage=timedelta(hours=24))
    result = service.run()
    assert (result.status, service.told) == ("SUCCEEDED", [])
    assert result.stopped_at - START < timedelta(hours=24, minutes=15)


@pytest.mark.parametrize("error", ["CredentialsRefused", "QuotaExhausted", "ProviderRefused", "OrderFailed"])
def test_what_waiting_does_not_help_is_told_at_once(error):
    service = Service(failing="PlanetRequester", error=error)
    result = service.run()
    assert (result.error, service.failed) == (error, 1)
