from __future__ import annotations

from typing import TYPE_CHECKING, Any

from identity.oidc.decision import PROMPTS
from identity.oidc.engine import AUTH_METHODS
from identity.oidc.settings import ALGORITHMS, SCOPES

if TYPE_CHECKING:
    from identity.oidc.settings import OidcSettings

AUTHORIZE = "/oidc/authorize"
TOKEN = "/oidc/token"  # noqa: S105 - a path
USERINFO = "/oidc/userinfo"
INTROSPECT = "/oidc/introspect"
REVOKE = "/oidc/revoke"
JWKS = "/oidc/jwks"
LOGOUT = "/oidc/logout"
CONFIGURATION = "/.well-known/openid-configuration"

CLAIMS = (
    "sub sid iss aud exp iat auth_time acr amr nonce at_hash name preferred_username organization roles".split()  # noqa: SIM905 - read as a sentence
)


def document(settings: OidcSettings) -> dict[str, Any]:
    """Give the provider's metadata (OpenID Connect Discovery 1.0, 3; RFC 8414; RFC 9207)."""
    methods = list(AUTH_METHODS)
    return {
        "issuer": settings.issuer,
        "authorization_endpoint": settings.url(AUTHORIZE),
        "token_endpoint": settings.url(TOKEN),
        "userinfo_endpoint": settings.url(USERINFO),
        "introspection_endpoint": settings.url(INTROSPECT),
        "revocation_endpoint": settings.url(REVOKE),
        "jwks_uri": settings.url(JWKS),
        "end_session_endpoint": settings.url(LOGOUT),
        "scopes_supported": list(SCOPES),
        "claims_supported": CLAIMS,
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": list(ALGORITHMS),
        "token_endpoint_auth_methods_supported": methods,
        "introspection_endpoint_auth_methods_supported": methods[:2],
        "revocation_endpoint_auth_methods_supported": methods,
        "code_challenge_methods_supported": ["S256"],
        "acr_values_supported": list(settings.acr_values),
        "prompt_values_supported": sorted(PROMPTS - {"consent"}),
        "ui_locales_supported": ["zh-CN", "en"],
        "claims_parameter_supported": False,
        "request_parameter_supported": False,
        "request_uri_parameter_supported": False,
        "authorization_response_iss_parameter_supported": True,
        "backchannel_logout_supported": True,
        "backchannel_logout_session_supported": True,
    }
