import pytest

from reprocnn.ledger.masking import masked


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("+DB_PASSWORD = 'hunter22'", "hunter22"),
        ('+{"api_key": "abc123"}', "abc123"),
        ("+token: abc123def", "abc123def"),
        ('+PASSWORD = "correct horse battery"', "battery"),
        ("+run --password hunter22", "hunter22"),
        ("+Authorization: Bearer abcdef", "abcdef"),
        ("+https://mytoken99@host/x", "mytoken99"),
        ("+AccountKey=abc==;", "abc=="),
        ("+x = eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc-def", "eyJzdWIiOiIxIn0"),
        ("+AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI", "wJalrXUtnFEMI"),
        ("+key AKIAIOSFODNN7EXAMPLE", "AKIAIOSFODNN7EXAMPLE"),
        ("+x = ghp_0123456789abcdefghij0123", "ghp_0123456789abcdefghij0123"),
        ("+https://me:pass1@host/x", "pass1"),
        ("http://me:p@ss1@host/x", "ss1"),
        ("+-----BEGIN RSA PRIVATE KEY-----\n+MIIE\n+-----END RSA PRIVATE KEY-----", "MIIE"),
    ],
)
def test_secrets_in_a_diff_are_masked(text: str, secret: str) -> None:
    assert secret not in masked(text)
    assert "***" in masked(text)


def test_a_diff_without_secrets_is_unchanged() -> None:
    text = "+epochs: 20\n-model: mlp\n+# see https://example.org/a:b@c\n"
    assert masked(text) == text
