"""What the doctor finds: each line of its table, with vendors that are played in this process."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from email.utils import formatdate

import httpx
import pytest

from llmswitch import _registry
from llmswitch._doctor.keys import _PLACEHOLDER
from llmswitch._doctor.models import listed_names
from llmswitch._doctor.money import grant_checks
from llmswitch._doctor.run import examine
from llmswitch._errors import ConfigError
from llmswitch._grants import label_of
from llmswitch._limits import GrantConfig
from llmswitch.testing import FakeVendor
from tests.rows import rows

KEY = "sk-0123456789abcdefghijklmnop"
CHAIN = 'chains.main.targets = ["deepseek:deepseek-flash"]'
MODELS = {"object": "list", "data": [{"id": "deepseek-flash"}, {"id": "deepseek-pro"}]}
BALANCE = {"is_available": True, "balance_infos": [{"currency": "CNY", "total_balance": "110.00"}]}
REPLY = {
    "id": "1",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "OK"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 4, "completion_tokens": 1, "total_tokens": 5},
}


@pytest.fixture(autouse=True)
def alone(tmp_path, monkeypatch):
    """In an empty folder, without a key in the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in _registry.provider_names():
        spec = _registry.provider(name)
        ways = [auth.parts for auth in (spec.auth, *spec.schemes.values()) if auth is not None]
        for variable in [*(key for site in spec.sites.values() for key in site.key_env), *_flat(ways)]:
            monkeypatch.delenv(variable, raising=False)
    for name in ("LLMSWITCH_CONFIG", "LLMSWITCH_MODEL", "LLMSWITCH_DRILL", "HTTPS_PROXY", "https_proxy"):
        monkeypatch.delenv(name, raising=False)


def _flat(ways):
    return [variable for parts in ways for variables in parts.values() for variable in variables]


def said(body, status=200, **headers):
    """A vendor's answer."""
    return httpx.Response(status, json=body, headers=headers)


def vendor(request):
    """A vendor with whom all is well."""
    if request.method == "POST":
        return said(REPLY)
    return said(BALANCE if request.url.path.endswith("balance") else MODELS, date=formatdate(time.time(), usegmt=True))


@pytest.fixture
def look(tmp_path):
    """Runs the doctor on a configuration; gives the report, and what was sent."""

    def run(text=CHAIN, answer=vendor, **options):
        path = tmp_path / "llmswitch.toml"
        path.write_text(text)
        fake = FakeVendor(answer)
        return examine(path, http_client=fake, **options), fake.requests

    return run


def line(report, name, provider=None):
    """The first check of that name, of a provider or of the machine."""
    checks = report.machine
    if provider is not None:
        checks = next(section.checks for section in report.providers if section.provider == provider)
    return next(check for check in checks if check.name == name)


def states(report, provider):
    """What each check of a provider came to."""
    section = next(section for section in report.providers if section.provider == provider)
    return {check.name: check.state for check in section.checks}


def test_all_is_well(look, monkeypatch):
    """A key that is good, a model that is there, money that is left: nothing is red, and two requests were sent."""
    monkeypatch.setenv("DEEPSEEK_API_KEY", KEY)
    report, sent = look()
    expected = dict.fromkeys(["key", "proxy", "host", "clock", "site", "model", "balance"], "ok")
    assert expected == states(report, "deepseek")
    assert [("GET", "/models"), ("GET", "/user/balance")] == [(each.method, each.url.path) for each in sent]
    assert "110.00 CNY left of the account" == line(report, "balance", "deepseek").said
    assert "ok" == report.state


def test_live_makes_one_call(look, monkeypatch):
    """With `live` there is one tiny call to each provider, and its tokens and cost are told."""
    monkeypatch.setenv("DEEPSEEK_API_KEY", KEY)
    report, sent = look('chains.main.targets = ["deepseek:deepseek-flash", "deepseek:deepseek-pro"]', live=True)
    assert 1 == sum(each.method == "POST" for each in sent)
    call = line(report, "call", "deepseek")
    assert "ok" == call.state
    assert (4, 1) == (call.facts["input_tokens"], call.facts["output_tokens"])


def test_report_is_stable(look, monkeypatch):
    """Programs find the same keys at every level of the JSON."""
    monkeypatch.setenv("DEEPSEEK_API_KEY", KEY)
    found = json.loads(json.dumps(look()[0].as_json()))
    assert {"schema", "llmswitch", "live", "state", "counts", "machine", "providers"} == found.keys()
    assert 1 == found["schema"]
    assert {"provider", "title", "site", "base_url", "state", "checks"} == found["providers"][0].keys()
    for check in [*found["machine"], *found["providers"][0]["checks"]]:
        assert {"name", "state", "message", "todo", "facts"} == check.keys()


@pytest.mark.parametrize(
    ("key", "state", "word"),
    [
        ("your-api-key-here", "fail", "placeholder"),
        ("sk-xxxxxxxxxxxx", "fail", "placeholder"),
        ("${DEEPSEEK_API_KEY}", "fail", "placeholder"),
        (f'"{KEY}"', "fail", "quotes"),
        ("sk-ant-0123456789abcdefghij", "fail", "looks like a key of anthropic"),
        ("gsk_0123456789abcdefghij", "fail", "looks like a key of groq"),
        ("0123456789abcdefghijklmnop", "warn", "does not look like other keys"),
        (f" {KEY}\n", "warn", "spaces or line breaks"),
        (f"{KEY}\u00e9", "fail", "can't stand in a header"),
        (f"Bearer {KEY}", "fail", "begins with 'Bearer '"),
    ],
)
def test_keys_that_can_be_none(look, monkeypatch, key, state, word):
    """What can be no key, or is another vendor's, is said, and goes nowhere."""
    monkeypatch.setenv("DEEPSEEK_API_KEY", key)
    report, sent = look()
    found = line(report, "key", "deepseek")
    assert state == found.state
    assert word in found.said
    assert (state == "fail") == all("authorization" not in each.headers for each in sent)
    assert key.strip().strip('"') not in json.dumps(report.as_json()).replace("DEEPSEEK_API_KEY", "") or "$" in key


@rows("key", [KEY, "sk-proj-token9monkey", "0a1b2c3d4e5f60718293a4b5c6d7e8f9.AbCdEfGhIjKlMnOp"])
def test_keys_are_no_placeholders(key):
    """A key with an ordinary word in it is taken for a key."""
    assert _PLACEHOLDER.fullmatch(key) is None


def test_a_missing_key(look):
    """A key that is not there is red, and yellow where the provider is optional."""
    report, sent = look()
    assert "fail" == line(report, "key", "deepseek").state
    assert "DEEPSEEK_API_KEY" in line(report, "key", "deepseek").todo
    assert "warn" == line(look(f"{CHAIN}\nproviders.deepseek.optional = true")[0], "key", "deepseek").state
    assert [] == sent


SITES = 'chains.main.targets = ["moonshot:kimi-k2.6"]\nproviders.moonshot.site = "cn"'


def _intl_alone(request):
    if request.url.host == "api.moonshot.ai":
        return said({"data": [{"id": "kimi-k2.6"}]})
    return said({"error": {"message": "Invalid Authentication", "type": "invalid_authentication_error"}}, 401)


def test_a_key_of_another_site(look, monkeypatch):
    """A refused key stays at its site, unless `live`: then the vendor's others are tried, and the site is named."""
    monkeypatch.setenv("MOONSHOT_API_KEY", KEY)
    report, sent = look(SITES, _intl_alone)
    assert {"api.moonshot.cn"} == {each.url.host for each in sent}
    assert "--live tries this key at intl" in line(report, "site", "moonshot").todo
    report, sent = look(SITES, _intl_alone, live=True)
    assert {"api.moonshot.cn", "api.moonshot.ai"} == {each.url.host for each in sent}
    assert 'set site = "intl" under [providers.moonshot]' == line(report, "site", "moonshot").todo
    assert all(each.method == "GET" for each in sent)


def test_a_list_that_was_not_looked_up(look, monkeypatch):
    """A list that a vendor's file does not speak of is no proof of a key; that it refuses one is, and may be undone."""
    key = "0a1b2c3d4e5f60718293a4b5c6d7e8f9.AbCdEfGhIjKlMnOp"
    monkeypatch.setenv("ZHIPUAI_API_KEY", key)
    text, models = 'chains.main.targets = ["zhipu:glm-4.6"]', {"data": [{"id": "glm-4.6"}]}
    report, _ = look(text, lambda _: said(models))
    assert ("skipped", "ok") == (line(report, "site", "zhipu").state, line(report, "model", "zhipu").state)
    refused = said({"error": {"code": "1000", "message": "no"}}, 401)
    report, _ = look(text, lambda request: said(models) if request.url.host == "api.z.ai" else refused, live=True)
    assert "intl" == line(report, "site", "zhipu").facts["key_of_site"]


def test_a_key_goes_to_no_place_that_is_forbidden(look, monkeypatch):
    """Where the policy keeps data in one country, the key is not tried at sites of others."""
    monkeypatch.setenv("MOONSHOT_API_KEY", KEY)
    _, sent = look(f'{SITES}\npolicy.jurisdictions = ["cn"]', _intl_alone, live=True)
    assert "api.moonshot.ai" not in {each.url.host for each in sent}


def test_who_is_not_asked(look, monkeypatch):
    """A provider that the policy forbids gets no request, and its key is not looked for."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    text = 'chains.main.targets = ["openai:gpt-5.4-mini", "deepseek:deepseek-flash"]\npolicy.jurisdictions = ["cn"]'
    report, sent = look(text, live=True)
    assert {"site": "skipped"} == states(report, "openai")
    assert [] == sent


@pytest.mark.parametrize(("status", "state"), [(500, "warn"), (429, "warn"), (402, "fail"), (404, "skipped")])
def test_a_list_that_is_not_given(look, monkeypatch, status, state):
    """That a vendor is broken or busy says nothing of the key; that the account is empty is red."""
    monkeypatch.setenv("DEEPSEEK_API_KEY", KEY)
    report, _ = look(answer=lambda _: said({"error": {"message": "no"}}, status))
    assert state == line(report, "site", "deepseek").state
    assert "skipped" == line(report, "model", "deepseek").state


def test_a_region_that_is_blocked(look, monkeypatch):
    """That a vendor does not serve this place is known as such, and who else there is."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    body = {"error": {"code": "unsupported_country_region_territory", "message": "Country not supported"}}
    report, _ = look('chains.main.targets = ["openai:gpt-5.4-mini"]', lambda _: said(body, 403))
    found = line(report, "site", "openai")
    assert ("fail", "RegionBlocked") == (found.state, found.facts["error"])
    assert "llmswitch equivalents openai:gpt-5.4-mini" in found.todo


@pytest.mark.parametrize(("offset", "state"), [(-30, "ok"), (-400, "warn"), (400, "warn")])
def test_a_clock_that_is_off(look, monkeypatch, offset, state):
    """More than a minute between the vendor's clock and this one is said."""
    monkeypatch.setenv("DEEPSEEK_API_KEY", KEY)
    served = formatdate(time.time() + offset, usegmt=True)
    report, _ = look(answer=lambda _: said(MODELS, date=served))
    found = line(report, "clock", "deepseek")
    assert state == found.state
    assert abs(found.facts["ahead_seconds"] + offset) <= 2


def test_a_clock_by_which_requests_are_signed(look, monkeypatch):
    """Where requests are signed with the time, the same is red. Nothing is asked with a key where there is no list."""
    monkeypatch.setenv("QIANFAN_ACCESS_KEY", "ALTAK0123456789")
    monkeypatch.setenv("QIANFAN_SECRET_KEY", "0123456789abcdef0123456789abcdef")
    text = 'chains.main.targets = ["wenxin:ernie-3.5-8k"]\nproviders.wenxin.scheme = "bce"'
    served = formatdate(time.time() - 400, usegmt=True)
    report, sent = look(text, lambda _: httpx.Response(404, headers={"date": served}), only=["wenxin"])
    assert "fail" == line(report, "clock", "wenxin").state
    assert [("HEAD", False)] == [(each.method, "authorization" in each.headers) for each in sent]
    assert "skipped" == line(report, "site", "wenxin").state


@pytest.mark.parametrize(
    ("model", "state", "word"),
    [
        ("deepseek-fresh", "fail", "did you mean 'deepseek-flash'?"),
        ("deepseek-pro", "ok", "is in the list of 2"),
    ],
)
def test_models(look, monkeypatch, model, state, word):
    """A model is looked up in the vendor's list, and the nearest is named."""
    monkeypatch.setenv("DEEPSEEK_API_KEY", KEY)
    found = line(look(f'chains.main.targets = ["deepseek:{model}"]')[0], "model", "deepseek")
    assert state == found.state
    assert word in found.said


def test_members_of_a_group(look, monkeypatch):
    """Each member of a group is looked at, as a target that stands alone is."""
    monkeypatch.setenv("DEEPSEEK_API_KEY", KEY)
    group = '{ group = ["deepseek:deepseek-flash", "deepseek:deepseek-pro"], by = "weighted" }'
    report, _ = look(f"chains.main.targets = [{group}]")
    assert ["ok", "ok"] == [check.state for check in report.providers[0].checks if check.name == "model"]


def test_a_model_that_the_catalog_knows(look, monkeypatch):
    """One that the catalog has may be another name for one: it is yellow where the list lacks it."""
    monkeypatch.setenv("DEEPSEEK_API_KEY", KEY)
    report, _ = look(answer=lambda _: said({"data": [{"id": "deepseek-pro"}]}))
    assert "warn" == line(report, "model", "deepseek").state


def test_a_model_that_was_not_pulled(look):
    """A server of one's own that lacks the model says what it has; the vendor's file says how to get it."""
    tags = {"models": [{"name": "llama3.2:latest", "model": "llama3.2:latest"}]}
    text = 'chains.main.targets = ["ollama:llama3.2", "ollama:qwen3"]'
    report, _ = look(text, lambda _: said(tags))
    checks = [check for check in report.providers[0].checks if check.name == "model"]
    assert ["ok", "fail"] == [check.state for check in checks]
    assert "ollama pull" in checks[1].todo


def test_a_vendor_without_a_list(look, monkeypatch):
    """A 404 at the list says nothing of key or model."""
    monkeypatch.setenv("ZHIPUAI_API_KEY", "0a1b2c3d4e5f60718293a4b5c6d7e8f9.AbCdEfGhIjKlMnOp")
    report, _ = look('chains.main.targets = ["zhipu:glm-4.6"]', lambda _: said({"error": {"message": "no"}}, 404))
    assert ("skipped", "skipped") == (states(report, "zhipu")["site"], states(report, "zhipu")["model"])
    assert "fail" != report.state


def test_a_list_for_anybody(look, monkeypatch):
    """A list that needs no key is no proof of one; what is left of the key is."""
    monkeypatch.setenv("OPENROUTER_API_KEY", "sk-or-v1-0123456789abcdef")
    text = 'chains.main.targets = ["openrouter:openai/gpt-oss-120b"]'
    refused = said({"error": {"code": 401, "message": "User not found."}}, 401)
    listed = {"data": [{"id": "openai/gpt-oss-120b"}]}
    report, _ = look(text, lambda request: said(listed) if request.url.path.endswith("models") else refused)
    assert "fail" == line(report, "site", "openrouter").state
    left = {"data": {"label": "sk-or-v1-012...def", "limit_remaining": None}}
    report, _ = look(text, lambda request: said(listed if request.url.path.endswith("models") else left))
    assert ("ok", "ok") == (line(report, "site", "openrouter").state, line(report, "balance", "openrouter").state)
    assert "012...def" not in json.dumps(report.as_json())


@pytest.mark.parametrize(
    ("amount", "state"),
    [("0.00", "fail"), ("-3.10", "fail"), ("0.01", "ok"), (7, "ok"), (None, "ok"), ("soon", "skipped")],
)
def test_balances(look, monkeypatch, amount, state):
    """No money left is red."""
    monkeypatch.setenv("DEEPSEEK_API_KEY", KEY)
    told = {"balance_infos": [{"currency": "USD", "total_balance": amount}]}
    report, _ = look(answer=lambda request: said(told if request.url.path.endswith("balance") else MODELS))
    assert state == line(report, "balance", "deepseek").state


def test_grants(look, monkeypatch):
    """A grant that is over is red; one that ends within two weeks is yellow."""
    monkeypatch.setenv("DEEPSEEK_API_KEY", KEY)
    days = [time.strftime("%Y-%m-%d", time.gmtime(time.time() + day * 86400)) for day in (-2, 5, 90)]
    grants = ", ".join(f"{{ tokens = 1000000, expires = {day} }}" for day in days)
    report, _ = look(f"{CHAIN}\nproviders.deepseek.grants = [{grants}]")
    assert ["fail", "warn", "ok"] == [check.state for check in report.providers[0].checks if check.name == "grant"]


def test_what_is_left_of_a_grant():
    """Where processes share a store, what is left is told; one that is used up is yellow."""
    given = GrantConfig(tokens=1000, expires=datetime.now(UTC).date() + timedelta(days=90))
    [left] = grant_checks("deepseek", (given,), {label_of("deepseek", given): 400})
    assert ("ok", 600) == (left.state, left.facts["left"])
    [left] = grant_checks("deepseek", (given,), {label_of("deepseek", given): 1000})
    assert ("warn", 0) == (left.state, left.facts["left"])


def test_a_model_that_answers_is_there(look, monkeypatch):
    """What a live call has shown stands against the vendor's list."""
    monkeypatch.setenv("DEEPSEEK_API_KEY", KEY)
    report, _ = look('chains.main.targets = ["deepseek:deepseek-fresh"]', live=True)
    assert "ok" == line(report, "model", "deepseek").state


def test_a_drill_is_said(look, monkeypatch):
    """While an outage is rehearsed, the report says so, and the lines of that provider are of the rehearsal."""
    monkeypatch.setenv("DEEPSEEK_API_KEY", KEY)
    for fault, name in (("dns", "host"), ("bad_key", "site"), ("region_blocked", "site"), ("garbage", "site")):
        report, sent = look(f'{CHAIN}\ndrill.deepseek = "{fault}"')
        assert "warn" == line(report, "drill").state
        assert line(report, name, "deepseek").state in ("fail", "warn")
        assert [] == [each for each in sent if each.url.path == "/models"]


def test_providers_of_the_environment(monkeypatch):
    """Without a configuration, those are looked at whose keys are in the environment."""
    monkeypatch.setenv("DEEPSEEK_API_KEY", KEY)
    report = examine(http_client=FakeVendor(vendor))
    assert ["deepseek"] == [section.provider for section in report.providers]
    assert "ok" == line(report, "model", "deepseek").state


def test_nothing_is_there():
    """Without anything, the model on this machine is what is looked at; nothing is started."""
    report = examine(http_client=FakeVendor(vendor))
    assert ["local"] == [section.provider for section in report.providers]


def test_a_configuration_that_is_wrong(look):
    """What is wrong with the configuration is a red line, with the place."""
    report, _ = look('chains.main.targets = ["deepsek:chat"]')
    assert "fail" == line(report, "configuration").state
    assert "deepseek" in line(report, "configuration").said
    with pytest.raises(ConfigError, match="did you mean 'deepseek'"):
        look(only=["deepsek"])


def test_no_secret_is_shown(look, monkeypatch):
    """Whatever a vendor says of a key, in whatever spelling, none of it is in the report; nor a proxy's password."""
    monkeypatch.setenv("DEEPSEEK_API_KEY", KEY)
    text = f'{CHAIN}\nproviders.deepseek.proxy = "http://user:pass%2Dword9@127.0.0.1:1"'
    quoted = f"Incorrect API key provided: {KEY} ({KEY[:6]}***{KEY[-4:]}), Bearer {KEY}"
    for status in (401, 403, 500, 402, 302, 407):
        answer = said({"error": {"message": quoted}}, status, location=f"https://elsewhere.invalid/?key={KEY}")
        shown = json.dumps(look(text, lambda _, answer=answer: answer, live=True)[0].as_json())
        for secret in (KEY, KEY[-6:], "pass-word9", "pass%2Dword9"):
            assert secret not in shown


def test_a_model_that_ends(look, monkeypatch):
    """A model whose last day is past, by the catalog, is told with the nearest elsewhere."""
    monkeypatch.setenv("MOONSHOT_API_KEY", KEY)
    model = next(entry for entry in _registry.provider("moonshot").families if entry.retires is not None).match[0]
    report, _ = look(f'chains.main.targets = ["moonshot:{model.rstrip("*")}"]')
    found = line(report, "retirement", "moonshot")
    assert "warn" == found.state
    assert "has not been served since" in found.said
    assert "the nearest elsewhere: " in found.todo


def test_a_key_file_that_others_can_read(look, tmp_path):
    """It is yellow, and says what to do."""
    (tmp_path / "key").write_text(KEY)
    (tmp_path / "key").chmod(0o644)
    report, _ = look(f'{CHAIN}\nproviders.deepseek.api_key = {{ file = "{tmp_path / "key"}" }}')
    found = line(report, "key", "deepseek")
    assert ("warn", "chmod 600 the file") == (found.state, found.todo)


def test_a_store_that_is_away(look):
    """A Redis that does not answer is red; its password is not shown."""
    report, _ = look('store.url = { env = "STORE" }')
    assert "STORE" in line(report, "store").said
    report, _ = look('store.url = "redis://user:pass-word9@127.0.0.1:1/0"')
    assert "fail" == line(report, "store").state
    assert "pass-word9" not in json.dumps(report.as_json())


def test_proxies_of_the_environment(look, monkeypatch):
    """A proxy variable that does not count is said, and that it can."""
    monkeypatch.setenv("HTTPS_PROXY", "http://user:pass-word9@127.0.0.1:1")
    monkeypatch.setenv("DEEPSEEK_API_KEY", KEY)
    assert "not used" in line(look()[0], "environment").said
    report, _ = look(f"{CHAIN}\nhttp.trust_env = true")
    assert "by http://127.0.0.1:1" == line(report, "proxy", "deepseek").said
    assert "pass-word9" not in json.dumps(report.as_json())


def test_a_call_that_fails(look, monkeypatch):
    """What a live call meets is told by its class, with what to do."""
    monkeypatch.setenv("DEEPSEEK_API_KEY", KEY)
    broke = said({"error": {"message": "Insufficient Balance"}}, 402)
    report, _ = look(answer=lambda request: broke if request.method == "POST" else vendor(request), live=True)
    found = line(report, "call", "deepseek")
    assert ("fail", "Arrears") == (found.state, found.facts["error"])
    assert found.todo.startswith("top the account up")


def test_silence_has_an_end(look, monkeypatch):
    """A provider that says nothing, here in a drill, costs its own time alone."""
    monkeypatch.setenv("DEEPSEEK_API_KEY", KEY)
    began = time.monotonic()
    report, _ = look(f'{CHAIN}\ndrill.deepseek = "hang"', seconds=0.2)
    assert time.monotonic() - began < 3
    assert "fail" == line(report, "host", "deepseek").state


@rows("name", _registry.provider_names())
def test_what_a_vendor_offers(name):
    """Pointers and paths of a provider's file are such, and a balance is told at sites that there are."""
    spec = _registry.provider(name)
    for listing in [spec.model_list] if spec.model_list is not None and spec.model_list.path else []:
        assert listing.path.startswith("/")
        assert listing.items.startswith("/")
    for balance in [spec.balance] if spec.balance is not None else []:
        assert balance.path.startswith("/")
        assert balance.amount.startswith("/")
        assert balance.currency or balance.currency_at
        assert balance.currency.keys() <= spec.sites.keys()


@rows(
    ("name", "body"),
    [
        ("openai", {"data": [{"id": "one"}, {"id": "two"}]}),
        ("together", [{"id": "one"}, {"id": "two"}]),
        ("gemini", {"models": [{"name": "models/one"}, {"name": "models/two"}]}),
        ("cohere", {"models": [{"name": "one"}, {"name": "two"}]}),
        ("ollama", {"models": [{"name": "one", "model": "one"}, {"name": "two"}]}),
    ],
)
def test_forms_of_lists(name, body):
    """Each vendor's own form of the list gives the names as they are asked; another form gives none."""
    listing = _registry.model_list(_registry.provider(name))
    assert {"one", "two"} == listed_names(body, listing)
    assert listed_names({"message": "hello"}, listing) is None
