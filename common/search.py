"""Text as people search and sort it: without accents, capital letters and variants of a letter."""

from django.db.models import CharField, TextField, Transform


class Folded(Transform):
    """Text in lower case without accents: ``É``, ``ø``, ``ß`` and full-width ``Ａ`` become ``e``, ``o``, ``ss``, ``a``.

    ``name__folded__contains="zoe"`` finds ``Zoë``, and ``"zoë"`` finds ``Zoe``. The database's function, made by the
    migration ``hotel.0008_folded``, is PostgreSQL's ``unaccent``, declared immutable so that it can be indexed.
    Indexes are built on what it yields: a different folding takes a new function and new indexes.
    """

    function = "hotelmate_folded"
    lookup_name = "folded"
    bilateral = True


# For every field of theirs, in every app: a lookup belongs to a type of column.
CharField.register_lookup(Folded)
TextField.register_lookup(Folded)
