"""The lookup that ignores accents, case and variants of letters when text is searched and sorted."""

from django.db.models import CharField, TextField, Transform


class Folded(Transform):
    """Text in lower case without accents: ``É``, ``ø``, ``ß`` and full-width ``Ａ`` become ``e``, ``o``, ``ss``, ``a``.

    ``name__folded__contains="zoe"`` finds ``Zoë``, and ``"zoë"`` finds ``Zoe``. The SQL function, made by the migration
    ``hotel.0008_folded``, is PostgreSQL's ``unaccent``, declared immutable so that it can be indexed. Indexes are built
    on its results: a different folding takes a new function and new indexes.
    """

    function = "hotelmate_folded"
    lookup_name = "folded"
    bilateral = True


# Lookups are registered per field class, so this covers the text fields of every app.
CharField.register_lookup(Folded)
TextField.register_lookup(Folded)
