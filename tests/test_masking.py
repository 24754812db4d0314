import pytest

from reprocnn.masking import masked, masked_message

SECRETS = [
    ("+DB_PASSWORD = 'hunter22'", "hunter22"),
    ('+{"api_key": "abc123"}', "abc123"),
    ("+token: abc123def", "abc123def"),
    ('+PASSWORD = "correct horse battery"', "battery"),
    ("+run --password hunter22", "hunter22"),
    ("+Authorization: Bearer abcdef", "abcdef"),
    ("+Authorization: Basic bWU6aHVudGVyMjJodW50", "bWU6aHVudGVyMjJodW50"),
    ("+https://mytoken99@host/x", "mytoken99"),
    ("+AccountKey=abc==;", "abc=="),
    ("+x = eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc-def", "eyJzdWIiOiIxIn0"),
    ("+AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI", "wJalrXUtnFEMI"),
    ("+key AKIAIOSFODNN7EXAMPLE", "AKIAIOSFODNN7EXAMPLE"),
    ("+x = ghp_0123456789abcdefghij0123", "ghp_0123456789abcdefghij0123"),
    ("+https://me:pass1@host/x", "pass1"),
    ("http://me:p@ss1@host/x", "ss1"),
    ("postgresql+psycopg2://me:pa/ss1@host:5432/runs", "ss1"),
    ("+https://host/x?sv=2024&sig=abc%2Fdef&se=1", "abc%2Fdef"),
    ("+https://host/x?X-Amz-Signature=abcdef&x=1", "abcdef"),
    ("+<password>hunter22</password>", "hunter22"),
    ("+machine host login me password hunter22", "hunter22"),
    ("+curl -u me:hunter22 https://host", "hunter22"),
    ("+-----BEGIN RSA PRIVATE KEY-----\n+MIIE\n+-----END RSA PRIVATE KEY-----", "MIIE"),
    ('+PASSWORD = (\n+    "hunter22"\n+)', "hunter22"),
    ('     "token":\n+        "hunter22",\n', "hunter22"),
    ("+  password: |\n+    hunter22\n+  user: me", "hunter22"),
    ('+TOKEN = """one\n+\n+hunter22\n+"""\n+x = 1', "hunter22"),
]


@pytest.mark.parametrize(("text", "secret"), SECRETS)
def test_secrets_in_a_diff_are_masked_and_it_keeps_its_lines_and_their_marks(text: str, secret: str) -> None:
    found = masked(text)
    assert secret not in found
    assert "***" in found
    assert [line[:1] for line in found.splitlines()] == [line[:1] for line in text.splitlines()]


def test_a_diff_without_secrets_is_unchanged() -> None:
    text = (
        "+epochs: 20\n-model: mlp\n+# see https://example.org/a:b@c\n+git clone git@host:me/x.git\n+http://host:5000/a@b"
        "\n+# tokens and passwords\n+max_pool(x)\n"
    )
    assert masked(text) == text


def test_the_lines_after_a_secret_are_unchanged() -> None:
    after = "+user: me\n-x: 1\ndiff --git a/x b/x\n@@ -1 +1 @@\n+y: 2\n"
    for secret in ("+password: |\n+  hunter22\n", "+-----BEGIN PRIVATE KEY-----\n+a\n+-----END PRIVATE KEY-----\n"):
        assert masked(secret + after).endswith(after)


def test_a_key_whose_end_is_not_in_the_diff_hides_no_other_file() -> None:
    assert masked("+-----BEGIN PRIVATE KEY-----\n+abc\ndiff --git a/x b/x\n+y: 2\n").endswith("b/x\n+y: 2\n")


def test_values_of_the_environment_are_masked_wherever_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "ab/cd+efgh")
    monkeypatch.setenv("HTTPS_PROXY", "http://me:pr%40xy-word@127.0.0.1:1")
    monkeypatch.setenv("MY_TOKEN", "short")
    for function in (masked, masked_message):
        text = function("x ab/cd+efgh ab%2Fcd%2Befgh pr@xy-word pr%40xy-word short")
        assert text == "x *** *** *** *** short"


def test_folders_in_the_environment_are_no_secrets(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.setenv("PWD", str(tmp_path))
    monkeypatch.setenv("TOKEN_FILE", __file__)
    text = f"{tmp_path}/x {__file__}"
    assert masked(text) == text


def test_a_message_keeps_commands_that_set_a_variable() -> None:
    text = "export REPROCNN_SERVE_TOKEN=$(openssl rand -hex 16)"
    assert masked_message(text) == text
    assert masked_message("found 'https://me:hunter22@host/x'") == "found 'https://***@host/x'"
