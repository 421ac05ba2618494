"""Names of models that a client makes up: memory is bounded, and what is known of the configuration's own is kept."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from itertools import count
from typing import Any

import httpx
import pytest

from llmswitch import Client, _made_up, _token_ratios
from llmswitch._config_file import Loaded
from llmswitch._errors import LLMSwitchError, ModelGone, ServerError
from llmswitch._health import Admission, Health
from llmswitch._made_up import MADE_UP, Remembered
from llmswitch._setup import Setup
from llmswitch._target import Target
from tests.health.virtual import Clock, targets
from tests.store.play import MemoryStore, Process
from tests.store.play import target as plain

FEW = 20
NAMED = targets("a-x:one")[0]
CONFIG: dict[str, Any] = {
    "chains": {"c": {"targets": ["a:one", "b:two"]}},
    "providers": {name: {"dialect": "openai", "base_url": f"http://{name}.local/v1"} for name in "ab"},
    "cache": {"kind": "memory"},
}


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer names are remembered, so that a test of what happens beyond is short."""
    monkeypatch.setattr(_made_up, "MADE_UP", FEW)


@pytest.fixture
def health(few: None, clock: Clock) -> Health:
    """With a die that always falls on the middle."""
    return Health(clock=clock, chance=lambda: 0.5)


def made_up(prefix: str, like: Target = NAMED) -> Iterator[Target]:
    """Models without end that no configuration has."""
    return (replace(like, model=f"{prefix}{number}", named=False, _scopes={}) for number in count())


def asked(health: Health, target: Target, error: LLMSwitchError | None = None, times: int = 1) -> None:
    """So many calls, which are answered or fail."""
    for _ in range(times):
        admission = health.admit(target, 10.0)
        assert isinstance(admission, Admission)
        if error is None:
            health.succeeded(admission, seconds=0.1)
        else:
            health.failed(admission, error)


def flooded(health: Health, names: Iterator[Target], number: int, error: LLMSwitchError | None = None) -> None:
    for _ in range(number):
        asked(health, next(names), error)


def state(health: Health, target: Target) -> str:
    return health.show([target])[0].state


def sizes(root: object) -> dict[str, int]:
    """How much is in every container of this package's that can be reached from there, by the way to it."""
    found: dict[str, int] = {}
    seen, ways = {id(root)}, deque([("", root)])
    while ways:
        way, thing = ways.popleft()
        fields = getattr(type(thing), "_fields", ())  # of a named tuple, which holds no more when more is asked
        if isinstance(thing, (dict, list, set, deque, tuple)) and not fields:
            found[way] = max(found.get(way, 0), len(thing))
        parts: Collection[tuple[str, object]] = ()
        if isinstance(thing, Mapping):
            parts = [("[]", part) for part in thing.values()]
        elif fields:
            parts = [(f".{name}", getattr(thing, name)) for name in fields]
        elif isinstance(thing, (list, tuple, deque, set)):
            parts = [("[]", part) for part in thing]
        elif type(thing).__module__.startswith("llmswitch."):
            names = {
                *getattr(thing, "__dict__", ()),
                *(s for c in type(thing).__mro__ for s in vars(c).get("__slots__", ())),
            }
            parts = [(f".{name}", getattr(thing, name, None)) for name in names]
        for name, part in parts:
            if id(part) not in seen:
                seen.add(id(part))
                ways.append((way + name, part))
    return found


def test_a_client_remembers_no_more_of_six_times_as_many(few: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers and refusals by turns, with what remembers by the target switched on: past the bound nothing grows."""
    monkeypatch.setattr(_token_ratios, "_NAMES", FEW)
    number = count()

    def answer(request: httpx.Request) -> httpx.Response:
        if next(number) % 2:
            return httpx.Response(404, json={"error": {"code": "model_not_found", "message": "no such model"}})
        choice = {"index": 0, "message": {"content": "Hello"}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
        return httpx.Response(200, headers={"retry-after": "-1"}, json={"choices": [choice], "usage": usage})

    client = Client.from_config(CONFIG, http_client=httpx.Client(transport=httpx.MockTransport(answer)))

    def ask(names: range) -> dict[str, int]:
        for name in names:
            try:
                client.chat(f"{name}", model=f"a:{name}", cache=True)
            except LLMSwitchError:
                pass
        client.explain("?", model="a:and another")
        return {way: size for way, size in sizes(client).items() if ".answers" not in way}  # bounded by bytes

    before, after = ask(range(3 * FEW)), ask(range(3 * FEW, 6 * FEW))
    assert {} == {way: (before.get(way), size) for way, size in after.items() if size > before.get(way, 0) + FEW // 2}
    assert any(size > FEW // 2 for size in after.values())


@pytest.mark.slow
def test_fifty_thousand_names(clock: Clock) -> None:
    """At the real bound: what is known of a thousand targets, whatever is asked for, and one of them in flight."""
    health, names = Health(clock=clock), made_up("m")
    held = health.admit(next(names), 10.0)
    flooded(health, names, 25_000)
    flooded(health, names, 25_000, ModelGone("no such model"))
    assert {} == {way: size for way, size in sizes(health).items() if size > MADE_UP + 1}  # and the endpoint's breaker
    assert MADE_UP // 2 < len(health._known.breakers)
    assert isinstance(held, Admission)
    health.succeeded(held)


@pytest.mark.parametrize("error", [None, ModelGone("no such model"), ServerError("500")])
def test_what_the_configuration_names_is_never_forgotten(health: Health, error: LLMSwitchError | None) -> None:
    """An open breaker and a cool-down of its own targets stand whatever comes by."""
    cooled, quick = (replace(NAMED, model=name, _scopes={}) for name in ("cooled", "quick"))
    asked(health, NAMED, ServerError("500"), 5)
    asked(health, cooled, ModelGone("no such model"))
    asked(health, quick, times=20)
    flooded(health, made_up("m"), 10 * FEW, error)
    assert ["open", "cooling", "ok"] == [state(health, each) for each in (NAMED, cooled, quick)]
    assert health.usual(quick, stream=False) == pytest.approx(0.1)


def test_against_whom_least_is_known_goes_first(health: Health) -> None:
    """An open breaker outlasts names that are cooling, and those outlast names of which nothing is known."""
    names, firsts = made_up("m"), made_up("first")
    out, cooling, failing, clean = (next(firsts) for _ in range(4))
    asked(health, out, ServerError("500"), 5)
    asked(health, cooling, ModelGone("no such model"))
    asked(health, failing, ServerError("500"), 4)
    asked(health, clean)
    flooded(health, names, 10 * FEW)
    assert ["open", "cooling"] == [state(health, each) for each in (out, cooling)]
    assert clean.scope("target") not in health._known.breakers
    asked(health, failing, ServerError("500"))
    assert "open" == state(health, failing)
    flooded(health, names, 10 * FEW, ModelGone("no such model"))
    assert ["open", "ok", "open"] == [state(health, each) for each in (out, cooling, failing)]


def test_of_open_breakers_alone_the_last_ones_stay(health: Health) -> None:
    """Where all are out, the bound holds all the same: who was asked longest ago is asked five times more."""
    names = made_up("m")
    met = [next(names) for _ in range(3 * FEW)]
    for each in met:
        asked(health, each, ServerError("500"), 5)
    stands = ["open" == state(health, each) for each in met]
    assert 3 * FEW // 4 <= sum(stands) <= FEW
    assert sorted(stands) == stands


def test_a_call_in_flight_is_not_forgotten(health: Health) -> None:
    """Nor what was set by hand: neither its place nor its leave is lost, however many names come by."""
    first, isolated, *_ = (each for each, _ in zip(made_up("first"), range(2), strict=False))
    held = health.admit(first, 10.0)
    assert isinstance(held, Admission)
    asked(health, isolated)
    health.isolate(isolated)
    flooded(health, made_up("m"), 10 * FEW)
    assert [(1, "ok"), (0, "isolated")] == [(each.in_flight, each.state) for each in health.show([first, isolated])]
    health.failed(held, ServerError("500"))
    assert 0 == health.show([first])[0].in_flight
    flying = [health.admit(each, 10.0) for each, _ in zip(made_up("f"), range(3 * FEW), strict=False)]
    for each in flying:
        assert isinstance(each, Admission)
        health.released(each)
    flooded(health, made_up("n"), 2 * FEW)
    assert len(health._known.breakers) <= FEW + 2  # the endpoint's, and the isolated one's


def test_who_only_looks_leaves_nothing(health: Health) -> None:
    """To ask how a target is, or whether it may be asked, remembers nothing of it."""
    names = [each for each, _ in zip(made_up("m"), range(10), strict=False)]
    assert [None] * 10 == [health.refusal(each) for each in names]
    health.standings(names, stream=False), health.show(names)
    assert {} == {way: size for way, size in sizes(health).items() if size and way.startswith("._known")}


@pytest.mark.parametrize(
    ("more", "name", "named"),
    [
        ({}, "a:one", True),
        ({}, "a:two", False),
        ({"default": "a:two"}, "a:two", True),
        ({"aliases": {"gpt": "a:two, a:three"}}, "a:three", True),
        ({"server": {"keys": [{"name": "k", "sha256": "0" * 64, "models": ["*", "a:two"]}]}}, "a:two", True),
    ],
)
def test_which_names_are_the_configurations(more: Any, name: str, named: bool) -> None:
    """Those of chains, aliases, the default and keys of the gateway, by whichever name the target was made first."""
    setup = Setup(Loaded.from_mapping({**CONFIG, **more}))
    assert named is setup.target(name).named
    assert Setup(Loaded.from_mapping(CONFIG), "a:mine").target("a:mine").named


def test_all_models_of_a_provider_have_the_same_rules() -> None:
    """How its failures are classified is read once, not with the first failure of each name."""
    setup = Setup(Loaded.from_mapping(CONFIG))
    assert setup.target("a:one").rules is setup.target("a:made up").rules
    assert setup.target("a:one").rules is not setup.target("b:two").rules


def test_what_is_named_stays_and_of_others_the_last(few: None) -> None:
    """A name that no configuration has goes when so many others came after it."""
    remembered: Remembered[str, int] = Remembered()
    remembered.keep("c", 0, named=True)
    for number in range(5 * FEW):
        remembered.keep(f"m{number}", number, named=False)
        remembered.keep(f"m{number}", number, named=False)
    assert ["c", *(f"m{number}" for number in range(4 * FEW, 5 * FEW))] == list(remembered)


def test_processes_tell_each_other_of_no_more(few: None) -> None:
    """What is forgotten is not looked up in the store with every round; who asks again hears what stands there."""
    clock = Clock(1000.0)
    store = MemoryStore(clock)
    one, other = Process(store, clock), Process(store, clock)
    names = made_up("m", plain())
    first = next(names)
    one.fails(first, times=5)
    one.turn()
    for _ in range(10 * FEW):
        one.fails(next(names), times=5)
        one.turn()
    assert {} == {way: size for way, size in sizes(one).items() if size > 4 * FEW and ".store" not in way}
    assert "ok" == one.health.show([first])[0].state
    for each in (one, other):
        each.refused(first)
        each.turn()
        assert "open" == each.health.show([first])[0].state
