"""Which of a vendor's sites is asked, and at which address: by the configuration, a region, or the environment."""

from __future__ import annotations

import os
import re

from ._addresses import server_address
from ._config import ADDRESS_PARTS, ProviderConfig
from ._errors import ConfigError
from ._provider import ProviderSpec, SiteSpec

__all__ = ["named_address", "site_name_of", "site_url"]


def site_name_of(spec: ProviderSpec, own: ProviderConfig) -> str:
    """The site that was chosen, that of the region, or the usual one. It need not exist."""
    return own.site or _site_of_region(spec, own) or _site_with_key(spec, own)


def _site_with_key(spec: ProviderSpec, own: ProviderConfig) -> str:
    """The vendor's usual site, or the one whose key is in the environment where only that one's is."""
    if own.base_url is None and own.api_key is None:
        for name in (spec.site, *spec.sites):
            if name in spec.sites and any(os.environ.get(key, "").strip() for key in spec.sites[name].key_env):
                return name
    return spec.site


def _site_of_region(spec: ProviderSpec, own: ProviderConfig) -> str | None:
    """The site of the region that was chosen, where a vendor has several for them; `None` where none was."""
    if own.base_url is not None or not any(site.regions for site in spec.sites.values()):
        return None
    variables = dict.fromkeys(name for site in spec.sites.values() for name in site.region_env)
    region = own.region or next((value for name in variables if (value := os.environ.get(name, "").strip())), None)
    if region is None:
        return None
    held = next((name for name, site in spec.sites.items() if region in site.regions), None)
    return held or next((name for name, site in spec.sites.items() if "{region}" in site.base_url), None)


def _check_region(site: SiteSpec, region: str, where: str) -> None:
    """Raises `ConfigError` for a region that would be left out in silence: data would go elsewhere."""
    if "{region}" not in site.base_url and region not in site.regions:
        said = f"this site is that of {', '.join(site.regions)}" if site.regions else "this site has no regions"
        raise ConfigError(f"{where}: {said}; leave one of site and region out")


def site_url(site: SiteSpec, own: ProviderConfig, where: str) -> str:
    """The address of a site, with the region or resource that was chosen. Raises `ConfigError` where it can be none."""
    if own.region is not None:
        _check_region(site, own.region, f"{where}.region")
    url = _filled(site.base_url, "region", own.region, site.region_env, site.region, where)
    return _filled(url, "resource", own.resource, site.resource_env, None, where)


def named_address(site: SiteSpec) -> tuple[str, str | None]:
    """The variable that says where a server of the user's own is, and its base URL; `None` where none says it."""
    for name in site.address_env:
        value = os.environ.get(name, "").strip()
        if value:
            return name, server_address(value, site.base_url)
    return "", None


def _filled(url: str, what: str, own: str | None, variables: tuple[str, ...], usual: str | None, where: str) -> str:
    if f"{{{what}}}" not in url:
        return url
    set_there = (os.environ.get(name, "").strip() for name in variables)
    value = own or next(filter(None, set_there), None) or usual or ""
    if not re.fullmatch(ADDRESS_PARTS[what], value):
        names = " or ".join(variables)
        raise ConfigError(f"{where}: no valid {what}: set {what}" + (f", or the variable {names}" if names else ""))
    return url.replace(f"{{{what}}}", value)
