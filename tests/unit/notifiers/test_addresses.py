"""Where webhooks may lead: which URLs, which addresses."""

from __future__ import annotations

import ipaddress

import pytest

from imagery.errors import AddressRefused
from imagery.notifiers.addresses import AddressPolicy, Target

PUBLIC = (
    "93.184.216.34",
    "8.8.8.8",
    "1.1.1.1",
    "100.128.0.1",
    "172.32.0.1",
    "2606:2800:220:1::1",
    "2a00:1450:4001::200e",
)
PRIVATE = (
    *("127.0.0.1", "127.8.8.8", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1"),
    *("100.127.255.255", "::1", "fc00::1", "fd12:3456::1"),
)
NEVER = (
    *("0.0.0.0", "0.1.2.3", "169.254.169.254", "169.254.0.1", "192.0.0.1", "192.0.0.192", "192.0.2.1"),
    *("198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255"),
    *("168.63.129.16", "100.100.100.200", "192.88.99.1"),
    *("::", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1", "fd00:ec2::254"),
    # IPv4 in disguise: mapped, compatible, NAT64, 6to4, Teredo.
    *("::ffff:127.0.0.1", "::ffff:8.8.8.8", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::1", "2002:7f00:1::"),
    *("2001::1", "2001:db8::1", "3fff::1", "5f00::1", "100::1", "4000::1"),
)


def leading_to(*addresses: str, allow_http: bool = False, allow_private: bool = False) -> AddressPolicy:
    """A policy under which every name has these addresses."""
    return AddressPolicy(allow_http=allow_http, allow_private=allow_private, resolve=lambda host, port: addresses)


@pytest.mark.parametrize("address", PUBLIC)
def test_a_name_may_lead_to_the_public_internet(address: str) -> None:
    target = leading_to(address).target("https://hooks.example.com/in?a=b")

    assert target == Target(is_https=True, host="hooks.example.com", port=443, path="/in?a=b", addresses=(address,))


@pytest.mark.parametrize("address", [*PRIVATE, *NEVER])
def test_a_name_may_lead_nowhere_else(address: str) -> None:
    with pytest.raises(AddressRefused, match="public internet") as refusal:
        leading_to(address).target("https://hooks.example.com/")

    assert refusal.value.field == "/webhook/url"


@pytest.mark.parametrize("address", [*PRIVATE, *NEVER])
def test_one_bad_address_among_good_ones_is_enough_to_refuse_a_name(address: str) -> None:
    with pytest.raises(AddressRefused):
        leading_to("93.184.216.34", address).target("https://hooks.example.com/")


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses_can_be_allowed(address: str) -> None:
    assert leading_to(address, allow_private=True).target("https://hooks.example.com/").addresses == (address,)


@pytest.mark.parametrize("address", NEVER)
def test_metadata_link_local_multicast_and_reserved_addresses_never_can(address: str) -> None:
    with pytest.raises(AddressRefused):
        leading_to(address, allow_private=True, allow_http=True).target("http://hooks.example.com/")


def test_an_address_in_the_url_is_judged_without_being_looked_up() -> None:
    policy = leading_to("8.8.8.8")

    assert policy.target("https://1.1.1.1/").addresses == ("1.1.1.1",)
    six = policy.target("https://[2606:4700::1111]:8443/")
    assert [six.pinned_url(address) for address in six.addresses] == ["https://[2606:4700::1111]:8443/"]
    for url in ("https://127.0.0.1/", "https://[::1]/", "https://[::ffff:169.254.169.254]/", "https://[fe80::1]/"):
        with pytest.raises(AddressRefused):
            policy.target(url)


@pytest.mark.parametrize("host", ["2130706433", "0x7f.1", "0177.0.0.1", "127.1", "localhost", "127.0.0.1."])
def test_the_system_s_own_readings_of_loopback_are_refused(host: str) -> None:
    with pytest.raises(AddressRefused):
        AddressPolicy().target(f"https://{host}/")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "hooks.example.com",
        "//hooks.example.com/",
        "https:hooks.example.com",
        "https:///path",
        "http://hooks.example.com/",
        "ftp://hooks.example.com/",
        "file:///etc/passwd",
        "gopher://hooks.example.com/",
        "https://ana:secret@hooks.example.com/",
        "https://127.0.0.1@hooks.example.com/",
        "https://hooks.example.com\\@127.0.0.1/",
        "https://hooks.example.com/#fragment",
        "https://hooks.example.com:0/",
        "https://hooks.example.com:22/",
        "https://hooks.example.com:65536/",
        "https://hooks.example.com:a/",
        "https://hooks.example.com/a b",
        "https://hooks.example.com/\r\nX-Injected: 1",
        "https://hooks.example.com/\tx",
        "https://bücher.example/",
        "https://hooks.example.com%2f@127.0.0.1/",
        "https://[::1/",
        "https://-hooks.example.com/",
        "https://hooks..example$.com/",
        "https://hooks.example.com/" + "a" * 2048,
    ],
)
def test_a_url_of_another_form_is_refused(url: str) -> None:
    with pytest.raises(AddressRefused) as refusal:
        leading_to("8.8.8.8").target(url)

    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize("port", [80, 443, 1024, 8443, 65535])
def test_web_ports_and_free_ones_can_be_used(port: int) -> None:
    target = leading_to("8.8.8.8").target(f"https://hooks.example.com:{port}/")

    assert target.port == port
    assert target.authority == ("hooks.example.com" if port == 443 else f"hooks.example.com:{port}")


def test_http_can_be_allowed() -> None:
    target = leading_to("8.8.8.8", allow_http=True).target("http://Hooks.Example.com")

    assert (target.is_https, target.port, target.path, target.host) == (False, 80, "/", "hooks.example.com")


def test_a_name_without_an_address_is_refused_with_the_reason() -> None:
    def unknown(host: str, port: int) -> list[str]:
        raise OSError("Name or service not known")

    with pytest.raises(AddressRefused, match="not known to the DNS"):
        AddressPolicy(resolve=unknown).target("https://nobody.example.com/")
    with pytest.raises(AddressRefused, match="no address"):
        leading_to().target("https://nobody.example.com/")


def test_no_address_that_python_calls_private_passes() -> None:
    """A second opinion, over the borders of every special range there is."""
    policy = AddressPolicy()
    borders = [ipaddress.ip_address(text) for text in (*PRIVATE, *(n for n in NEVER if "%" not in n), *PUBLIC)]
    around = [type(a)(int(a) + step) for a in borders for step in (-1, 0, 1) if 0 <= int(a) + step < 2**a.max_prefixlen]

    passed = [address for address in around if policy.allows(address)]

    assert passed
    assert not [
        a for a in passed if a.is_private or a.is_loopback or a.is_link_local or a.is_multicast or a.is_reserved
    ]


def test_a_refusal_does_not_tell_where_a_name_leads_inside() -> None:
    policy = AddressPolicy(resolve=lambda host, port: ["10.20.30.40"])

    with pytest.raises(AddressRefused, match="public internet") as refusal:
        policy.target("https://billing.internal.example/hook")

    assert "10.20.30.40" not in str(refusal.value)
