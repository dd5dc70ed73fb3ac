"""What counts as a secret, and that it is gone from everything that is written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.secrets import (
    REDACTED,
    names_a_secret,
    redact_command,
    redact_environment,
    redact_text,
    redact_values,
    without_url_password,
)

SECRET_NAMES = """
HF_TOKEN HUGGING_FACE_HUB_TOKEN hf_token hf-token hfToken TOKEN token GITHUB_TOKEN NPM_TOKEN
ACCESS_TOKENS API_TOKENS github_tokens
API_KEY APIKEY api-key apiKey api_keys VLLM_API_KEY OPENAI_API_KEY OPENAI_KEY X-Api-Key WANDB_KEY
SSH_PRIVATE_KEY PRIVATE_KEY privateKey SSH_KEY DEPLOY_KEY SIGNING_KEY ENCRYPTION_KEY MASTER_KEY
AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN S3_ACCESS_KEY_ID S3_SECRET_ACCESS_KEY
DB_PASSWORD PGPASSWORD password MYSQL_PWD DB_PASS SMTP_PASSWD SSH_PASSPHRASE
CLIENT_SECRET client_secret SECRET secrets GOOGLE_APPLICATION_CREDENTIALS
NPM_AUTH REGISTRY_AUTH_FILE REGISTRY_AUTH _auth Authorization Proxy-Authorization OAUTH2
BEARER bearer_token SESSION_COOKIE JWT GITHUB_PAT org.example.token
"""
HARMLESS_NAMES = """
token_ids tokenIds solo_token_ids prompt_token_ids eos_token_id stop_token_ids eos_token pad_token
bos_token max_tokens max-tokens --max-tokens maxTokens num_tokens prompt_tokens output_tokens
max_num_batched_tokens num_speculative_tokens generation_tokens_total
return_tokens_as_token_ids long_prefill_token_threshold time_to_first_token_seconds
time_per_output_token token_count TOKENIZERS_PARALLELISM tokenizer tokenizer_mode --tokenizer
tokenizer_revision skip_tokenizer_init tokenize
key keys compile_cache_key cache_key primary_key PUBLIC_KEY GPG_KEY ssl_keyfile keyword api_keyword
author authors org.opencontainers.image.authors AUTHORITY secret_variables
PWD OLDPWD pass_config bypass COMPASS PATH HOME AWS_REGION AWS_DEFAULT_REGION VLLM_BATCH_INVARIANT
CUDA_VISIBLE_DEVICES model seed VLLM_CACHE_ROOT pattern PATCH
"""


@pytest.mark.parametrize("name", SECRET_NAMES.split())
def test_a_name_that_holds_a_secret(name):
    assert names_a_secret(name)


@pytest.mark.parametrize("name", HARMLESS_NAMES.split())
def test_a_name_that_holds_none(name):
    assert not names_a_secret(name)


PACKAGES = ("packages", "python_packages")
"""What an image holds, by name: Debian has a package ``passwd``, Python ``tiktoken``."""


def _keys(value):
    if isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from () if key in PACKAGES else _keys(item)
    elif isinstance(value, list):
        for item in value:
            yield from _keys(item)


def test_no_key_of_a_saved_run_names_a_secret():
    files = sorted(Path("results/reference").rglob("*.json"))
    keys = {key for file in files for key in _keys(json.loads(file.read_text("utf-8")))}
    # a certificate's bound is by the compared token; the server's own configuration names another
    # kind, which was not set
    assert [key for key in sorted(keys) if names_a_secret(key)] == ["by_token", "hf_token"]
    assert not any('"hf_token": "' in file.read_text("utf-8") for file in files)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("postgres://u:pw@h/x", f"postgres://{REDACTED}@h/x"),
        ("see https://u:pw@h:8000/v1 and retry", f"see https://{REDACTED}@h:8000/v1 and retry"),
        ("https://ghp_x@github.com/a/b", f"https://{REDACTED}@github.com/a/b"),
        ("redis://:pw@h", f"redis://{REDACTED}@h"),
        ("https://u:p@ss@h/x", f"https://{REDACTED}@h/x"),
        ("a http://u:p@h b http://v:q@i", f"a http://{REDACTED}@h b http://{REDACTED}@i"),
        ("https://h/users/me@example.org", "https://h/users/me@example.org"),
        ("https://h?mail=me@example.org", "https://h?mail=me@example.org"),
        ("http://127.0.0.1:8000/v1", "http://127.0.0.1:8000/v1"),
        ("git+ssh://git@github.com/a/b", "git+ssh://git@github.com/a/b"),
        ("vllm/vllm-openai:v0.19.1@sha256:0123", "vllm/vllm-openai:v0.19.1@sha256:0123"),
        ("write to me@example.org", "write to me@example.org"),
    ],
)
def test_the_login_of_a_url_is_hidden(text, expected):
    assert without_url_password(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("RUN HF_TOKEN=abc pip install x", f"RUN HF_TOKEN={REDACTED} pip install x"),
        ("ARG API_KEY='a b' && go", f"ARG API_KEY={REDACTED} && go"),
        ("key hf_" + "a1" * 12, f"key {REDACTED}"),
        ("AKIA" + "A1" * 8, REDACTED),
        ("-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY----- x", f"{REDACTED} x"),
        ("Authorization: Bearer abc123def456", f"Authorization: Bearer {REDACTED}"),
        ('{"api_key": "x", "port": "1"}', f'{{"api_key": "{REDACTED}", "port": "1"}}'),
        ("TOKEN=$HF_TOKEN run", "TOKEN=$HF_TOKEN run"),
        ("--max-tokens=256 --seed=1", "--max-tokens=256 --seed=1"),
        ("a bearer certificates clause", "a bearer certificates clause"),
    ],
)
def test_free_text_loses_its_secrets_and_nothing_else(text, expected):
    assert redact_text(text) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("--api-key X --port 1", f"--api-key {REDACTED} --port 1"),
        ("--api-key=X --port 1", f"--api-key={REDACTED} --port 1"),
        ("--env HF_TOKEN=x --env A=b", f"--env HF_TOKEN={REDACTED} --env A=b"),
        ("--env=HF_TOKEN=x --env=A=b", f"--env=HF_TOKEN={REDACTED} --env=A=b"),
        ("-e DB_PASSWORD=x -e A=b", f"-e DB_PASSWORD={REDACTED} -e A=b"),
        ("-e HF_TOKEN image", "-e HF_TOKEN image"),
        ("--hf-token x m", f"--hf-token {REDACTED} m"),
        ("--hf-token -x m", f"--hf-token {REDACTED} m"),
        ("--hf-token --port 1", "--hf-token --port 1"),
        ("HF_TOKEN=x harness run", f"HF_TOKEN={REDACTED} harness run"),
        ("--url https://u:pw@h/v1", f"--url https://{REDACTED}@h/v1"),
        ("--url=https://u:pw@h/v1", f"--url=https://{REDACTED}@h/v1"),
        ("--max-tokens 256 --tokenizer x", "--max-tokens 256 --tokenizer x"),
        ("--max-num-batched-tokens=8192", "--max-num-batched-tokens=8192"),
        ("serve --served-model-name key", "serve --served-model-name key"),
        ("--image a/b:v1@sha256:01", "--image a/b:v1@sha256:01"),
    ],
)
def test_a_command_line_loses_its_secrets_and_nothing_else(line, expected):
    assert redact_command(line.split()) == expected.split()


def test_a_secret_argument_is_hidden_to_its_end():
    assert redact_command(["--api-key=a b", "--env=API_KEY=a b", "X-Api-Key: a b"]) == [
        f"--api-key={REDACTED}",
        f"--env=API_KEY={REDACTED}",
        f"X-Api-Key: {REDACTED}",
    ]


def test_an_environment_is_sorted_and_keeps_the_names_of_its_secrets():
    found = redact_environment(
        {"SSH_PRIVATE_KEY": "abc", "DB_URL": "postgres://u:pw@h/x", "A": "1", "HF_TOKEN": ""}
    )
    assert list(found.items()) == [
        ("A", "1"),
        ("DB_URL", f"postgres://{REDACTED}@h/x"),
        ("HF_TOKEN", ""),
        ("SSH_PRIVATE_KEY", REDACTED),
    ]


def test_nested_values_lose_secrets_by_key_and_by_form():
    value = {
        "api_key": "x",
        "hf_token": None,
        "use_auth": True,
        "auth": {"user": "u"},
        "max_tokens": 5,
        "args": ["--x", {"url": "http://u:pw@h"}],
        "pins": ({"password": 1234},),
    }
    assert redact_values(value) == {
        "api_key": REDACTED,
        "hf_token": None,
        "use_auth": True,
        "auth": REDACTED,
        "max_tokens": 5,
        "args": ["--x", {"url": f"http://{REDACTED}@h"}],
        "pins": [{"password": REDACTED}],
    }


def test_hiding_twice_changes_nothing():
    once = redact_text("DB_PASSWORD=x https://u:pw@h Bearer abc123def")
    assert redact_text(once) == once
