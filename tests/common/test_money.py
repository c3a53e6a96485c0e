"""Currencies and their decimals by ISO 4217."""

from decimal import Decimal

import pytest
from django.core.exceptions import ValidationError

from common.errors import FieldError
from common.guards import require
from common.money import DECIMALS, amount_refusals, currency_code, decimals_refusal, money


def test_the_table_agrees_with_iso_4217():
    """The number of codes with 0, 2, 3 and 4 decimals is that of the list of 2026-01-01."""
    counts = {decimals: list(DECIMALS.values()).count(decimals) for decimals in set(DECIMALS.values())}
    assert counts == {0: 17, 2: 139, 3: 7, 4: 2}
    assert all(len(code) == 3 and code.isascii() and code.isupper() for code in DECIMALS)
    assert {code: DECIMALS[code] for code in ("EUR", "JPY", "BHD", "CLF", "HUF", "ISK", "TND")} == {
        "EUR": 2,
        "JPY": 0,
        "BHD": 3,
        "CLF": 4,
        "HUF": 2,
        "ISK": 0,
        "TND": 3,
    }


@pytest.mark.parametrize("code", ["", "eur", "EURO", "EU", "QQQ", "HRK", "XAU", "XXX", "E\nR", "ÉUR"])
def test_unknown_currency_codes_are_refused(code):
    with pytest.raises(ValidationError):
        currency_code(code)


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        ("285", "EUR", "285.00"),
        ("285.5", "EUR", "285.50"),
        ("285.5000", "EUR", "285.50"),
        ("12000", "JPY", "12000"),
        ("12000.00", "JPY", "12000"),
        ("1E+4", "JPY", "10000"),
        ("0", "JPY", "0"),
        ("0.005", "BHD", "0.005"),
        ("17.5", "BHD", "17.500"),
        ("9999999999.9999", "CLF", "9999999999.9999"),
        ("120.5", "HRK", "120.50"),  # a withdrawn currency, on an old booking
        ("100.50", "JPY", "100.5"),  # no digit is dropped
    ],
)
def test_amounts_are_formatted_with_their_currencys_decimals(amount, currency, text):
    assert money(Decimal(amount), currency) == text


@pytest.mark.parametrize(
    ("amount", "currency", "refusal"),
    [
        ("0.001", "EUR", "Amounts in EUR have at most 2 decimals."),
        ("100.5", "JPY", "Amounts in JPY have no decimals."),
        ("1.2345", "BHD", "Amounts in BHD have at most 3 decimals."),
        ("100.00", "JPY", None),
        ("1.100", "EUR", None),
        (None, "JPY", None),
    ],
)
def test_too_many_decimals_are_refused(amount, currency, refusal):
    given = None if amount is None else Decimal(amount)
    assert decimals_refusal(given, currency) == refusal
    if refusal is None:
        assert require(amount_refusals(given, currency, "amount")) == given
    else:
        with pytest.raises(FieldError) as raised:
            require(amount_refusals(given, currency, "amount"))
        assert raised.value.details == {"amount": [refusal]}


def test_stored_amounts_have_their_currencys_decimals():
    assert str(require(amount_refusals(Decimal("1.1000"), "EUR", "amount"))) == "1.10"
    assert str(require(amount_refusals(Decimal("1E+3"), "JPY", "amount"))) == "1000"
    assert money(None, "EUR") is None
