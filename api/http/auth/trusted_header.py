"""People that a proxy in front of the service has authenticated, and names in a header."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address

from starlette.exceptions import HTTPException
from starlette.requests import Request

from api.access.caller import Caller
from api.http.auth.people import PeopleRoles, is_name, require_own_page
from api.settings import Settings


class TrustedHeader:
    """Believes the header if, and only if, the connection comes from such a proxy."""

    def __init__(self, settings: Settings) -> None:
        self._name = settings.trusted_proxy_header
        self._groups = settings.trusted_proxy_groups_header
        self._networks = settings.proxy_networks()
        self._public_url = settings.public_url or ""
        self._roles = PeopleRoles.of(settings)

    async def caller_of(self, request: Request) -> Caller | None:
        """Return the person whom the proxy names; None without the header.

        Raises:
            HTTPException: Somebody else sends the header, it names nobody, the person has no role, or no page
                of ours asked for the change.
        """
        names = request.headers.getlist(self._name)
        if not names:
            return None
        if not self._is_from_proxy(request):
            raise HTTPException(403, f"the header {self._name} is accepted from trusted proxies only")
        if len(names) != 1 or not is_name(names[0]):
            raise HTTPException(403, f"the header {self._name} must name one person")
        require_own_page(request, self._public_url)
        groups = request.headers.getlist(self._groups) if self._groups else []
        return self._roles.caller(names[0], [group.strip() for each in groups for group in each.split(",")])

    def _is_from_proxy(self, request: Request) -> bool:
        """Look at the connection itself: what X-Forwarded-For says, anybody can write."""
        try:
            address = ip_address(request.client.host if request.client else "")
        except ValueError:
            return False
        if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return any(address in network for network in self._networks)
