"""Looks for passwords and keys in the project's files; whatever ``secrets.baseline`` does not know is refused.

``python -m tools.release.scan_secrets`` looks, ``--accept`` takes what was found into the baseline: examples and
passwords of tests, each of which somebody has looked at. Where in a file a known one stands plays no part.
"""

import contextlib
import subprocess
import sys
from pathlib import Path

from detect_secrets.core import baseline
from detect_secrets.core.secrets_collection import SecretsCollection
from detect_secrets.settings import transient_settings

ROOT = Path(__file__).resolve().parents[2]
BASELINE = Path(__file__).with_name("secrets.baseline")
# Hashes of packages and pictures, and the baseline's own hashes.
UNREAD = ("package-lock.json", ".png", "secrets.baseline")
# Where passwords are made up for servers that live for a minute; keys of providers are looked for there too.
MADE_UP = ("tests/", "tools/", "local/pytest_plugin.py")
ANY_PASSWORD = {"Secret Keyword", "Basic Auth Credentials"}
# Those that fit words or numbers of ours are left out; the rest knows the keys of the usual providers.
PLUGINS = [
    *[
        {"name": name}
        for name in (
            "ArtifactoryDetector",
            "AWSKeyDetector",
            "AzureStorageKeyDetector",
            "BasicAuthDetector",
            "DiscordBotTokenDetector",
            "GitHubTokenDetector",
            "GitLabTokenDetector",
            "JwtTokenDetector",
            "KeywordDetector",
            "MailchimpDetector",
            "NpmDetector",
            "OpenAIDetector",
            "PrivateKeyDetector",
            "PypiTokenDetector",
            "SendGridDetector",
            "SlackDetector",
            "StripeDetector",
            "TelegramBotTokenDetector",
            "TwilioKeyDetector",
        )
    ],
    {"name": "Base64HighEntropyString", "limit": 4.5},
    {"name": "HexHighEntropyString", "limit": 3.0},
]
FILTERS = [
    {"path": f"detect_secrets.filters.heuristic.{name}"}
    for name in (
        "is_indirect_reference",
        "is_likely_id_string",
        "is_prefixed_with_dollar_sign",
        "is_sequential_string",
        "is_templated_secret",
    )
]


def files() -> list[str]:
    """Whatever is in the project or about to be."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    return [name for name in names if not name.endswith(UNREAD) and (ROOT / name).is_file()]


def main(arguments: list[str]) -> int:
    """0: nothing new; 1: something that looks like a secret."""
    # A finding carries the name by which its file was read: the same in every clone.
    with contextlib.chdir(ROOT), transient_settings({"plugins_used": PLUGINS, "filters_used": FILTERS}):
        found = SecretsCollection()
        for name in files():
            found.scan_file(name)
            if name.startswith(MADE_UP):
                found.data[name] = {secret for secret in found[name] if secret.type not in ANY_PASSWORD}
        if arguments == ["--accept"]:
            baseline.save_to_file(found, str(BASELINE))
            return 0
        new = found - baseline.load(baseline.load_from_file(str(BASELINE)))
    for name, secret in new:
        print(f"{name}:{secret.line_number}: this looks like a secret ({secret.type})")
    if new:
        print("Take it out, also of the history; or, where it is none: python -m tools.release.scan_secrets --accept")
    return 1 if new else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
