"""Amounts of money: the currencies, their decimals, and how an amount is written.

The currencies are those of ISO 4217, List One, as published on 2026-01-01 by its maintenance agency
(https://www.six-group.com/en/products-services/financial-information/market-reference-data/data-standards.html): every
active code for which the standard gives minor units (precious metals and test codes, for example, have none).
"""

from decimal import Decimal

from django.core.exceptions import ValidationError

from common.errors import FieldError
from common.guards import Guard

_BY_DECIMALS = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    2: "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF CHW "
    "CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR "
    "ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV "
    "MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD "
    "SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XAD XCD XCG YER ZAR ZMW ZWG",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
# Currency code → decimals of an amount.
DECIMALS = {code: decimals for decimals, codes in _BY_DECIMALS.items() for code in codes.split()}
MOST_DECIMALS = max(_BY_DECIMALS)
USUAL_DECIMALS = 2  # for a currency that is no longer in the list, on an old booking


def currency_code(code: str) -> None:
    """Validator: an ISO 4217 currency code, in capital letters."""
    if code not in DECIMALS:
        raise ValidationError("Enter the ISO 4217 code of a currency, in three capital letters, such as EUR.")


def decimals_refusal(amount: Decimal | None, currency: str) -> str | None:
    """The error message for an amount with more decimals than its currency has; ``None`` for one that fits."""
    most = _decimals(currency)
    if amount is None or _digits_behind_the_point(amount) <= most:
        return None
    return f"Amounts in {currency} have {f'at most {most}' if most else 'no'} decimals."


def amount_refusals(amount: Decimal | None, currency: str, field: str) -> Guard[Decimal | None]:
    """Refused, naming ``field``, if the amount has more decimals than its currency.

    Returns the amount to store: with the decimals of its currency.
    """
    if refusal := decimals_refusal(amount, currency):
        yield FieldError(field, refusal)
    return None if amount is None else Decimal(f"{amount:.{_decimals(currency)}f}")


def money(amount: Decimal | None, currency: str) -> str | None:
    """The amount as text, with the decimals of its currency; an old amount that has more keeps them."""
    return None if amount is None else f"{amount:.{max(_decimals(currency), _digits_behind_the_point(amount))}f}"


def _decimals(currency: str) -> int:
    return DECIMALS.get(currency, USUAL_DECIMALS)


def _digits_behind_the_point(amount: Decimal) -> int:
    """Trailing zeros do not count."""
    return max(0, -int(amount.normalize().as_tuple().exponent))
