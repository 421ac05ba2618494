"""
Looks through the catalog for what is wrong, what is old and what is missing.

    python .ci/catalog_check.py [--older-than DAYS]

`wrong` is a mistake in a provider's file: a price without source or with the name of a site that there is none of, a
currency that can't be ranked, a default model that is no longer served. `old` is a fact that was checked more than so
many days ago (90, unless said). `missing` is what nobody has found yet: windows, prices, tiers; the user is told "not
known". Ends with 1 if something is wrong or old.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

from llmswitch._catalog import catalog, find_model
from llmswitch._provider import ProviderSpec
from llmswitch._reference_rates import reference_rates
from llmswitch._registry import provider, provider_names


def wrong(today: date) -> Iterator[str]:
    """Mistakes in the files."""
    for spec in _specs():
        for price in spec.prices:
            where = f"{spec.name}: the price of {price.model}"
            if not price.source.strip():
                yield f"{where} has no source"
            if price.site is not None and price.site not in spec.sites:
                yield f"{where} is for the site {price.site}, which there is none of"
            if price.currency not in reference_rates().per_euro:
                yield f"{where} is in {price.currency}, which llmswitch/reference_rates.toml does not know"
            if price.checked > today:
                yield f"{where} was checked on {price.checked}, which is yet to come"
        for entry in spec.models:
            if not entry.source.strip() or entry.checked is None:
                yield f"{spec.name}: the model {entry.id} has no source or no date"
        if spec.checked is None or not spec.docs:
            yield f"{spec.name}: the file has no date or no address of the documentation"
        if spec.default_model and find_model(spec.name).is_retired(today):
            yield f"{spec.name}: the default model {spec.default_model} is no longer served"


def old(today: date, days: int) -> Iterator[str]:
    """Facts that were checked more than so many days ago, the oldest first."""
    facts = [(reference_rates().checked, "the reference rates")]
    for spec in _specs():
        facts += [(spec.checked, f"{spec.name}: the file")] if spec.checked is not None else []
        for price in spec.prices:
            at = f" at {price.site}" if price.site is not None else ""
            facts.append((price.checked, f"{spec.name}: the price of {price.model}{at}"))
        facts += [
            (each.checked, f"{spec.name}: the model {each.id}") for each in spec.models if each.checked is not None
        ]
    for checked, what in sorted(facts):
        if today - checked > timedelta(days=days):
            yield f"{what}: checked on {checked}, {(today - checked).days} days ago"


def missing(today: date) -> Iterator[str]:
    """What is not known of models that are still served."""
    for model in catalog():
        if model.is_retired(today):
            continue
        facts = {
            "context": model.capabilities.context,
            "max_output": model.capabilities.max_output,
            "tier": model.tier,
            "price": model.prices or None,
        }
        unknown = [name for name, fact in facts.items() if fact is None]
        if unknown:
            yield f"{model.target}: {', '.join(unknown)}"


def _specs() -> list[ProviderSpec]:
    return [spec for spec in map(provider, provider_names()) if not spec.retired]


def main() -> int:
    parser = argparse.ArgumentParser(description="What is wrong with the catalog, old in it and missing from it.")
    parser.add_argument("--older-than", type=int, default=90, metavar="DAYS", help="list facts older than that (90)")
    days = parser.parse_args().older_than
    today = datetime.now(UTC).date()
    found = {
        "wrong": list(wrong(today)),
        f"older than {days} days": list(old(today, days)),
        "missing": list(missing(today)),
    }
    for title, lines in found.items():
        print(f"{title}: {len(lines)}")
        for line in lines:
            print(f"  {line}")
    return 1 if any(lines for title, lines in found.items() if title != "missing") else 0


if __name__ == "__main__":
    sys.exit(main())
