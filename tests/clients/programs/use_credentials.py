"""The web app's documented requests to its provider credentials, with httpx: as an admin over gateway.sock and over loopback,
and as a member over loopback, where a token gives the rights of one.

Arguments: the path of the socket and the address of loopback. The tokens are in AIPASS_TOKEN (of a member) and
AIPASS_ADMIN_TOKEN.
"""

import os
import sys
import uuid

import httpx

BASE = "/api/v1/provider-credentials"
READ = {
    "id", "organization_id", "provider", "account_key", "display_name", "api_key_last_four", "has_api_key", "base_url",
    "active", "created_at", "updated_at",
}
LIVE = {
    "provider", "account_key", "checked_at", "reachable", "error", "tokens", "input_tokens", "requests", "models",
    "sample_model", "sample_input_tokens", "sample_output_tokens", "sample_latency_ms", "debug_rate_limit_headers",
}

path, address = sys.argv[1], sys.argv[2]
KEY = "py-canary-web-0123456789"


def bearer(name):
    return {"Authorization": f"Bearer {os.environ[name]}"}


member = httpx.Client(base_url=address, headers=bearer("AIPASS_TOKEN"), trust_env=False)
admins = {
    "socket": httpx.Client(base_url="http://aipassd", transport=httpx.HTTPTransport(uds=path), trust_env=False),
    "loopback": httpx.Client(base_url=address, headers=bearer("AIPASS_ADMIN_TOKEN"), trust_env=False),
}


def check(response, status):
    assert response.status_code == status, (response.request.method, response.url.path, response.status_code)
    assert response.headers.get("x-request-id"), "X-Request-Id is missing"
    assert KEY not in response.text, "the key came back"
    return response


def refused(response, status):
    body = check(response, status).json()
    assert set(body) == {"detail", "request_id"}, sorted(body)
    return body["detail"]


def use(client, account):
    # Create
    body = {"provider": "local", "account_key": account, "api_key": KEY}
    created = check(client.post(BASE, json=body), 201).json()
    assert READ <= set(created), READ - set(created)
    assert "api_key" not in created
    uuid.UUID(created["id"])
    assert created["display_name"] == account and created["active"] is True and created["base_url"] is None
    assert created["has_api_key"] is True and created["api_key_last_four"] == KEY[-4:]

    # Duplicate and unsupported, in the web app's words
    assert refused(client.post(BASE, json=body), 409) == f"A 'local' credential with account key '{account}' already exists."
    detail = refused(client.post(BASE, json={**body, "provider": "nope"}), 422)
    assert detail.startswith("Unsupported provider 'nope'. Supported: ['"), detail
    problems = refused(client.post(BASE, json={"account_key": account, "api_key": KEY}), 422)
    assert problems[0]["loc"] == ["body", "provider"], problems

    # List and read
    listed = check(client.get(BASE), 200).json()
    assert [c for c in listed if c["id"] == created["id"]] == [created]
    order = [(c["provider"], c["account_key"]) for c in listed]
    assert order == sorted(order), order
    one = f"{BASE}/{created['id']}"
    assert check(client.get(one), 200).json() == created
    assert refused(client.get(f"{BASE}/{uuid.uuid4()}"), 404) == "Not Found"
    refused(client.get(f"{BASE}/not-a-uuid"), 422)

    # Update: null and absent leave, "" clears
    changed = check(client.patch(one, json={"display_name": "Shown", "active": False, "api_key": None}), 200).json()
    assert changed["display_name"] == "Shown" and changed["active"] is False and changed["has_api_key"] is True
    assert changed["updated_at"] > created["updated_at"] and changed["created_at"] == created["created_at"]
    assert check(client.patch(one, json={}), 200).json()["updated_at"] > changed["updated_at"]

    # Live usage, saved and not saved
    live = check(client.get(f"{one}/usage", params={"refresh": "true"}), 200).json()
    assert LIVE <= set(live), LIVE - set(live)
    assert live["reachable"] is True and live["error"] is None and live["models"] == ["m-1", "m-2"], live
    assert set(live["tokens"]) == {"limit", "remaining", "used", "pct_used", "reset_at", "reset_in_ms"}, live["tokens"]
    assert live["tokens"]["limit"] == 1000 and live["tokens"]["used"] == 750 and live["tokens"]["pct_used"] == 75
    assert set(live["requests"]) == {"limit", "remaining", "reset_at", "reset_in_ms"}, live["requests"]
    assert live["input_tokens"] is None
    assert live["debug_rate_limit_headers"] == sorted(live["debug_rate_limit_headers"])
    assert live["account_key"] == account
    test = {"provider": "local", "account_key": "", "api_key": "wrong-" + KEY, "base_url": ""}
    tested = check(client.post(f"{BASE}/test", json=test), 200).json()
    assert LIVE <= set(tested) and tested["account_key"] == "test" and tested["reachable"] is False and tested["error"]

    # A member reads, and is refused before anything is looked for
    assert [c["id"] for c in check(member.get(BASE), 200).json()] == [c["id"] for c in listed]
    assert check(member.get(one), 200).json()["display_name"] == "Shown"
    assert check(member.get(f"{one}/usage"), 200).json() == live
    assert refused(member.get(f"{BASE}/{uuid.uuid4()}"), 404) == "Not Found"
    refused(member.post(BASE, json=body), 403)
    refused(member.post(f"{BASE}/test", json=test), 403)
    refused(member.patch(one, json={"active": True}), 403)
    refused(member.delete(f"{BASE}/{uuid.uuid4()}"), 403)
    assert httpx.get(address + BASE, trust_env=False).status_code == 401

    # Clearing and deleting
    cleared = check(client.patch(one, json={"api_key": ""}), 200).json()
    assert cleared["has_api_key"] is False and cleared["api_key_last_four"] is None
    gone = client.delete(one)
    assert gone.status_code == 204 and gone.content == b""
    refused(client.delete(one), 404)


for account, client in admins.items():
    use(client, account)
print("passed")
