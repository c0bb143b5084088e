"""OAuth server of Authlib on Flask: grants at once, rotates refresh tokens, publishes RFC 8414 metadata."""

import os
import secrets
import sys
import time

os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"

from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2.rfc6749 import AuthorizationCodeMixin, ClientMixin, TokenMixin, grants
from authlib.oauth2.rfc7009 import RevocationEndpoint
from authlib.oauth2.rfc7636 import CodeChallenge
from flask import Flask, jsonify

PORT = int(sys.argv[1])
ORIGIN = f"http://127.0.0.1:{PORT}"


class Client(ClientMixin):
    client_id, client_secret = "app", "app-secret-0123456789abcdef"

    def get_client_id(self):
        return self.client_id

    def get_default_redirect_uri(self):
        return None

    def get_allowed_scope(self, scope):
        return scope

    def check_redirect_uri(self, redirect_uri):
        return redirect_uri.startswith("http://127.0.0.1:")

    def check_client_secret(self, client_secret):
        return client_secret == self.client_secret

    def check_endpoint_auth_method(self, method, endpoint):
        return method == "client_secret_post"

    def check_response_type(self, response_type):
        return response_type == "code"

    def check_grant_type(self, grant_type):
        return grant_type in ("authorization_code", "refresh_token", "client_credentials")


class Code(AuthorizationCodeMixin):
    def __init__(self, **fields):
        self.__dict__.update(fields)

    def get_redirect_uri(self):
        return self.redirect_uri

    def get_scope(self):
        return self.scope


class Token(TokenMixin):
    def __init__(self, **fields):
        self.__dict__.update(fields, issued_at=int(time.time()), revoked=False)

    def check_client(self, client):
        return True

    def get_scope(self):
        return self.scope

    def get_expires_in(self):
        return self.expires_in

    def is_expired(self):
        return time.time() > self.issued_at + self.expires_in

    def is_revoked(self):
        return self.revoked

    def get_user(self):
        return "user"

    def get_client(self):
        return CLIENT


CLIENT, CODES, TOKENS = Client(), {}, []
app = Flask(__name__)
app.config["OAUTH2_REFRESH_TOKEN_GENERATOR"] = True
server = AuthorizationServer(
    app,
    query_client=lambda client_id: CLIENT if client_id == CLIENT.client_id else None,
    save_token=lambda token, request: TOKENS.append(Token(**{"refresh_token": None, "scope": "", **token})),
)


class CodeGrant(grants.AuthorizationCodeGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = ["client_secret_post"]

    def save_authorization_code(self, code, request):
        data = request.payload.data if hasattr(request, "payload") else request.data
        CODES[code] = Code(
            code=code,
            redirect_uri=data.get("redirect_uri"),
            scope=data.get("scope", ""),
            code_challenge=data.get("code_challenge"),
            code_challenge_method=data.get("code_challenge_method"),
        )

    def query_authorization_code(self, code, client):
        return CODES.get(code)

    def delete_authorization_code(self, authorization_code):
        CODES.pop(authorization_code.code, None)

    def authenticate_user(self, authorization_code):
        return "user"


class RefreshGrant(grants.RefreshTokenGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = ["client_secret_post"]
    INCLUDE_NEW_REFRESH_TOKEN = True

    def authenticate_refresh_token(self, refresh_token):
        return next((one for one in TOKENS if one.refresh_token == refresh_token and not one.revoked), None)

    def authenticate_user(self, refresh_token):
        return "user"

    def revoke_old_credential(self, refresh_token):
        refresh_token.revoked = True


class Revocation(RevocationEndpoint):
    CLIENT_AUTH_METHODS = ["client_secret_post"]

    def query_token(self, token_string, token_type_hint):
        return next((one for one in TOKENS if token_string in (one.access_token, one.refresh_token)), None)

    def revoke_token(self, token, request):
        token.revoked = True


server.register_grant(CodeGrant, [CodeChallenge(required=True)])
server.register_grant(RefreshGrant)
server.register_endpoint(Revocation)


@app.get("/.well-known/oauth-authorization-server")
def metadata():
    return jsonify(
        issuer=ORIGIN,
        authorization_endpoint=f"{ORIGIN}/authorize",
        token_endpoint=f"{ORIGIN}/token",
        revocation_endpoint=f"{ORIGIN}/revoke",
        response_types_supported=["code"],
        code_challenge_methods_supported=["S256"],
        token_endpoint_auth_methods_supported=["client_secret_basic", "client_secret_post"],
    )


@app.get("/authorize")
def authorize():
    return server.create_authorization_response(grant_user="user")


@app.post("/token")
def token():
    return server.create_token_response()


@app.post("/revoke")
def revoke():
    return server.create_endpoint_response("revocation")


app.run(host="127.0.0.1", port=PORT)
