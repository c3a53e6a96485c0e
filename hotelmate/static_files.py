"""The static files of production: compressed, under names that carry a hash of their content."""

from whitenoise.storage import CompressedManifestStaticFilesStorage


class HashedFilesStorage(CompressedManifestStaticFilesStorage):
    """Scripts, too, name what they import with its hash: after an upgrade no new one meets an old one in a cache."""

    support_js_module_import_aggregation = True
